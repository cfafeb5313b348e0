#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What Doxygen reads in place of a file: docs/manual/filter.py FILE.

The pages of the repository are written to be read as they are. For the manual each heading gets a name; links
between pages, to headers and to examples become links of the manual, and so do names of C in `...`. A link to
what the manual has not becomes a word. In the comments of headers, names of constants and of
headers become links.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def declared():
    """Each name that Doxygen knows by the headers of C."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "include/ctx").glob("*.h"))
    return set(re.findall(r"\bctx_\w+(?=\()", text)) | set(re.findall(r"#define (CTX_\w+) ", text))


def name_of(page):
    """The manual's name for a page."""
    parts = [part for part in page.relative_to(ROOT).with_suffix("").parts if part not in ("README", "docs")]
    return "_".join(parts).lower().replace("examples", "programs") or "index"  # Doxygen has its own examples.html


def anchor_of(heading):
    """An anchor, as the usual viewers of Markdown make it of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def group_of(header):
    """The group of a header of C."""
    return "c" if header == "ctx" else header


def target_of(page, link):
    """What a link of a page is in the manual; None if it is nothing there."""
    link, _, anchor = link.partition("#")
    path = (page.parent / link).resolve() if link else page
    if (path / "README.md").is_file():
        path = path / "README.md"
    if path.suffix == ".md":
        return f"{name_of(path)}_{anchor}" if anchor else name_of(path)
    if path.suffix == ".h" and path.is_relative_to(ROOT / "include"):
        return group_of(path.stem)
    if path.name in ("ctx.hpp", "LICENSE"):
        return {"ctx.hpp": "ctx", "LICENSE": "license"}[path.name]
    if path.is_file() and (match := re.search(r"/examples?/(.*)", str(path))):
        return match[1]
    return None


def page(path):
    functions, fenced, first = declared(), False, True

    def link(match):
        text, target = match.groups()
        if ":" in target:
            return match[0]
        target = target_of(path, target)
        return f"[{text}](@ref {target})" if target else text

    def code(match):
        name = match[1].removesuffix("()")
        if name in functions:
            return f"<code>#{name}</code>"
        return f"`{match[0]}`" if "'" in match[1] else match[0]  # which Doxygen else takes for an end of the code

    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and (match := re.match(r"#+ (.*)", line)):
            name = name_of(path) if first else f"{name_of(path)}_{anchor_of(match[1])}"
            line += " {#mainpage}" if name == "index" else f" {{#{name}}}"
            first = False
        elif not fenced:
            line = re.sub(r"\[([^\]]*)\]\(([^)]+)\)", link, line)
            line = re.sub(r"`([^`]+)`", code, line)
        yield line


def header(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        if re.match(r"\s*(/\*\*|\*|///)", line):
            line = re.sub(r"(?<![#\w])(CTX_[A-Z_]*[A-Z])\b", r"#\1", line)
            line = re.sub(r"\bctx/(\w+)\.h\b(?! -)", lambda match: f'@ref {group_of(match[1])} "{match[0]}"', line)
        yield line


file = pathlib.Path(sys.argv[1]).resolve()
print("\n".join(page(file) if file.suffix == ".md" else header(file)))
