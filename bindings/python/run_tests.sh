#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run_tests.sh <build folder> <prefix of the C library> [<name>]: installs the Python binding into a virtual
# environment in the build folder, and runs everything that tests it. The first run downloads what the
# tests need, and so does one after a change of pyproject.toml; others need no network. With a name, only the
# tests that pytest's -k finds by it. Set PYTHON for another interpreter than python3.
set -euo pipefail
(($# == 2 || $# == 3)) || { sed -n '3,6s/^# //p' "$0"; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1"
build=$(cd "$1" && pwd)
CTX_PREFIX=$(cd "$2" && pwd)
CTX_DIST=$build/dist
export CTX_PREFIX CTX_DIST
export PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
unset PYTHONPATH PYTHONHOME
python=$build/venv/bin/python

say() { printf -- '-- python: %s\n' "$*"; }

if ! cmp -s "$here/pyproject.toml" "$build/venv/ready"; then
  say "virtual environment, and pip install ./bindings/python[test] into it"
  "${PYTHON:-python3}" -m venv --clear "$build/venv"
  "$python" -m pip install --quiet "${here}[test]"
  "$python" -m pip install --quiet scikit-build-core build
  cp "$here/pyproject.toml" "$build/venv/ready"
fi

if (($# == 3)); then
  say "the binding as it is now, and tests of $3"
  "$python" -m pip install --quiet --no-index --no-deps --no-build-isolation --force-reinstall \
    --config-settings "build-dir=$build/quick" "$here"
  cd "$build"
  exec "$python" -m pytest -c "$here/pyproject.toml" --rootdir "$here" -rs --strict-markers -k "$3" "$here/tests"
fi

say "source distribution, and a wheel built from it"
rm -rf "$CTX_DIST" "$build/unpacked"
mkdir -p "$CTX_DIST" "$build/unpacked"
"$python" -m build --no-isolation --sdist --outdir "$CTX_DIST" "$here" >"$build/sdist.log" 2>&1 ||
  { cat "$build/sdist.log"; exit 1; }
tar -xf "$CTX_DIST"/libctx-*.tar.gz -C "$build/unpacked" --strip-components 1
"$python" -m pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir "$CTX_DIST" "$build/unpacked"
"$python" -m pip install --quiet --no-index --no-deps --force-reinstall "$CTX_DIST"/libctx-*.whl

cd "$build"  # what is imported is what was installed
say "mypy --strict"
"$python" -m mypy --strict --cache-dir "$build/mypy" --package libctx
"$python" -m mypy --strict --cache-dir "$build/mypy" "$here/tests" "$here/bench.py" "$here/bench_grpc.py"
say "stubtest: the types of the extension are what it has"
"$python" -m mypy.stubtest libctx

say "pytest, the program of the README among it"
"$python" -m pytest -c "$here/pyproject.toml" --rootdir "$here" -rs --strict-markers --junitxml "$build/tests.xml" "$here/tests"
