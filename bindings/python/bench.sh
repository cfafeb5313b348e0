#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# bench.sh <build folder>: installs the Python binding and its peers into a virtual environment in the build
# folder, and measures (bench.py, bench_grpc.py). Set PYTHON for another interpreter than python3.
set -euo pipefail
(($# == 1)) || { sed -n '3,4s/^# //p' "$0"; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
unset PYTHONPATH PYTHONHOME
mkdir -p "$1"
python=$(cd "$1" && pwd)/bench/bin/python
[[ -e $python ]] || "${PYTHON:-python3}" -m venv "${python%/bin/python}"
"$python" -m pip install --quiet --force-reinstall "${here}[bench]"
status=0
"$python" "$here/bench.py" || status=1
"$python" "$here/bench_grpc.py" || status=1
exit $status
