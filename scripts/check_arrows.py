#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Who may include whom: docs/architecture.md draws the layers, and this script holds them.

- core's folders stand on each other in the order of CORE; a file includes its own folder and those before it.
- core includes no public header, and capi includes core and the public headers.
- Everyone else includes neither core nor capi, but for tests/core and tests/model, which may include core.

Each include that breaks this is printed with file and line.
"""

import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CORE = ["system", "base", "wire", "tree", "loop", "life", "watch", "drive"]
TESTS_OF_CORE = [("tests", "core"), ("tests", "model")]
FOLDERS = ["include", "core", "capi", "tests", "bench", "bindings", "examples", "tools"]
SOURCES = {".c", ".cc", ".h", ".hpp"}


def sources():
    for top in FOLDERS:
        assert (ROOT / top).is_dir(), f"there is no {top}/: mend FOLDERS"
        for folder, subfolders, names in os.walk(ROOT / top):
            subfolders[:] = [name for name in subfolders if name not in ("target", "build", "node_modules")]
            yield from (path for name in names if (path := pathlib.Path(folder, name)).suffix in SOURCES)


def includes(path):
    """(line, file of ours) for each #include of a file of this repository."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if match := re.match(r'\s*#\s*include\s*["<]([^">]+)[">]', line):
            for base in (path.parent, ROOT, ROOT / "include", ROOT / "tests", ROOT / "bindings/cpp/include"):
                if (file := (base / match[1]).resolve()).is_file() and file.is_relative_to(ROOT):
                    yield number, file.relative_to(ROOT)
                    break


def core_rank(path):
    """Which place a file's folder has in the order of core."""
    return CORE.index(path.parts[1])


def why_not(path, included):
    """Why one file may not include the other; None if it may."""
    source, target = path.parts[0], included.parts[0]
    if source == "core":
        if target != "core":
            return "core includes nothing but core"
        if core_rank(included) > core_rank(path):
            return f"core/{path.parts[1]} stands below core/{included.parts[1]}"
    elif source == "include":
        if target != "include":
            return "public headers include nothing but public headers"
    elif source == "capi":
        if target not in ("capi", "core", "include"):
            return "capi includes core and the public headers"
    elif target == "capi" or target == "core" and path.parts[:2] not in TESTS_OF_CORE:
        return f"{source}/ includes no header of {target}/"
    return None


def main():
    errors, count = [], 0
    for path in sorted(sources()):
        relative = path.relative_to(ROOT)
        if relative.parts[0] == "core" and relative.parts[1] not in CORE:
            errors.append(f"{relative}: not in a folder of core's order: {' '.join(CORE)}")
            continue
        for number, included in includes(path):
            count += 1
            if reason := why_not(relative, included):
                errors.append(f"{relative}:{number}: includes {included}: {reason}")
    print("\n".join(errors) or f"{count} includes follow the arrows")
    return bool(errors)


sys.exit(main())
