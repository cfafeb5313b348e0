#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run.sh <build folder> <prefix of the C library> [build|demo|bench]: one process with Python, Rust and C in one
# tree of contexts. Builds the wheel, the Rust library and the C library in the build folder, against the
# installed libctx, and tests them together. With `build` it only builds; with `demo` it shows what was built; with
# `bench` it builds, and measures how late each is while another's callback blocks (bench.py).
# The first run downloads crates and the tools that check the wheel and its types; later ones need no network.
# Set CTX_VENV to a virtual environment that already has libctx, mypy and pytest; PYTHON for another python3.
set -euo pipefail
[[ $# == 2 || $# == 3 && $3 =~ ^(build|demo|bench)$ ]] || { sed -n '3,8s/^# //p' "$0"; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1"
build=$(cd "$1" && pwd) prefix=$(cd "$2" && pwd) mode=${3-test}
libdir=$(dirname "$(find "$prefix" -name libctx.so.1 -print -quit)")
export PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
export CARGO_HOME=${CARGO_HOME:-$build/cargo} CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$build/target}
export PKG_CONFIG_PATH=$libdir/pkgconfig LIBCTX_LIBDIR=$libdir WORKER_DIR=$build/c
unset PYTHONPATH PYTHONHOME LD_LIBRARY_PATH LIBCTX_DIR LIBCTX_BUNDLED  # who finds which libctx is the point
venv=${CTX_VENV:-$build/venv}
python=$venv/bin/python

# say <what> <function>: quiet, unless it fails. In the background, since set -e does not hold left of ||.
say() {
  printf -- '-- %s\n' "$1"
  "$2" >"$build/log" 2>&1 &
  wait $! || { cat "$build/log"; exit 1; }
}

wheel() {
  if [[ ! -e $build/venv/ready ]]; then
    "${PYTHON:-python3}" -m venv --clear "$build/venv"
    "$python" -m pip install scikit-build-core mypy pytest
    touch "$build/venv/ready"
  fi
  rm -rf "$build/dist"
  "$python" -m pip wheel --no-index --no-deps --no-build-isolation --wheel-dir "$build/dist" \
    --config-settings "build-dir=$build/wheel" "$here/../python"
  "$python" -m pip install --no-index --no-deps --force-reinstall "$build"/dist/libctx-*.whl
}

c_library() {
  cmake -S "$here/c" -B "$build/c" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_PREFIX_PATH="$prefix"
  grep -q "^libctx_DIR:PATH=$prefix/" "$build/c/CMakeCache.txt"  # the one installed there and no other
  cmake --build "$build/c"
}

rust_library() {
  cd "$here/rust"
  cargo fetch --locked --offline || cargo fetch --locked
  cargo build --locked --offline
}

formatting() { cd "$here/rust" && cargo fmt --check; }
lints() { cd "$here/rust" && cargo clippy --no-deps --locked --offline -- -D warnings; }

# with <subcommand of cargo> <what> <function>: says so, or that this cargo has none of that.
with() {
  if cargo "$1" --version >/dev/null 2>&1; then say "$2" "$3"; else echo "== skipped: $2: no cargo $1"; fi
}

types() { "$python" -m mypy --strict --cache-dir "${venv%/*}/mypy" "$here"/*.py; }

if [[ $mode != demo ]]; then
  [[ -n ${CTX_VENV-} ]] || say "the wheel, into a virtual environment" wheel
  say "the C library, against the installed libctx" c_library
  say "the Rust library, against both" rust_library
fi
rust=$CARGO_TARGET_DIR/debug/libhandler.so

cd "$build"
case $mode in
  demo) exec "$python" "$here/demo.py" "$rust" ;;
  bench) exec "$python" "$here/bench.py" "$rust" "$build/c/liblate.so" ;;
  test)
    say "mypy --strict" types
    with fmt "formatting of the Rust library" formatting
    with clippy "clippy, warnings as errors" lints
    export CTX_HANDLER=$rust CTX_WORKER=$build/c/libworker.so CTX_INSTALLED=$libdir/libctx.so.1
    for order in wheel-first library-first; do
      printf -- '-- who brings the libctx of the process: %s\n' $order
      CTX_ORDER=$order "$python" -m pytest -v -c "$here/pytest.ini" "$here"
    done
    ;;
esac
