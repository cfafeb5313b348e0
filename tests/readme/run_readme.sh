#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds each C or C++ program in a README as a reader would, runs it, and compares what it prints with what its
# comments say. Usage: run_readme.sh <README> <compiler> <standard> <source root> <folder of libctx.so> <scratch>,
# where a standard such as c99 takes the programs in C, and c++17 those in C++.
set -euo pipefail
readme=$1 compiler=$2 standard=$3 root=$4 library=$5 scratch=$6
if [[ $standard == c++* ]]; then
  language=cpp suffix=cc prints='s|.*// prints: ||p'
else
  language=c suffix=c prints='s|.*/\* \([a-z]*: .*\) \*/.*|\1|p'
fi
rm -rf "$scratch"
mkdir -p "$scratch"
awk -v begin="^\`\`\`$language\$" -v scratch="$scratch" -v suffix=$suffix '
  $0 ~ begin { inside = 1; ++n; next }
  /^```$/    { inside = 0 }
  inside     { print > (scratch "/" n "." suffix) }' "$readme"
count=0
for source in "$scratch"/*."$suffix"; do
  program=${source%."$suffix"}
  sed -n "$prints" "$source" >"$program.expected"
  test -s "$program.expected"
  "$compiler" "-std=$standard" -Wall -Wextra -Werror -I"$root/include" -I"$root/bindings/cpp/include" \
    "$source" -L"$library" -lctx -Wl,-rpath,"$library" -o "$program"
  timeout 60 "$program" | diff "$program.expected" -
  count=$((count + 1))
done
echo "$count programs of $readme print what they say, as $standard"
