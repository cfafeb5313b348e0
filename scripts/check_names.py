#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds the names of the public functions together. Those of include/ctx/*.h are the ones that must be in:

- cmake/libctx.map, the version script,
- the README's table "The API at a glance", in the row of their header,
- bindings/rust/libctx-sys/src/functions.rs.

Whatever else these list, or any page calls ctx_..., is a function, a macro or a type of the headers as well. The tables of
bindings/README.md have a script of their own, check_bindings.py.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def read_all(folder, patterns):
    paths = [path for pattern in patterns for path in sorted((ROOT / folder).glob(pattern))]
    assert paths, f"nothing to read in {folder}"
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def headers():
    """The header of each public function."""
    functions = {}
    for path in sorted((ROOT / "include/ctx").glob("*.h")):
        text = re.sub(r"/\*.*?\*/|^\s*#.*?[^\\]$", "", path.read_text(encoding="utf-8"), flags=re.S | re.M)
        for name in re.findall(r"\bCTX_API\b[^;(]*?\b(ctx_\w+)\s*\(", text):
            functions[name] = path.name
    assert functions, "no function found in the headers"
    return functions


def types():
    """Also the macros that look like functions."""
    headers = read_all("include/ctx", ["*.h"])
    patterns = (r"^#define (ctx_\w+)\(", r"\b(?:struct|typedef|\(\*)[^;(]*?\b(ctx_\w+)", r"^} (ctx_\w+);")
    named = {name for pattern in patterns for name in re.findall(pattern, headers, flags=re.M)}
    return named | set(re.findall(r"\b(ctx_\w+)\s*[;)]", read_all("include/ctx", ["types.h"])))


def compare(where, names, functions):
    yield from (f"{where}: {name} is missing" for name in functions if name not in names)
    yield from (f"{where}: {name} is not in the headers" for name in sorted(set(names) - set(functions)))


def version_script():
    text = re.sub(r"/\*.*?\*/", "", read("cmake/libctx.map"), flags=re.S)
    return re.findall(r"\b(ctx_\w+);", text)


def rust_declarations():
    return re.findall(r"\bpub fn (ctx_\w+)\(", read("bindings/rust/libctx-sys/src/functions.rs"))


def rows(path, heading):
    """The cells of each row of the table under a heading of a page."""
    section = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", read(path), flags=re.S | re.M)
    assert section, f"{path}: there is no heading '{heading}'"
    table = re.findall(r"^\| (.*) \|$", section[1], flags=re.M)[2:]
    assert table, f"{path}: no table under '{heading}'"
    return [[cell.strip() for cell in row.split(" | ")] for row in table]


def at_a_glance(functions):
    """Of the README's table. There `…_suffix` stands for any name of the row, or the first part of one, with
    that suffix."""
    for cells in rows("README.md", "The API at a glance"):
        header = re.search(r"\[(\w+\.h)\]", cells[0])[1]
        whole = re.findall(r"`(ctx_\w+)`", cells[1])
        listed = set(whole)
        for suffix in re.findall(r"`…(_\w+)`", cells[1]):
            stems = {name[:end] for name in whole for end in range(len("ctx_"), len(name) + 1)}
            found = {stem + suffix for stem in stems} & set(functions)
            if not found:
                yield f"README.md: …{suffix} in the row of {header} stands for no function"
            listed |= found
        here = {name: header for name, of in functions.items() if of == header}
        yield from compare(f"README.md, row of {header}", listed, here)
    for header in sorted(set(functions.values())):
        if f"[{header}]" not in read("README.md"):
            yield f"README.md: no row for {header}"


def pages(functions):
    """Names that no header has, in any text for people."""
    known = set(functions) | types()
    found = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
    found += [path for folder in ("docs", "bindings", "examples", "include") for path in (ROOT / folder).rglob("*")
              if path.suffix in (".md", ".h", ".hpp") and "target" not in path.parts]
    for path in sorted(found):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            for name in re.findall(r"(?<![/\w])ctx_[a-z]\w*", line):
                if name not in known:
                    yield f"{path.relative_to(ROOT)}:{number}: {name} is not in the headers"


def main():
    functions = headers()
    errors = [*compare("cmake/libctx.map", version_script(), functions),
              *compare("bindings/rust/libctx-sys/src/functions.rs", rust_declarations(), functions),
              *at_a_glance(functions), *pages(functions)]
    print("\n".join(errors) or f"{len(functions)} functions, each where it belongs")
    return bool(errors)


if __name__ == "__main__":
    sys.exit(main())
