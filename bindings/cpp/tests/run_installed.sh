#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds the example as a project of its own against an installed package, and runs it.
# Usage: run_installed.sh <cmake> <generator> <compiler> <prefix> <build folder>
set -euo pipefail
cmake=$1 generator=$2 compiler=$3 prefix=$4 build=$5
rm -rf "$build"
"$cmake" -S "$(dirname "$0")/../example" -B "$build" -G "$generator" -DCMAKE_PREFIX_PATH="$prefix" \
  -DCMAKE_CXX_COMPILER="$compiler"
"$cmake" --build "$build"
grep -q "^libctx_DIR:PATH=$prefix/" "$build/CMakeCache.txt"  # the one installed here and no other
"$build/handler" | diff "$(dirname "$0")/../example/handler.expected" -
