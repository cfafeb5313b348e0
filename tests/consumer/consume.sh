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

find_package() {  # <cmake> <prefix> <build folder> <options of cmake>...
  cmake=$1 prefix=$2 build=$3
  shift 3
  rm -rf "$build"
  "$cmake" -S "$here/project" -B "$build" -DCMAKE_PREFIX_PATH="$prefix" "$@"
  "$cmake" --build "$build"
  grep -q "^libctx_DIR:PATH=$prefix/" "$build/CMakeCache.txt"  # the one installed here and no other
  "$build/consumer_c"
  "$build/consumer_cxx"
}

pkg_config() {  # <pkg-config> <prefix> <program> <compiler> <standard> <source>
  PKG_CONFIG_LIBDIR=$(dirname "$(find "$2" -name libctx.pc)")
  export PKG_CONFIG_LIBDIR
  # shellcheck disable=SC2046  # flags are words
  "$4" "$5" -pedantic-errors -Wall -Wextra -Werror "$6" -o "$3" $("$1" --cflags --libs libctx)
  LD_LIBRARY_PATH=$("$1" --variable=libdir libctx) "$3"
}

subproject() {  # <cmake> <source tree> <build folder> <options of cmake>...
  cmake=$1 source=$2 build=$3
  shift 3
  rm -rf "$build"
  "$cmake" -S "$here/subproject" -B "$build" -DLIBCTX="$source" "$@"
  mkdir -p "$build/prefix"
  "$cmake" --install "$build" --prefix "$build/prefix"
  [ -z "$(find "$build/prefix" -type f)" ]
}

"$@"
