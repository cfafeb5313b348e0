# SPDX-License-Identifier: MIT
# Sourced by the scripts of this folder, with `build` and `prefix` set: where cargo puts what it makes and
# downloads, and which libctx is found. Nothing lands in the source tree.
export CARGO_TARGET_DIR=$build/target
export CARGO_HOME=${CARGO_HOME:-$build/cargo}
libdir=$(dirname "$(find "$prefix" -name libctx.so | head -n 1)")
export PKG_CONFIG_PATH=$libdir/pkgconfig LD_LIBRARY_PATH=$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
unset LIBCTX_DIR LIBCTX_BUNDLED
[[ -f $PKG_CONFIG_PATH/libctx.pc ]] || { echo "no libctx.pc below $prefix" >&2; exit 1; }

# Everything after this needs no network. Where all is there already, this needs none either.
fetch() {
  cargo fetch --quiet --locked --offline 2>/dev/null || cargo fetch --locked
}
