#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds each C++ program in a README as a reader would, runs it, and compares what it prints with what its
# comments say. Usage: run_readme.sh <README> <compiler> <standard> <source root> <folder of libctx.so> <scratch>
set -euo pipefail
readme=$1 compiler=$2 standard=$3 root=$4 library=$5 scratch=$6
rm -rf "$scratch"
mkdir -p "$scratch"
awk -v scratch="$scratch" '
  /^```cpp$/ { inside = 1; ++n; next }
  /^```$/    { inside = 0 }
  inside     { print > (scratch "/" n ".cc") }' "$readme"
count=0
for source in "$scratch"/*.cc; do
  program=${source%.cc}
  sed -n 's|.*// prints: ||p' "$source" >"$program.expected"
  test -s "$program.expected"
  "$compiler" "-std=c++$standard" -Wall -Wextra -Werror -I"$root/include" -I"$root/bindings/cpp/include" \
    "$source" -L"$library" -lctx -Wl,-rpath,"$library" -o "$program"
  timeout 60 "$program" | diff "$program.expected" -
  count=$((count + 1))
done
echo "$count programs of $readme print what they say, as C++$standard"
