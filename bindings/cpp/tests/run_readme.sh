#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds the program in the README as a reader would, runs it, and compares what it prints with what its
# comments say. Usage: run_readme.sh <compiler> <standard> <source root> <folder of libctx.so> <scratch>
set -euo pipefail
compiler=$1 standard=$2 root=$3 library=$4 scratch=$5
rm -rf "$scratch"
mkdir -p "$scratch"
awk '/^```cpp$/ { inside = 1; ++n; next } /^```$/ { inside = 0 } inside { print }
     END { exit n != 1 }' "$root/bindings/cpp/README.md" >"$scratch/readme.cc"
sed -n 's|.*// \([a-z]*: .*\)|\1|p' "$scratch/readme.cc" >"$scratch/expected"
test -s "$scratch/expected"
"$compiler" "-std=c++$standard" -Wall -Wextra -Werror -I"$root/include" -I"$root/bindings/cpp/include" \
  "$scratch/readme.cc" -L"$library" -lctx -Wl,-rpath,"$library" -o "$scratch/readme"
timeout 60 "$scratch/readme" | diff "$scratch/expected" -
echo "the program of the README prints what it says, as C++$standard"
