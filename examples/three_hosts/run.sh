#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run.sh <build folder> <prefix of the C library> [build|show]: builds the three hosts in the build folder, against the
# installed libctx, and shows them. With `build` it only builds; with `show` it shows what was built.
# The first run downloads crates and Python packages. `./dev demo three_hosts` installs what else it needs.
set -euo pipefail
[[ $# == 2 || $# == 3 && $3 =~ ^(build|show)$ ]] || { sed -n '3,6s/^# //p' "$0"; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1"
build=$(cd "$1" && pwd) prefix=$(cd "$2" && pwd) mode=${3-}
libdir=$(dirname "$(find "$prefix" -name libctx.so.1 -print -quit)")
export PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
export CARGO_HOME=${CARGO_HOME:-$build/cargo} CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$build/target}
export PKG_CONFIG_PATH=$libdir/pkgconfig LD_LIBRARY_PATH=$libdir
unset PYTHONPATH PYTHONHOME LIBCTX_DIR LIBCTX_BUNDLED
python=$build/venv/bin/python

# say <what> <function>: quiet, unless it fails. In the background, since set -e does not hold left of ||.
say() {
  printf -- '-- %s\n' "$1"
  "$2" >"$build/log" 2>&1 &
  wait $! || { cat "$build/log"; exit 1; }
}

edge() {
  if [[ ! -e $build/venv/ready ]]; then
    "${PYTHON:-python3}" -m venv --clear "$build/venv"
    "$python" -m pip install scikit-build-core fastapi uvicorn grpcio grpcio-tools
    touch "$build/venv/ready"
  fi
  rm -rf "$build/dist"
  "$python" -m pip wheel --no-index --no-deps --no-build-isolation --wheel-dir "$build/dist" \
    --config-settings "build-dir=$build/wheel" "$here/../../bindings/python"
  "$python" -m pip install --no-index --no-deps --force-reinstall "$build"/dist/libctx-*.whl
}

orders() {
  cd "$here/orders"
  cargo fetch --locked --offline || cargo fetch --locked
  cargo build --locked --offline
  cp "$CARGO_TARGET_DIR/debug/orders" "$build/orders"
}

stock() {
  cmake -S "$here/stock" -B "$build/stock_build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$prefix"
  cmake --build "$build/stock_build"
  cp "$build/stock_build/stock" "$build/stock_build/label" "$build"
}

if [[ $mode != show ]]; then
  say "the edge: Python, the wheel of libctx, FastAPI, uvicorn, grpcio" edge
  say "the service of orders: Rust, tonic" orders
  say "the service of the stock: C++, gRPC, libpq" stock
fi
[[ $mode == build ]] || exec "$python" -u "$here/hosts.py" "$build"
