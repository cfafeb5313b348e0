#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds the fuzzer of calls and the public functions together: tests/fuzz/api_fuzz.cc and tests/fuzz/api call each
function of cmake/libctx.map, or LEFT_OUT says why not."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

LEFT_OUT = {
    "ctx_export": "makes descriptors that other processes look for: tests/capi/exported changes every byte that they find",
    "ctx_import": "reads what ctx_export wrote, or a text: tests/capi/exported and tests/fuzz/text_fuzz.cc",
    "ctx_shutdown": "ends the default loop for good, and so would end all later inputs: tests/capi/loop/shutdown_test.cc",
}


def main():
    functions = set(re.findall(r"^    (ctx_\w+);$", (ROOT / "cmake/libctx.map").read_text(encoding="utf-8"), flags=re.M))
    assert functions, "no function found in cmake/libctx.map"
    files = [ROOT / "tests/fuzz/api_fuzz.cc", *sorted((ROOT / "tests/fuzz/api").iterdir())]
    source = "\n".join(file.read_text(encoding="utf-8") for file in files)
    source = re.sub(r'"(\\.|[^"\\])*"|//[^\n]*', "", source)
    called = set(re.findall(r"\b(ctx_\w+)\(", source)) & functions
    complaints = [f"api_fuzz never calls {name}, and check_fuzz.py does not say why"
                  for name in sorted(functions - called - set(LEFT_OUT))]
    complaints += [f"check_fuzz.py leaves out {name}, which api_fuzz calls" for name in sorted(called & set(LEFT_OUT))]
    complaints += [f"check_fuzz.py leaves out {name}, which is no function" for name in sorted(set(LEFT_OUT) - functions)]
    for complaint in complaints:
        print(complaint)
    if not complaints:
        print(f"{len(called)} functions called, {len(LEFT_OUT)} left out for a reason")
    return bool(complaints)


if __name__ == "__main__":
    sys.exit(main())
