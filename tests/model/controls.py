#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Negative controls of the model: without each thing that controls.toml takes away from the core, a scenario must fail.

    controls.py BUILD [NAME...]

BUILD is a build with the target `model`, whose scenarios are linked with the changed core. With names: only the
controls whose names contain one. The last line counts.
"""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OWN = ["_linux.cc", "system/thread.cc", "base/lock.cc", "base/alloc.cc", "base/released.cc"]  # the model has its own
COMPILE = [
    *("g++ -std=c++20 -O0 -g1 -fsanitize=address -DCTX_CHECKED=1 -w -c").split(),
    *(ROOT / "core/flags.txt").read_text().split(),
]


def sources():
    found = sorted([*ROOT.glob("core/*/*.cc"), *ROOT.glob("capi/*.cc")])
    return [file.relative_to(ROOT) for file in found if not str(file).endswith(tuple(OWN))]


def compile_one(source, into, first_folders=()):
    """Compiles a file of the library, with headers of the first folders before its own."""
    target = into / f"{str(source).replace('/', '-')}.o"
    folders = [*first_folders, HERE / "replaced", ROOT / "include", ROOT, ROOT / "tests"]
    subprocess.run([*COMPILE, *(f"-I{folder}" for folder in folders), source, "-o", target], check=True, cwd=ROOT)
    return target


def changed_text(control):
    text = (ROOT / control["file"]).read_text(encoding="utf-8")
    for suffix in ("", "_2", "_3"):
        old = control.get(f"old{suffix}")
        if old is None:
            continue
        if text.count(old) != 1:
            raise SystemExit(f"{control['name']}: {control['file']} has this {text.count(old)} times, not once: {old!r}")
        text = text.replace(old, control[f"new{suffix}"])
    return text


def build_changed(control, common, work):
    """The program with one control: what it changes is compiled anew, or all if that is a header."""
    overlay = work / "overlay"
    changed = overlay / control["file"]
    changed.parent.mkdir(parents=True)
    changed.write_text(changed_text(control), encoding="utf-8")
    objects = dict(common["core"])
    if changed.suffix == ".cc":
        objects[pathlib.Path(control["file"])] = compile_one(changed, work)
    else:
        # A quoted include looks beside the including file first, and core's includes begin with core/: so the
        # overlay comes first.
        whole = work / "core.cc"
        whole.write_text("".join(f'#include "{source}"\n' for source in objects))
        objects = {None: compile_one(whole, work, [overlay])}
    program = work / "model"
    subprocess.run(["g++", "-fsanitize=address", *objects.values(), *common["model"], "-lfmt", "-lgtest", "-o", program], check=True)
    return program


def run(control, common):
    """(name, whether it is as it should be, what happened)"""
    work = common["folder"] / control["name"]
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    program = build_changed(control, common, work)
    words = [*control["by"].split(), *control.get("with", "").split(), "--until-failure"]
    for how in (["--random", "4000", "--seconds", "20"], ["--seconds", "20"]):  # random orders find most, and soon
        result = subprocess.run([program, *words, *how], check=False, capture_output=True, text=True, errors="replace")
        output, caught = result.stdout, result.returncode != 0
        if caught:
            break
    shutil.rmtree(work)
    if output.splitlines()[-1:] == ["0 passed, 0 failed"]:
        return control["name"], False, "names no scenario"
    if caught:
        failed = [line for line in output.splitlines() if line.endswith(")") and "FAILED (status" in line]
        who = [" ".join(line.replace("FAILED ", "").split()) for line in failed]
        as_it_should = "uncaught" not in control
        return control["name"], as_it_should, "caught by " + " ".join(who) + ("" if as_it_should else ", though `uncaught`")
    return control["name"], "uncaught" in control, control.get("uncaught", "NOT CAUGHT")


def main():
    build, names = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    controls = tomllib.loads((HERE / "controls.toml").read_text(encoding="utf-8"))["control"]
    assert len({control["name"] for control in controls}) == len(controls), "a name is there twice"
    wanted = [c for c in controls if not names or any(name in c["name"] for name in names)]
    folder = build / "controls"
    folder.mkdir(parents=True, exist_ok=True)
    model = sorted((build / "tests/model/CMakeFiles/model.dir").rglob("*.o"))
    assert model, f"{build} has no target `model`"
    good = bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        core = dict(zip(sources(), pool.map(lambda source: compile_one(source, folder), sources())))
        common = {"core": core, "model": model, "folder": folder}
        for future in concurrent.futures.as_completed([pool.submit(run, c, common) for c in wanted]):
            name, as_it_should, what = future.result()
            good, bad = good + as_it_should, bad + (not as_it_should)
            print(f"{'ok  ' if as_it_should else 'FAIL'} {name:<62} {what}", flush=True)
    print(f"{good} passed, {bad} failed")
    return 1 if bad or not good else 0


if __name__ == "__main__":
    sys.exit(main())
