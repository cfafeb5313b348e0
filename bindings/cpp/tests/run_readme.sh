#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds the C++ program in a README as a reader would, runs it, and compares what it prints with what its
# comments say. Usage: run_readme.sh <README> <compiler> <standard> <source root> <folder of libctx.so> <scratch>
set -euo pipefail
readme=$1 compiler=$2 standard=$3 root=$4 library=$5 scratch=$6
rm -rf "$scratch"
mkdir -p "$scratch"
awk '/^```cpp$/ { inside = 1; ++n; next } /^```$/ { inside = 0 } inside { print }
     END { exit n != 1 }' "$readme" >"$scratch/readme.cc"
sed -n 's|.*// prints: ||p' "$scratch/readme.cc" >"$scratch/expected"
test -s "$scratch/expected"
"$compiler" "-std=c++$standard" -Wall -Wextra -Werror -I"$root/include" -I"$root/bindings/cpp/include" \
  "$scratch/readme.cc" -L"$library" -lctx -Wl,-rpath,"$library" -o "$scratch/readme"
timeout 60 "$scratch/readme" | diff "$scratch/expected" -
echo "the program of $readme prints what it says, as C++$standard"
