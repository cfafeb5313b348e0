#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs all tests of the Rust binding, or only those that match a name. Usage:
#     run_tests.sh <build folder> <prefix of libctx> [<file in a crate's tests, or part of a test's name>]
# Downloads the crates that Cargo.lock names into the build folder, once; the rest needs no network.
set -euo pipefail
(($# == 2 || $# == 3)) || { sed -n '3,4s/^# //p' "$0" >&2; exit 2; }
mkdir -p "$1"
build=$(realpath "$1") prefix=$(realpath "$2")
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./environment.sh
rust=$PWD
trap 'echo "== FAILED in line $LINENO: $BASH_COMMAND" >&2' ERR

say() { printf '== %s\n' "$*"; }
skip() { printf '== skipped: %s\n' "$*"; skipped=$((skipped + 1)); }
skipped=0

# The first program of a README, as a reader pastes it, in a package that knows only these crates.
readme() {
  local text=$1 crates=$2 program=$build/$3
  rm -rf "$program"
  mkdir -p "$program/src"
  awk '/^```rust$/ { inside = 1; next } /^```$/ { if (inside) exit } inside' "$text" >"$program/src/main.rs"
  cat >"$program/Cargo.toml" <<END
[package]
name = "try-libctx"
version = "0.1.0"
edition = "2024"
[dependencies]
libctx = { path = "$crates/libctx", features = ["bundled"] }
[patch.crates-io]
libctx-sys = { path = "$crates/libctx-sys" }
[workspace]
END
  cp Cargo.lock "$program"
  (cd "$program" && cargo build --quiet --offline)
  local said expected
  said=$("$CARGO_TARGET_DIR/debug/try-libctx")
  expected=$(sed -n 's|.*// prints: ||p' "$program/src/main.rs")
  [[ -n $expected && $said == "$expected" ]] || { echo "it says '$said', not '$expected'" >&2; return 1; }
}

say "$(cargo --version), $(rustc --version)"
fetch

# rustdoc compares the error code of an example that must not compile only where unstable features are allowed.
export RUSTDOC=$build/rustdoc
printf '#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc "$@"\n' >"$RUSTDOC"
chmod +x "$RUSTDOC"

if (($# == 3)); then
  only=("$3")
  for crate in libctx libctx-tower; do
    [[ ! -e $crate/tests/$3.rs && ! -d $crate/tests/$3 ]] || only=(--package "$crate" --test "$3")
  done
  cargo test --locked --offline --all-features "${only[@]}"
  exit
fi

if cargo fmt --version >/dev/null 2>&1; then
  say "formatting"
  cargo fmt --check
else
  skip "formatting: no cargo fmt (Debian: rustfmt-web)"
fi
if cargo clippy --version >/dev/null 2>&1; then
  say "clippy, warnings as errors"
  cargo clippy --quiet --locked --offline --workspace --all-features --all-targets -- -D warnings
else
  skip "clippy: no cargo clippy (Debian: rust-web-clippy)"
fi

say "tests, with all features"
cargo test --locked --offline --workspace --all-features
say "tests, with no features"
cargo test --quiet --locked --offline --workspace --tests
say "documentation, warnings as errors"
RUSTDOCFLAGS="-D warnings" cargo doc --quiet --locked --offline --workspace --all-features --no-deps

say "the programs of the READMEs"
readme ../../README.md "$rust" readme-project
readme README.md "$rust" readme
[[ $(ldd "$CARGO_TARGET_DIR/debug/try-libctx") == *"libctx.so.1 => $libdir/"* ]]

say "the other ways to find the library, and what is said where it is not found"
PKG_CONFIG=false LIBCTX_DIR=$prefix LIBCTX_LIB_DIR=$libdir readme README.md "$rust" readme-by-variables
[[ $(ldd "$CARGO_TARGET_DIR/debug/try-libctx") == *"libctx.so.1 => $libdir/"* ]]
PKG_CONFIG=false DOCS_RS=1 cargo doc --quiet --locked --offline --workspace --no-deps
PKG_CONFIG=false cargo build --quiet --locked --offline -p libctx-sys >"$build/not-found.log" 2>&1 && exit 1
grep -q "no libctx found: install it" "$build/not-found.log"

say "the packaged crates: files in place of links, and built from their own sources"
# Crates that no registry has yet are packaged together; before cargo 1.90 that wants a flag.
together=()
printf '%s\n' 1.90 "$(cargo --version | cut -d' ' -f2)" | sort -CV || together=(-Zpackage-workspace)
RUSTC_BOOTSTRAP=${#together[@]} cargo package "${together[@]}" --quiet --locked --offline --allow-dirty --no-verify --workspace
unpacked=$build/unpacked
rm -rf "$unpacked"
mkdir -p "$unpacked"
for crate in libctx libctx-sys libctx-tower; do
  tar -xzf "$CARGO_TARGET_DIR"/package/$crate-[0-9]*.crate -C "$unpacked"
  mv "$unpacked"/$crate-[0-9]* "$unpacked/$crate"
done
[[ -z $(find "$unpacked" -type l) && -f $unpacked/libctx-sys/LICENSE && -f $unpacked/libctx/README.md ]]
[[ -f $unpacked/libctx-tower/LICENSE && -f $unpacked/libctx-tower/README.md ]]
diff -r ../../core "$unpacked/libctx-sys/bundled/core"
diff -r ../../capi "$unpacked/libctx-sys/bundled/capi"
diff -r ../../include "$unpacked/libctx-sys/bundled/include"
LIBCTX_BUNDLED=1 readme README.md "$unpacked" readme-bundled
[[ ! $(ldd "$CARGO_TARGET_DIR/debug/try-libctx") =~ libctx|libstdc ]]

if command -v valgrind >/dev/null; then
  say "no leak and no bad access under valgrind"
  kinds=definite,indirect
  valgrind="valgrind --quiet --leak-check=full --show-leak-kinds=$kinds --errors-for-leak-kinds=$kinds"
  valgrind+=" --error-exitcode=99"
  runner=CARGO_TARGET_$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')_RUNNER
  memcheck() { env "$runner=$valgrind" cargo test --quiet --locked --offline -p libctx --all-features "$@"; }
  memcheck --test crossing --test group --test group_ends --test loops --test queue --test runtimes --test token
  say "a leak that is made on purpose is found"
  if memcheck --test crossing -- --ignored ownership::a_leak >"$build/leak.log" 2>&1; then
    echo "valgrind did not see it" >&2
    exit 1
  fi
  grep -q "definitely lost" "$build/leak.log"
else
  skip "leaks: no valgrind"
fi

say "all passed, $skipped steps skipped"
