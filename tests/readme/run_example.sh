#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds each C program in the README as a reader would, runs it, and compares what it prints with what
# its comments say. Usage: run_example.sh <compiler> <source root> <folder of libctx.so> <scratch>
set -euo pipefail
compiler=$1 root=$2 library=$3 scratch=$4
rm -rf "$scratch"
mkdir -p "$scratch"
awk -v scratch="$scratch" '
  /^```c$/ { inside = 1; ++n; next }
  /^```$/  { inside = 0 }
  inside   { print > (scratch "/" n ".c") }' "$root/README.md"
count=0
for source in "$scratch"/*.c; do
  program=${source%.c}
  sed -n 's|.*/\* \([a-z]*: .*\) \*/.*|\1|p' "$source" >"$program.expected"
  test -s "$program.expected"
  "$compiler" -std=c99 -Wall -Wextra -Werror -I"$root/include" "$source" \
    -L"$library" -lctx -Wl,-rpath,"$library" -o "$program"
  timeout 60 "$program" | diff "$program.expected" -
  count=$((count + 1))
done
echo "$count programs of the README print what they say"
