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

static_library() {  # <cmake> <pkg-config> <source tree> <folder> <C compiler> <options of cmake>...
  cmake=$1 pkg_config=$2 source=$3 folder=$4 cc=$5
  shift 5
  rm -rf "$folder"
  (cd "$source" && "$cmake" --preset static -B "$folder/build" "$@")
  "$cmake" --build "$folder/build"
  install "$cmake" "$folder/build" "$folder/staged" "$folder/prefix"
  [ -z "$(find "$folder/prefix" -name '*.so*')" ]

  find_package "$cmake" "$folder/prefix" "$folder/cmake" "$@"
  pkg_config "$pkg_config" "$folder/prefix" "$folder/consumer" "$cc" -std=c99 "$here/project/consumer.c"
  for program in "$folder/cmake/consumer_c" "$folder/cmake/consumer_cxx" "$folder/consumer"; do
    lacks "$program needs the library" libctx "$(ldd "$program")"
  done
  lacks "the C program needs the C++ library" libstdc "$(ldd "$folder/consumer")"

  # shellcheck disable=SC2046  # flags are words
  "$cc" -shared -o "$folder/plugin.so" -Wl,--whole-archive $("$pkg_config" --libs libctx) -Wl,--no-whole-archive
  lacks "the plugin exports it" ' ctx_' "$(nm -D --defined-only "$folder/plugin.so")"
  nm "$folder/plugin.so" | grep -q ' t ctx_cancel$'
}

lacks() {  # <what is wrong> <what> <text>: wrong if the text has it
  case $3 in
    *"$2"*)
      printf '%s:\n%s\n' "$1" "$3" >&2
      exit 1
      ;;
  esac
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
