#!/bin/bash
# SPDX-License-Identifier: MIT
# run_discarded.sh <compiler> <standard> <project>: the lines of discarded.cc that the compiler warns of are those that
# say so.
set -eu
cd "$(dirname "$0")"
said=$("$1" -std="$2" -fsyntax-only -Wunused-result -I "$3/include" -I "$3/bindings/cpp/include" discarded.cc 2>&1)
wanted=$(grep -n '// warns' discarded.cc | cut -d: -f1)
if [ "$2" = c++17 ]; then  # which has no coroutines and no std::stop_token
  wanted=$(sed '/^#if/,/^#endif/s/.*//' discarded.cc | grep -n '// warns' | cut -d: -f1)
fi
found=$(sed -n 's/^discarded\.cc:\([0-9]*\):.*nodiscard.*/\1/p' <<<"$said" | sort -nu)
diff <(echo "$wanted") <(echo "$found")
