#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds the manual in build/docs to be whole: scripts/check_manual.py, after Doxygen.

- Every function of cmake/libctx.map, and every type and constant of include/ctx/*.h, has an anchor on the page of
  its header: of the group that has the header's name.
- Every class, function, type and constant of bindings/cpp/include/ctx has one in the namespace ctx.
- Every link from page to page leads somewhere; there is a start page.

Doxygen itself says nothing of a name that it leaves out, such as all of a header that no comment puts into a group.
"""

import html.parser
import pathlib
import re
import sys
import urllib.parse
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = ROOT / "build/docs/html"


def text_of(path):
    return path.read_text(encoding="utf-8")


def exported():
    return re.findall(r"\b(ctx_\w+);", re.sub(r"/\*.*?\*/", "", text_of(ROOT / "cmake/libctx.map"), flags=re.S))


def c_names():
    """(group, name) of what the headers declare."""
    declarations = (r"\bCTX_API\b[^;(]*?\b(ctx_\w+)\s*\(",         # functions
                    r"^typedef [^;{]*?\b(ctx_\w+);", r"^} (ctx_\w+);",  # types
                    r"^typedef [^;(]*\(\*(ctx_\w+)\)", r"^struct (ctx_\w+) {",
                    r"^#define (CTX_(?!\w*_H$)\w+)")               # constants
    for header in sorted((ROOT / "include/ctx").glob("*.h")):
        text = re.sub(r"/\*.*?\*/", "", text_of(header), flags=re.S)
        for declaration in declarations:
            yield from ((header.stem, name) for name in re.findall(declaration, text, flags=re.M))


def cpp_names():
    """What the headers of C++ declare in namespace ctx: there it begins in the first column."""
    for header in sorted((ROOT / "bindings/cpp/include/ctx").rglob("*.hpp")):
        text = re.sub(r"^namespace detail {.*?^}  // namespace detail", "", text_of(header), flags=re.S | re.M)
        for line in re.findall(r"^(?!template|namespace|#|/|}|\s).*", text, flags=re.M):
            match = (re.match(r"(?:class|struct) (?:\[\[nodiscard\]\] )?(?:CTX_API )?(\w+)(?: : .*)? {", line)
                     or re.match(r"using (\w+) =", line) or re.match(r"inline constexpr [^=({]*?(\w+)[{=]", line)
                     or re.match(r"[^()]*?(?<!:)\b(\w+)\(", line))
            if match and not line.startswith("using namespace"):
                yield "ctx", match[1]


def anchors():
    """(group or namespace, name) -> page#anchor, as Doxygen tells other manuals."""
    found, compounds = {}, xml.etree.ElementTree.parse(ROOT / "build/docs/libctx.tag").getroot().findall("compound")
    pages = {compound.findtext("name"): compound.findtext("filename") for compound in compounds}
    for compound in compounds:
        if compound.get("kind") in ("group", "namespace"):
            where = "ctx" if compound.get("kind") == "namespace" else f"{compound.findtext('name')}.h"
            for member in compound.findall("member"):
                place = f"{member.findtext('anchorfile')}#{member.findtext('anchor')}"
                found[where, member.findtext("name")] = place
            for name in (one.text for one in compound.findall("class")):
                found[where, name.rpartition("::")[2]] = pages[name]
    return found


class Page(html.parser.HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(text_of(path))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids |= {values[key] for key in ("id", "name") if values.get(key)}
        self.links += [values[key] for key in ("href", "src") if values.get(key)]


def main():
    errors, known = [], anchors()
    pages = {path.name: Page(path) for path in sorted(PAGES.glob("*.html"))}

    def leads_nowhere(link):
        url = urllib.parse.urlsplit(link)
        name = urllib.parse.unquote(url.path)
        if url.scheme or link.startswith("#"):
            return False
        return not (PAGES / name).exists() or url.fragment and name in pages and url.fragment not in pages[name].ids

    wanted = [(f"{stem}.h", name) for stem, name in c_names()] + list(dict.fromkeys(cpp_names()))
    for where, name in wanted:
        if place := known.get((where, name)):
            if leads_nowhere(place):
                errors.append(f"{name}: no anchor {place}")
        else:
            errors.append(f"{name}: it has no place in {where}'s page of the manual")
    missing = set(exported()) - {name for _, name in wanted}
    errors += [f"{name}: exported, but in no header" for name in sorted(missing)]
    if "index.html" not in pages or len(text_of(PAGES / "index.html")) < 10_000:
        errors.append("index.html: no start page")
    menu = re.findall(r'url:"([^"]*)"', text_of(PAGES / "menudata.js"))
    links = [(name, link) for name, page in pages.items() for link in page.links] + [("the menu", one) for one in menu]
    errors += [f"{name}: the link to {link} leads nowhere" for name, link in links if leads_nowhere(link)]
    print("\n".join(errors) or f"{len(wanted)} names and {len(links)} links of {len(pages)} pages lead somewhere")
    return bool(errors)


sys.exit(main())
