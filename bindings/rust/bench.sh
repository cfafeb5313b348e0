#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Measures what the Rust wrapper costs above the C functions (libctx/benches/overhead.rs), and the layers above bare
# tonic (libctx-tower/benches/overhead.rs), each in one run, and sets it beside its target.
# Usage: bench.sh <build folder> <prefix of libctx>
set -euo pipefail
(($# == 2)) || { echo "usage: bench.sh <build folder> <prefix of libctx>" >&2; exit 2; }
mkdir -p "$1"
build=$(realpath "$1") prefix=$(realpath "$2")
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./environment.sh

fetch
cargo bench --quiet --locked --offline -p libctx --bench overhead | awk '
  { split($1, part, "/"); figure[part[3], part[4]] = $2; if (part[4] == "ratio") order[++n] = part[3] }
  END {
    what["derive"] = "derive, cancel, release"; what["timeout"] = "... with a 1 h timeout"
    what["check"] = "error of a live context"; what["value"] = "look a value up"
    what["callback"] = "register and stop a callback"
    printf "%-4s %-30s %10s %10s %7s  %s\n", "", "", "rust ns", "c ns", "ratio", "target"
    for (i = 1; i <= n; ++i) {
      name = order[i]; ratio = figure[name, "ratio"]; target = ""
      if (name == "derive" || name == "timeout") target = "<= 1.1  " (ratio <= 1.1 ? "yes" : "NO")
      printf "%-4s %-30s %10.2f %10.2f %7.3f  %s\n", "P16", what[name], figure[name, "rust"],
             figure[name, "c"], ratio, target
    }
    if (n == 0) exit 1
  }'

cargo bench --quiet --locked --offline -p libctx-tower --features tonic --bench overhead | awk '
  { split($1, part, "/"); figure[part[3], part[4]] = $2; if (part[4] == "ratio") order[++n] = part[3] }
  END {
    what["unary"] = "a unary call, processor time"; what["cancel"] = "cancel to the drop of the handler"
    what["reason"] = "... with a reason"
    printf "%-4s %-34s %10s %10s %7s  %s\n", "", "", "ours us", "bare us", "ratio", "target"
    for (i = 1; i <= n; ++i) {
      name = order[i]; ratio = figure[name, "ratio"]; more = figure[name, "ours"] - figure[name, "bare"]
      target = name == "unary" ? "<= 3 us more  " (more <= 3 ? "yes" : "NO") : "<= 1.1  " (ratio <= 1.1 ? "yes" : "NO")
      printf "%-4s %-34s %10.2f %10.2f %7.3f  %s\n", "P21", what[name], figure[name, "ours"], figure[name, "bare"],
             ratio, target
    }
    if (n == 0) exit 1
  }'
