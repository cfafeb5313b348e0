#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs libctx, or builds and runs the programs in project/ against what was installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

install() {  # <cmake> <build folder> <staged prefix> <final prefix>
  rm -rf "$3" "$4"
  "$1" --install "$2" --prefix "$3"
  mv "$3" "$4"
  if grep -rlF "$3" "$4"; then
    echo "the files above remember the prefix" >&2
    exit 1
  fi
}

find_package() {  # <cmake> <prefix> <build folder> <C compiler> <C++ compiler>
  rm -rf "$3"
  "$1" -S "$here/project" -B "$3" -DCMAKE_PREFIX_PATH="$2" -DCMAKE_C_COMPILER="$4" -DCMAKE_CXX_COMPILER="$5"
  "$1" --build "$3"
  grep -q "^libctx_DIR:PATH=$2/" "$3/CMakeCache.txt"  # the one installed here and no other
  "$3/consumer_c"
  "$3/consumer_cxx"
}

pkg_config() {  # <pkg-config> <prefix> <program> <compiler> <standard> <source>
  PKG_CONFIG_LIBDIR=$(dirname "$(find "$2" -name libctx.pc)")
  export PKG_CONFIG_LIBDIR
  # shellcheck disable=SC2046  # flags are words
  "$4" "$5" -pedantic-errors -Wall -Wextra -Werror "$6" -o "$3" $("$1" --cflags --libs libctx)
  LD_LIBRARY_PATH=$("$1" --variable=libdir libctx) "$3"
}

"$@"
