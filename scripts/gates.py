#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that every gate of .ci/run can fail: scripts/gates.py [WORD...], by `./dev gates`.

A gate that nobody has seen fail may have stopped looking. For each one this plants a violation into a copy of the
tree, in build/gates, and runs that gate as `./dev` does, with no more built and tested than it needs: first
without the violation, when it must pass, and then with it, when it must fail and say why. WORDs choose gates by
their names. Every command of .ci/run, and every step of `./dev check` and `./dev docs`, must have its gate here. A gate
whose tool is missing must fail, too: some violations are tools that cannot be found.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
COPY, SHIMS = ROOT / "build/gates/tree", ROOT / "build/gates/bin"

ONE_FILE = "CMakeFiles/ctx.dir/core/base/alloc.cc.o"
ALLOC, ALLOC_END = "core/base/alloc.cc", "}  // namespace ctxcore"
ALLOCATE = "{ return std::malloc(size); }"
ONE_CASE = r"^value\.Value\.Rule29_TheNearestWins$"
DOCS = "manual in build/docs/html/index.html\nnames and links of the manual"
SCALE = "build what is run at scale"
LOST_SPARE = [("core/life/release.cc", "Node* const older = home.spare.load(std::memory_order_relaxed);", "Node* const older = nullptr;")]
RULES = len(re.findall("^### Rule ", (ROOT / "docs/rules.md").read_text(encoding="utf-8"), flags=re.M))


@dataclasses.dataclass
class Gate:
    name: str      # what is held
    planted: str   # what violates it
    edits: list    # [(file, text that is there, what it becomes)]; an empty text stands for the file's end
    says: str      # how the gate tells
    command: str   # of dev, with its words
    steps: str     # those steps of the command that are run, by the names that dev gives them
    build: str = ONE_FILE  # what of the tree is built
    tests: str = "^$"      # what of the tests is run; if empty, what dev names
    hidden: str = ""       # a tool that cannot be found, in place of edits


def check(name, step, planted, edits, says):
    return Gate(name, planted, edits, says, "check", step)


def in_tables(name, planted, edit, says):
    return check(f"names: {name}", "names in C++, Python and Rust", planted, [edit], says)


def release(name, planted, edits, says, build, tests):
    return Gate(name, planted, edits, says, "test", "build release\ntest release", build, tests)


def without(tool, command, steps, says=None, name=None, **more):
    return Gate(f"no {name or tool}", f"{tool} cannot be found", [],
                says or rf"{tool}(: (command )?not found|.*No such file)", command, steps, hidden=tool, **more)


def unconfigured(preset, command):
    """CMake looks for tools when it first configures a preset; what it leaves without one of them builds nothing."""
    return f"rm -rf build/{preset}; {command}; rm -rf build/{preset}"


def not_to_be_had(name, step, edit, says):
    return check(f"no {name}", step, f"the version of {name} that dev wants is nowhere", [("dev", *edit)], says)


def sanitized(preset, name, planted, edits, says, build, tests):
    return Gate(name, planted, edits, says, "sanitize", f"build {preset}\ntest {preset}", build, tests)


GATES = [
    check("format", "formatting", "two spaces in core/base/alloc.cc",
          [(ALLOC, "", "int  planted;\n")], r"alloc\.cc:\d+:\d+: error: code should be clang-formatted"),
    check("arrows", "who may include whom", "core/base includes core/loop",
          [(ALLOC, "#include <cstdlib>\n", '#include <cstdlib>\n\n#include "core/loop/roots.h"\n')],
          r"alloc\.cc:\d+: includes core/loop/roots\.h"),
    check("rules: a test's", "rules and targets against what cites them", "a test of a rule 999",
          [("tests/capi/value/value_test.cc", "", "TEST(Value, Rule999_Planted) {}\n")], r"there is no rule 999"),
    check("rules: a heading's", "rules and targets against what cites them", "a rule without a test",
          [("docs/rules.md", "", f"\n### Rule {RULES + 1}: Planted\n\nNobody tests it.\n")], r"rule \d+ has no test"),
    check("names: declarations", "names of the public functions", "ctx_todo is not declared for Rust",
          [("bindings/rust/libctx-sys/src/functions.rs", "pub fn ctx_todo(", "pub fn todo(")],
          r"functions\.rs: ctx_todo is missing"),
    check("fuzzer", "functions that the fuzzer calls", "api_fuzz forgets ctx_touch()",
          [("tests/fuzz/api/context.cc", "FUZZ_EQ(ctx_touch(contexts_[i].ctx), model_.Touch(i));", ""),
           ("tests/fuzz/api/session.cc", "FUZZ_EQ(ctx_touch(reinterpret_cast<ctx_t*>(canceler)), -EINVAL);", "")],
          r"api_fuzz never calls ctx_touch"),
    in_tables("C", "ctx_todo has no row in bindings/README.md",
              ("bindings/README.md", "| `ctx_todo` |", "| `todo` |"), r"Every function: ctx_todo is missing"),
    in_tables("a type of C", "a struct of a header has no row",
              ("include/ctx/queue.h", "/** The event of", "struct ctx_planted {\n  int x;\n};\n\n/** The event of"),
              r"Every type and constant: ctx_planted is missing"),
    in_tables("C++", "a public member of a class is in no row",
              ("bindings/cpp/include/ctx/callback.hpp", "  bool stop() const {",
               "  int planted() const { return 0; }\n  bool stop() const {"),
              r"C\+\+: planted of watch is in no row"),
    in_tables("Python", "a name of __all__ is in no row",
              ("bindings/python/src/libctx/__init__.py", "__all__ = [\n", '__all__ = [\n    "planted",\n'),
              r"Python: planted is in no row"),
    in_tables("Rust", "a public function is in no row",
              ("bindings/rust/libctx/src/done.rs", "impl Context {\n",
               "impl Context {\n    pub fn planted(&self) {}\n"),
              r"Rust: planted of Context is in no row"),
    in_tables("a row", "a row has a name that Rust does not have",
              ("bindings/README.md", "`Context::todo` |", "`Context::to_do` |"),
              r"ctx_todo: Rust has no Context::to_do"),
    check("warnings of gcc", "gcc, warnings as errors", "a local variable that is not used",
          [(ALLOC, ALLOC_END, "int planted() {\n  int unused;\n  return 0;\n}\n" + ALLOC_END)],
          r"error: unused variable .unused."),
    check("warnings of clang", "clang with thread-safety analysis, warnings as errors",
          "a private field that is not used, of which gcc says nothing",
          [(ALLOC, ALLOC_END, "class Planted {\n  int unused_ = 0;\n};\n" + ALLOC_END)],
          r"error: private field 'unused_' is not used"),
    check("thread-safety analysis", "clang with thread-safety analysis, warnings as errors",
          "a guarded field that is read without its lock",
          [(ALLOC, "#include <cstdlib>\n", '#include <cstdlib>\n\n#include "core/base/lock.h"\n'),
           (ALLOC, ALLOC_END, "struct Planted {\n  Lock lock;\n  int guarded CTX_GUARDED_BY(lock) = 0;\n"
            "  int read() { return guarded; }\n};\n" + ALLOC_END)],
          r"error: reading variable 'guarded' requires holding lock"),
    check("clang-tidy", "clang-tidy", "a parameter that is copied for each call",
          [(ALLOC, "#include <cstdlib>\n", "#include <cstdlib>\n\nstruct Large {\n  Large(const Large&);\n"
            "  ~Large();\n  int x;\n};\nint planted(Large large) { return large.x; }\n")],
          r"error: the parameter 'large' is copied for each invocation"),
    check("cppcheck", "cppcheck", "memory that is not freed",
          [("examples/tickers.c", "", "#include <stdlib.h>\nvoid planted(void) {\n"
            "  char *lost = malloc(9);\n  if (lost) lost[0] = 1;\n}\n")],
          r"Memory leak: lost"),
    check("gcc -fanalyzer", "gcc -fanalyzer, for C", "memory that is freed twice",
          [("examples/epoll_server.c", "", "#include <stdlib.h>\nvoid planted(char *twice) {\n"
            "  free(twice);\n  free(twice);\n}\n")],
          r"double-.free. of .twice."),
    check("ruff", "ruff and bandit", "an import that nobody uses",
          [("bindings/python/src/libctx/_hub.py", "", "import planted\n")], r"F401"),
    check("bandit", "ruff and bandit", "a shell that runs a text",
          [("bindings/python/src/libctx/_planted.py", "", 'import os\n\nos.system("x" + __name__)\n')],
          r"B605:start_process_with_a_shell"),
    check("cargo-deny", "cargo-deny", "a license that many crates have is not allowed",
          [("bindings/rust/deny.toml", '"MIT", ', "")], r"licenses FAILED"),
    check("shellcheck", "shellcheck", "a variable without quotes",
          [("tests/consumer/consume.sh", "", "rm $1\n")], r"SC2086"),
    Gate("coverage", "a function that no test calls",
         [(ALLOC, ALLOC_END, "int planted(int x) { return x + 1; }\n" + ALLOC_END)],
         r"alloc\.cc:\d+: no test runs it", "coverage",
         "build coverage\ntest coverage\ncount what has run\ncoverage of core and capi", "ctx", tests=""),
    Gate("model", "a canceler does not wait until another one's walk has marked all",
         [("core/life/walk.h", "await_met(Phase::kMarked);", "")],
         r"FAILED: .*scenarios/tree\.cc", "model wait_above --random 4000", "build the model\ncompile the model", "model"),
    Gate("fuzz", "a text is written past the end of its place",
         [("core/base/text.cc", "std::min(text.size(), room_ - length_)", "text.size()")],
         r"text_fuzz: it fails on", "fuzz 20 text_fuzz", "build the fuzzers", "text_fuzz"),
    Gate("stress: scale", "the memory kept for a parent's next child is lost when it is replaced", LOST_SPARE,
         r"FAILED.*TwoAtATime", "stress 0.2", f"{SCALE}\nScaleMemory.Rule11_StaysFlat/TwoAtATime", "test_scale soak"),
    Gate("stress: soak", "the same", LOST_SPARE,
         r"FAILED: not so: the heap does not grow", "stress 1", f"{SCALE}\nsoak", "test_scale soak"),
    without("clang-format-14", "check", "formatting"),
    without("clang-tidy-14", "check", "clang-tidy"),
    without("cppcheck", "check", "cppcheck"),
    without("gcc", "check", "gcc -fanalyzer, for C"),
    without("shellcheck", "check", "shellcheck"),
    without("python3", "check", "who may include whom"),
    without("python3-config", "check", "gcc -fanalyzer, for C"),
    without("g++", unconfigured("gcc", "check"), "gcc, warnings as errors",
            r"g\+\+\s+is not a full path and was not found"),
    without("clang++", unconfigured("clang", "check"), "clang with thread-safety analysis, warnings as errors",
            r"clang\+\+\s+is not a full path and was not found"),
    without("ninja", unconfigured("gcc", "check"), "gcc, warnings as errors",
            r'build program corresponding to "Ninja"'),
    without("clang++", unconfigured("fuzz", "fuzz 1 text_fuzz"), "build the fuzzers",
            r"the fuzzers need clang, which is missing", "clang++ for the fuzzers", build="text_fuzz"),
    not_to_be_had("ruff", "ruff and bandit", ("(ruff==", "(ruff==9999."), r"No matching distribution found for ruff"),
    not_to_be_had("bandit", "ruff and bandit", (" bandit==", " bandit==9999."),
                  r"No matching distribution found for bandit"),
    not_to_be_had("cargo-deny", "cargo-deny", ("cargo_deny=0.", "cargo_deny=9999."), r"could not find `cargo-deny`.*"),
    without("cargo", "check", "cargo-deny", r"cargo-deny needs Rust .*, which is missing"),
    # These two count their tests by what a script says.
    without("python3", "language python has_python echo 1 passed", "test python", r"test python: its tools are missing",
            "Python"),
    without("cargo", "language rust has_rust echo 1 passed", "test rust", r"test rust: its tools are missing", "Rust"),
    without("gcovr", "mkdir -p build/coverage && coverage", "count what has run"),
    without("doxygen", "docs", DOCS),
    without("dot", "docs", DOCS),
    # The first of those that take the library, as it leaves none behind.
    release("symbols: libc alone", "core uses a function of libm",
            [(ALLOC, "#include <cstdlib>\n", "#include <cmath>\n#include <cstdlib>\n"),
             (ALLOC, ALLOCATE, "{ return std::malloc(size + (std::cos(size) > 2)); }")],
            r"undefined reference to `cos'", "ctx", r"^abi\.needed$"),
    release("symbols: in the map", "ctx_todo is taken out of cmake/libctx.map",
            [("cmake/libctx.map", "    ctx_todo;\n", "")],
            r"in headers but not in version script: \['ctx_todo'\]", "ctx", r"^abi\.exports$"),
    release("symbols: in the headers", "cmake/libctx.map exports what is nowhere",
            [("cmake/libctx.map", "    ctx_todo;\n", "    ctx_todo;\n    ctx_planted;\n")],
            r"in version script but not in headers: \['ctx_planted'\]", "ctx", r"^abi\.exports$"),
    release("headers alone", "value.h forgets to include types.h",
            [("include/ctx/value.h", "#include <ctx/types.h>\n", "")],
            r"header_value_alone_c99.*Failed", "ctx", r"^abi\.header_value_alone_c99$"),
    release("instructions", "the memory kept for a parent's next child is never used",
            [("core/life/make_node.h", "if (spare == nullptr || spare->kind != kind) return nullptr;",
              "if (spare == nullptr || kind != Kind::merged) return nullptr;")],
            r"P1: .* instructions, .*\n.*More than a tenth", "ctx speed_operations", r"^speed\.instructions_P1$"),
    Gate("manual: comments", "ctx_now() has no comment",
         [("include/ctx/context.h", "/** Now, on the clock", "/* Now, on the clock")],
         r"ctx_now.* is not documented", "docs", DOCS),
    Gate("manual: anchors", "value.h is in no group",
         [("include/ctx/value.h", " * @{\n", ""), ("include/ctx/value.h", "/** @} */\n", "")],
         r"ctx_with_value: it has no place", "docs", DOCS),
    Gate("manual: links", "the README links to a page that is not there",
         [("README.md", "](CONTRIBUTING.md)", "](docs/planted.md)")],
         r"unable to resolve reference to 'planted'", "docs", DOCS),
    sanitized("asan", "AddressSanitizer", "core allocates one byte less than it uses",
              [(ALLOC, ALLOCATE, "{ return std::malloc(size - 1); }")],
              r"ERROR: AddressSanitizer: heap-buffer-overflow", "test_value", ONE_CASE),
    sanitized("asan", "UndefinedBehaviorSanitizer", "a sum of two ints that is too large",
              [(ALLOC, ALLOCATE, "{ return std::malloc(size + (int(size) + 0x7fffffff == 0)); }")],
              r"runtime error: signed integer overflow", "test_value", ONE_CASE),
    sanitized("tsan", "ThreadSanitizer", "two threads write a plain variable",
              [(ALLOC, f"void* allocate(size_t size) {ALLOCATE}",
                "static int planted;\nvoid* allocate(size_t size) { return std::malloc(size + (planted++ == 0)); }")],
              r"WARNING: ThreadSanitizer: data race", "test_cancel",
              r"^cancel\.CancelRace\.Rule08_TwoThreadsDerivingWhileAThirdCancels$"),
    release("leaks", "one in four blocks of memory is not freed",
            [(ALLOC, "void deallocate(void* memory) {\n", "void deallocate(void* memory) {\n"
              "  static int planted;\n  if (++planted % 4 == 0) return;\n")],
            r"Expected: \(LiveBlocks\(\) - blocks\)", "test_fault", r"^fault\.NoMemory\..*Leaks/WithValue$"),
    release("no test is skipped: a case", "a case skips itself",
            [("tests/capi/value/value_test.cc", "TEST(Value, Rule29_TheNearestWins) {\n",
              "TEST(Value, Rule29_TheNearestWins) {\n  GTEST_SKIP();\n")],
            r"[1-9]\d* passed, 1 failed, 0 skipped", "test_value", r"^value\.all$"),
    release("no test is skipped: a tool", "a tool of a test is missing",
            [("tests/abi/CMakeLists.txt", "", "ctx_add_missing(abi.planted planted)\n")],
            r"1 passed, 1 failed, 0 skipped", "ctx", r"^abi\.(planted|soname)$"),
    Gate("no test is skipped: a language", "the tests of a binding skip one",
         [("build/skips", "", "== skipped: planted\n")], r"3 passed, 1 failed, 0 skipped",
         "language planted true sh -c 'echo 3 passed; cat build/skips || true'", "test planted"),
]

# dev's own functions, with the steps that a gate has no need of left out.
HARNESS = r"""
. ./dev
need() { :; }
bindings() { :; }
eval "dev_$(declare -f step)"
step() { if grep -qxF -- "$1" <<<"$GATE_STEPS"; then dev_step "$@"; fi; }
eval "$GATE_COMMAND"
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
"""
SHIM = {"cmake": '[ "$1" != --build ] || set -- "$@" --target $GATE_BUILD',
        "ctest": '[ -z "$GATE_TESTS" ] || set -- "$@" -R "$GATE_TESTS"'}


def copy_tree():
    """What is in the tree now, committed or not; files that did not change keep their time, so little is built."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            check=True, capture_output=True, text=True).stdout.split("\0")
    names = {name for name in listed if name and os.path.lexists(ROOT / name)}
    for old in [path for path in COPY.rglob("*") if not path.is_dir() or path.is_symlink()] if COPY.exists() else []:
        name = str(old.relative_to(COPY))
        if not name.startswith("build/") and name not in names:
            old.unlink()
    for name in sorted(names):
        source, target = ROOT / name, COPY / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            if not os.path.lexists(target):
                target.symlink_to(os.readlink(source))
        elif not target.exists() or source.read_bytes() != target.read_bytes():
            shutil.copy(source, target)


def make_shims():
    SHIMS.mkdir(parents=True, exist_ok=True)
    for tool, change in SHIM.items():
        if not shutil.which(tool):
            sys.exit(f"the gates need {tool}, which is missing")
        (SHIMS / tool).write_text(f'#!/bin/sh\n{change}\nexec {shutil.which(tool)} "$@"\n')
        (SHIMS / tool).chmod(0o755)


def path_without(tool):
    """A folder with all that PATH finds, but for one tool; or PATH."""
    if not tool:
        return os.environ["PATH"]
    folder = SHIMS.parent / f"without-{tool}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in [file for place in os.get_exec_path() for file in pathlib.Path(place).glob("*")]:
        if file.name != tool and not os.path.lexists(folder / file.name):
            (folder / file.name).symlink_to(file)
    return str(folder)


def run(gate, hidden=""):
    environment = dict(os.environ, CI="1", PATH=f"{SHIMS}:{path_without(hidden)}", GATE_STEPS=gate.steps,
                       GATE_COMMAND=gate.command, GATE_BUILD=gate.build, GATE_TESTS=gate.tests)
    began = time.monotonic()
    done = subprocess.run(["bash", "-c", HARNESS], cwd=COPY, env=environment, stdin=subprocess.DEVNULL, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    return done.returncode, done.stdout, time.monotonic() - began


def plant(edits):
    """Makes the edits; the texts that were there, to be put back."""
    before = {}
    for name, old, new in edits:
        path = COPY / name
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        before.setdefault(path, text)
        assert not old or text.count(old) == 1, f"{name} has no longer exactly one {old!r}: mend scripts/gates.py"
        path.write_text(text.replace(old, new) if old else text + new, encoding="utf-8")
    return before


def try_gate(gate):
    """(whether the gate caught it, how, seconds)."""
    code, output, _ = run(gate)
    if code != 0:
        return False, f"it fails without a violation:\n{output}", 0
    before = plant(gate.edits)
    try:
        code, output, seconds = run(gate, gate.hidden)
    finally:
        for path, text in before.items():
            path.write_text(text, encoding="utf-8")
    match = re.search(rf"^.*{gate.says}.*$", output, flags=re.M)
    if code == 0:
        return False, f"it passes:\n{output}", seconds
    if not match:
        return False, f"it fails, but not with {gate.says}:\n{output}", seconds
    return True, " ".join(match[0].split()).replace(f"{COPY}/", ""), seconds


def untried():
    """The commands of .ci/run, and their steps, that no gate here tries."""
    dev = (ROOT / "dev").read_text(encoding="utf-8")
    commands = re.search(r'/dev" (.*)', (ROOT / ".ci/run").read_text(encoding="utf-8"))[1].split()
    found = {command: re.search(rf"^{command}\(\) {{.*?^}}", dev, flags=re.S | re.M) for command in commands}
    bodies = {command: body[0] for command, body in found.items() if body}  # the other words are arguments
    steps = re.findall(r'verdict "([^"$]+)"', "\n".join(bodies.values()))
    assert steps, "dev has no steps?"
    return [f"the command '{command}'" for command in bodies
            if not any(gate.command.split()[0] == command and not gate.hidden for gate in GATES)] + \
        [f"the step '{step}'" for step in steps if not any(step in gate.steps.split("\n") for gate in GATES)]


def main():
    chosen = [gate for gate in GATES if not sys.argv[1:] or any(word in gate.name for word in sys.argv[1:])]
    copy_tree()
    make_shims()
    failures = [f"no gate here tries {what} of dev" for what in untried()]
    print(f"{'gate':<30}  {'planted violation':<60}  {'s':>4}  how it was caught")
    for gate in chosen:
        caught, how, seconds = try_gate(gate)
        how = how if caught else f"NOT CAUGHT: {how}"
        print(f"{gate.name:<30}  {gate.planted:<60}  {seconds:>4.0f}  {how}", flush=True)
        if not caught:
            failures.append(f"{gate.name}: not caught")
    print("\n".join(failures) or f"{len(chosen)} violations, each caught")
    return bool(failures) or not chosen


sys.exit(main())
