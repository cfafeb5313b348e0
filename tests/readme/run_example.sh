#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds the C program in the README as a reader would, runs it, and compares what it prints with what
# its comments say. Usage: run_example.sh <compiler> <source root> <folder of libctx.so> <scratch>
set -euo pipefail
compiler=$1 root=$2 library=$3 scratch=$4
mkdir -p "$scratch"
sed -n '/^```c$/,/^```$/p' "$root/README.md" | sed '1d;$d' >"$scratch/example.c"
sed -n 's|.*/\* \([a-z]*: .*\) \*/.*|\1|p' "$scratch/example.c" >"$scratch/expected"
test -s "$scratch/expected"
"$compiler" -std=c99 -Wall -Wextra -Werror -I"$root/include" "$scratch/example.c" \
  -L"$library" -lctx -Wl,-rpath,"$library" -o "$scratch/example"
"$scratch/example" | diff "$scratch/expected" -
echo "the README's example prints what it says"
