#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# demo.sh - runs the examples one after the other and says what there is to see. `./dev demo` calls it
# with CTX_BUILD (the absolute build folder) and CTX_ROOT (the source tree) set.
#
#     demo.sh [part...]      all parts, or those named: handle_request tickers trace_id epoll_server
#                            manual_loop fan_in graceful from_python from_rust cross_runtime three_hosts
#
# cross_runtime shows what `bindings/cross_runtime/run.sh` has built in the folder CTX_CROSS_RUNTIME against the
# library installed in CTX_PREFIX, or is not shown for the reason in CTX_NO_CROSS_RUNTIME; three_hosts likewise what
# `examples/three_hosts/run.sh` has built in CTX_THREE_HOSTS, or the reason in CTX_NO_THREE_HOSTS.
# A part whose tools are missing is not shown; the last lines say which, and why. Exits 0 only if every part that
# was shown kept its promise, and every part that was named, or with CI set every part, was shown. Leaves no process
# behind, however it ends.

set -uo pipefail
export LC_ALL=C
: "${CTX_BUILD:?must name the build folder}" "${CTX_ROOT:?must name the source tree}"
readonly watchdog=60 # seconds of silence after which a program is taken to hang

bold='' dim='' green='' red='' plain=''
if [[ -t 1 && -z ${NO_COLOR-} && ${TERM-dumb} != dumb ]]; then
  bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi

# --- programs: in the background, their output shown line by line as it comes -----------------------

tmp=$(mktemp -d) && mkfifo "$tmp/output" || exit 1
groups=() # of all processes started by the part that runs now

end_programs() {
  local group
  for group in "${groups[@]}"; do kill -KILL -- "-$group"; done 2>/dev/null
  for group in "${groups[@]}"; do wait "$group"; done 2>/dev/null
  groups=()
}
trap 'end_programs; rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Job control is on while a program is started: that gives it a process group, so that it can be ended
# together with all that it has started.

# start <command...>: its output comes on descriptor 3; its process is $program.
start() {
  printf '\n  %s$ %s%s\n' "$bold" "${*//"$CTX_ROOT/"/}" "$plain"
  set -m
  "$@" </dev/null >"$tmp/output" 2>&1 &
  set +m
  program=$! said=()
  groups+=("$program")
  exec 3<"$tmp/output"
}

# show [<text>]: shows the output until a line, kept in $line, has the text; without a text, all of it.
show() {
  local status us
  while true; do
    IFS= read -r -t $watchdog -u 3 line
    status=$?
    ((status > 128)) && fail "no output for $watchdog s" && return 1
    ((status == 0)) || break
    said+=("$line")
    us=$((${EPOCHREALTIME/./} - part_began)) # without $(now): a fork would hold up the next line
    printf '  %s%2d.%02d s |%s %s\n' "$dim" $((us / 1000000)) $((us / 10000 % 100)) "$plain" "$line"
    [[ $# == 1 && $line == *"$1"* ]] && return 0
  done
  (($# == 0)) || { fail "the program ended before it said: $1" && return 1; }
}

# promised <line>...: fails unless the program said these lines and no others, in this order.
promised() {
  local wanted
  printf -v wanted '%s\n' "$@"
  [[ $(printf '%s\n' "${said[@]}") == "${wanted%$'\n'}" ]] || { fail "it promised: ${*@Q}" && return 1; }
}

# finish: shows what is left of the output; fails if the program did.
finish() {
  show || return 1
  wait "$program"
  local status=$?
  ((status == 0)) || fail "exit status $status"
  return $status
}

now() { echo "${EPOCHREALTIME/./}"; } # in microseconds
seconds() { printf '%d.%02d s' $(($1 / 1000000)) $(($1 / 10000 % 100)); }
say() { printf '  %s\n' "$@"; }
remark() { printf '\n  %s\n' "$1"; }
fail() { printf '  %sFAILED: %s%s\n' "$red" "$*" "$plain"; }

# lacks_<part>: prints why a part cannot be shown, if it cannot.
lacks_tool() { command -v "$1" >/dev/null || echo "$1 is missing"; }
lacks_epoll_server() { lacks_tool curl; }
lacks_from_python() { lacks_tool python3; }
lacks_from_rust() {
  lacks_tool cargo | grep . && return
  in_rust cargo build --quiet >"$tmp/rust" 2>&1 || grep -m1 . "$tmp/rust"
}
lacks_cross_runtime() { printf '%s' "${CTX_NO_CROSS_RUNTIME-}"; }
lacks_three_hosts() { printf '%s' "${CTX_NO_THREE_HOSTS-}"; }

# --- the parts --------------------------------------------------------------------------------------

title_handle_request="A deadline"
about_handle_request="A request may take 1 s. Its handler needs 500 ms and is in time; then the deadline passes."
part_handle_request() {
  start "$CTX_BUILD/examples/handle_request" && finish || return
  promised "process request with 500ms" "main context deadline exceeded"
}

title_tickers="One cancel for a family"
about_tickers="Two threads tick once a second, until after 3 s their parent context is canceled."
part_tickers() {
  start "$CTX_BUILD/examples/tickers" && finish || return
  # How often each ticks, and which is first, is chance.
  mapfile -t said < <(printf '%s\n' "${said[@]}" | awk '!/ticker/ || !seen[$0]++' | sort)
  promised "child1 done" "child1 ticker" "child2 done" "child2 ticker"
}

title_trace_id="Values that travel along"
about_trace_id="Two requests at once; every layer, in any thread, knows the trace id and user of its own."
part_trace_id() { start "$CTX_BUILD/examples/trace_id" && finish; }

title_epoll_server="Contexts in an epoll loop"
about_epoll_server="An HTTP server in one thread: sockets and done descriptors in one epoll, asked by curl."
part_epoll_server() {
  start "$CTX_BUILD/examples/epoll_server" && show "listening on " || return
  url=${line##* }
  asked=0

  remark "The work takes 20 ms of the 700 ms that it may take:"
  ask /fast && show "#1 GET /fast: 200" && answer 1 200 "here is your answer" || return

  remark "The work would take a minute. After 700 ms the deadline ends it:"
  ask /slow && show "#2 GET /slow: 504" && answer 2 504 "context deadline exceeded" || return

  remark "Two requests that may take two minutes. One SIGTERM cancels the server's context:"
  ask /long && show "#3 GET /long: accepted" && ask /long && show "#4 GET /long: accepted" || return
  printf '  %s$ kill -TERM <server>%s\n' "$bold" "$plain"
  kill -TERM "$program" && finish || return
  answer 3 503 "the server is shutting down" && answer 4 503 "the server is shutting down" || return
  say "The server ended by itself, with exit status 0."
}

# ask <path>: starts the next curl.
ask() {
  local n=$((++asked))
  printf '  %s$ curl %s%s\n' "$bold" "$url$1" "$plain"
  set -m
  curl -sS -m $watchdog --noproxy '*' -w '%{http_code}' "http://$url$1" </dev/null \
    >"$tmp/answer$n" 2>&1 &
  set +m
  curls[n]=$!
  groups+=("$!")
}

# answer <n> <status> <text>: waits for the nth curl, which must have received just that.
answer() {
  local received
  wait "${curls[$1]}"
  received=$(<"$tmp/answer$1")
  printf '  %9s %scurl #%d received: %s%s\n' "" "$green" "$1" "${received##*$'\n'} ${received%$'\n'*}" "$plain"
  [[ $received == "$3"$'\n'"$2" ]] || { fail "expected: $2 $3" && return 1; }
}

title_manual_loop="A loop of your own"
about_manual_loop="A server in one thread. The library's clock is one descriptor in the server's epoll set."
part_manual_loop() {
  start "$CTX_BUILD/examples/manual_loop" && show "all over" || return
  remark "What came first: the end of the work, the time limit or the client's. A # is 20 ms."
  finish
}

title_fan_in="Very many on one descriptor"
about_fan_in="100,000 contexts on one queue. Two threads and the clock end them, one poll sees it all."
part_fan_in() { start "$CTX_BUILD/examples/fan_in" && finish; }

title_graceful="Ending in order"
about_graceful="SIGTERM: no new work. What is in hand may be finished, for as long as its grace lasts."
part_graceful() {
  start "$CTX_BUILD/examples/graceful" && show "draining" || return
  remark "Requests have 30 s of grace, reports 600 ms. A # is 20 ms after the signal."
  finish
}

title_from_python="From Python"
about_from_python="The same library by ctypes: a thread cancels; poll, and then asyncio, see the descriptor."
part_from_python() {
  start python3 "$CTX_ROOT/examples/from_python.py" "$CTX_BUILD/libctx.so" && finish
}

title_from_rust="From Rust"
about_from_rust="The same library by extern \"C\": a thread cancels, and poll sees the descriptor."
part_from_rust() {
  in_rust start cargo run && finish
}
in_rust() {
  CTX_LIB_DIR=$CTX_BUILD CARGO_TARGET_DIR=$CTX_BUILD/examples/from_rust CARGO_TERM_COLOR=never \
    "$@" --offline --locked --manifest-path "$CTX_ROOT/examples/from_rust/Cargo.toml"
}

title_cross_runtime="All of them at once"
about_cross_runtime="A request in Python's asyncio, Rust's tokio and C's epoll. Whoever ends it ends all three."
part_cross_runtime() {
  start "$CTX_ROOT/bindings/cross_runtime/run.sh" \
    "${CTX_CROSS_RUNTIME:?says where it was built}" "${CTX_PREFIX:?says where libctx is installed}" demo &&
    finish
}

title_three_hosts="One deadline and one reason across hosts"
about_three_hosts="A request crosses Python, Rust and C++, to a query and a process. Four ends, and who is told."
part_three_hosts() {
  start "$CTX_ROOT/examples/three_hosts/run.sh" \
    "${CTX_THREE_HOSTS:?says where it was built}" "${CTX_PREFIX:?says where libctx is installed}" show &&
    finish
}

# --- the show ---------------------------------------------------------------------------------------

parts=("$@")
(($#)) || parts=(handle_request tickers trace_id epoll_server manual_loop fan_in graceful from_python from_rust
  cross_runtime three_hosts)
for part in "${parts[@]}"; do
  declare -F "part_$part" >/dev/null || { echo "demo.sh: no part '$part'" >&2 && exit 2; }
done

began=$(now) number=0 failed=0 table=() missing=()
printf '\n%slibctx: one tree of cancellation, deadlines and values for a whole process%s\n' "$bold" "$plain"
for part in "${parts[@]}"; do
  title=title_$part about=about_$part part_began=$(now)
  printf '\n%s%d/%d  %s%s\n' "$bold" $((++number)) ${#parts[@]} "${!title}" "$plain"
  say "${!about}"
  if declare -F "lacks_$part" >/dev/null && why=$("lacks_$part") && [[ -n $why ]]; then
    remark "Not shown: $why"
    missing+=("$part: $why")
    table+=("$(printf '%-16s %-28s %8s  %s' "$part" "${!title}" "" "not shown")")
    continue
  fi
  verdict="${green}ok$plain"
  "part_$part" || { verdict="${red}FAILED$plain" && ((++failed)); }
  end_programs
  table+=("$(printf '%-16s %-28s %8s  %s' "$part" "${!title}" "$(seconds $(($(now) - part_began)))" "$verdict")")
done

printf '\n%sWhat you have seen%s\n' "$bold" "$plain"
say "${table[@]}" "$(printf '%-45s %8s' "total" "$(seconds $(($(now) - began)))")"
((failed == 0)) || fail "$failed of ${#parts[@]} parts"
remark "The programs are in examples/ and bindings/cross_runtime/, each short enough to read at one sitting."
if ((${#missing[@]})); then
  remark "Not shown:"
  say "${missing[@]}"
  (($# == 0)) && [[ -z ${CI-} ]] || failed=1
fi
((failed == 0))
