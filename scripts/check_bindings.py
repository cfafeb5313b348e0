#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds the tables of bindings/README.md together with what each language exports, name by name.

A row is one thing, and each of its cells the name of it in one language, or – and the reason why there is none.
Every function, type and constant of include/ctx/*.h has a row. Every public name is in a row: of C++ the classes,
functions and variables of the namespace ctx and public members; of Python what is in __all__ and the public
members of those classes, and what is in __all__ of the modules inside, such as libctx.asgi; of Rust what the lib.rs
of each crate exports and the public functions of those types. A name in a cell is exported by its language, and where a cell has
a reason, the binding does not call the function.
"""

import ast
import re
import sys

sys.dont_write_bytecode = True
from check_names import ROOT, compare, headers, read, read_all, rows  # noqa: E402

PAGE = "bindings/README.md"
TABLES = ("Every function", "Every type and constant", "What only bindings have")
CPP, PYTHON, RUST = "bindings/cpp/include/ctx", "bindings/python/src/libctx", "bindings/rust/libctx/src"
CRATES = (RUST, "bindings/rust/libctx-tower/src")
# Where each language calls C.
CALLS = {"C++": (CPP, ["*.hpp"]), "Python": ("bindings/python/src", ["ext/*.c"]), "Rust": (RUST, ["*.rs"])}
# Namespaces in ctx, each named as the library that its header is for.
OF_OTHERS = ("asio", "grpc")
# The language itself asks for these names.
OF_THE_LANGUAGE = {"await_ready", "await_suspend", "await_resume", "callback_type", "what"}


def c_names():
    """Types and constants; the functions are headers()."""
    text = read_all("include/ctx", ["*.h"])
    type_name = r"^(?:typedef struct \w+ |typedef [^;{]*?\(\*|\} |struct )(\w+)(?:;|\)\(| \{)"
    types = re.findall(type_name, text, flags=re.M)
    constants = [name for name in re.findall(r"^#define (CTX_\w+) ", text, flags=re.M) if name != "CTX_API"]
    return list(dict.fromkeys([*types, *constants]))


class Cpp:
    """The public names of the headers in namespace ctx, as {name: {class, or "" for a free one}}."""

    def __init__(self):
        self.names = {}
        for path in sorted((ROOT / CPP).rglob("*.hpp")):
            self.scan(path.read_text(encoding="utf-8"))

    def scan(self, text):
        text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)
        text = re.sub(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\'', '""', text)
        text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", "", text, flags=re.M)
        scopes, head = [["namespace", "", "public"]], ""
        for i, char in enumerate(text):
            kind, name, access = scopes[-1]
            if kind == "body":
                if char == "{":
                    scopes.append(["body", "", ""])
                elif char == "}":
                    scopes.pop()
                    head = name  # of a default argument: the declaration goes on
                continue
            if char == ":" and head.strip() in ("public", "private", "protected") and text[i + 1] != ":":
                scopes[-1][2], head = head.strip(), ""
            elif char == "{" and head.count("(") > head.count(")"):
                scopes.append(["body", head, ""])
            elif char == "{":
                scopes.append(self.opened(head, scopes))
                head = ""
            elif char == "}":
                scopes.pop()
                head = ""
            elif char == ";":
                self.declared(head, scopes)
                head = ""
            else:
                head += char
        assert len(scopes) == 1, "braces that do not match"

    def opened(self, head, scopes):
        head = self.bare(head)
        if match := re.match(r"(?:inline )?namespace\s+([\w:]*)$", head):
            return ["namespace", match[1], "public"]
        of_class = r"(class|struct|union|enum)\b[^(=:]*?(\w+)( final)?\s*(:[^:].*)?$"
        if match := re.match(of_class, head, re.S):
            self.add(match[2], scopes)
            return ["class", match[2], "private" if match[1] == "class" else "public"]
        self.declared(head, scopes)
        return ["body", "", ""]

    @staticmethod
    def bare(head):
        """Without template<...> in front, and without attributes and macros."""
        head = re.sub(r"\[\[.*?\]\]|\bCTX_API\b", "", head).strip()
        while head.startswith("template"):
            depth = 0
            for i, char in enumerate(head):
                depth += (char == "<") - (char == ">")
                if char == ">" and depth == 0:
                    head = head[i + 1:].strip()
                    break
        return head

    def declared(self, head, scopes):
        head = self.bare(head)
        if not head or "operator" in head or re.match(r"(friend|static_assert|extern|class|struct|enum)\b", head):
            return
        if match := re.match(r"using\s+(\w+)\s*=", head):
            self.add(match[1], scopes)
            return
        # The first name before a parenthesis that is no part of a template's arguments, else the last one.
        plain, depth = "", 0
        for char in head.split(" = ")[0]:
            depth += (char in "<") - (char in ">")
            plain += char if depth == 0 and char != ">" else ""
        plain = re.sub(r"\b(decltype|noexcept|explicit|alignas)\s*\([^()]*\)", "", plain)
        match = re.search(r"([~\w:]+)\s*\(", plain) or re.search(r"(\w+)\s*$", plain)
        if match and re.fullmatch(r"[A-Za-z_]\w*", match[1]) and match[1] != scopes[-1][1]:
            self.add(match[1], scopes)

    def add(self, name, scopes):
        """If the scopes are the namespace ctx, one that it opens for another library, and public parts of classes."""
        if [scope[:2] for scope in scopes[1:2]] != [["namespace", "ctx"]]:
            return
        if all(kind == "class" and access == "public" or name in OF_OTHERS for kind, name, access in scopes[2:]):
            self.names.setdefault(name, set()).add("::".join(scope[1] for scope in scopes[2:]))


def exported_by(module):
    return next(ast.literal_eval(node.value) for node in module.body if isinstance(node, ast.Assign)
                and getattr(node.targets[0], "id", "") == "__all__")


def python_names():
    trees = [ast.parse(path.read_text(encoding="utf-8"))
             for path in sorted((ROOT / PYTHON).glob("*.py*")) if path.suffix in (".py", ".pyi")]
    exported = exported_by(ast.parse(read(f"{PYTHON}/__init__.py")))
    names = {name: {""} for name in exported}
    for tree in trees:
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name in exported:
                members = [getattr(each, "name", "") for each in node.body]
                members += [getattr(each.target, "id", "") for each in node.body if isinstance(each, ast.AnnAssign)]
                members += [each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)
                            and isinstance(each.ctx, ast.Store) and getattr(each.value, "id", "") == "self"]
                for name in members:
                    if name and not name.startswith("_"):
                        names.setdefault(name, set()).add(node.name)
    for path in sorted([*(ROOT / PYTHON).glob("[!_]*.py"), *(ROOT / PYTHON).glob("*/__init__.py"), *(ROOT / PYTHON).glob("*/[!_]*.py")]):
        for name in exported_by(ast.parse(path.read_text(encoding="utf-8"))):
            names.setdefault(name, set()).add(path.parent.stem if path.stem == "__init__" else path.stem)
    return names


def rust_names():
    names = {}
    texts = "".join(read(f"{crate}/lib.rs") for crate in CRATES)
    exported = re.findall(r"^pub use \w+(?:::\{([^}]*)\}|::(\w+)| as (\w+));", texts, flags=re.M)
    for name in re.findall(r"\w+", " ".join(" ".join(each) for each in exported)):
        names.setdefault(name, set()).add("")
    for path in sorted(path for crate in CRATES for path in (ROOT / crate).glob("*.rs")):
        text = re.sub(r"//[^\n]*", "", path.read_text(encoding="utf-8"))
        # An impl begins and ends at the left margin, as rustfmt lays it out; a trait's own names are not ours.
        for block in re.finditer(r"^impl(?:<[^{]*?>)? (\w+)[^{\n]*\{\n(.*?)^\}", text, flags=re.S | re.M):
            for name in re.findall(r"^    pub (?:const |unsafe |async )*fn (\w+)", block[2], flags=re.M):
                if block[1] in names:
                    names.setdefault(name, set()).add(block[1])
    return names


def shown(cell):
    """The names in a cell: (class or None, name) for `Class::name`, `Class.name`, `name` and `name(arguments)`. What
    is no name of the binding's, such as `cause=`, `await ...` and `__cause__`, is left out."""
    for quoted in re.findall(r"`([^`]+)`", cell):
        match = re.search(r"(?:(\w+)(?:::|\.))?(\w+)(?:<\w+>|\[\w+\])?(?:\(.*\))?$", quoted)
        if match and not match[2].startswith("__") and not quoted.startswith(("co_await ", "await ", "async ")):
            yield match[1], match[2]


def check_language(language, column, exported, table, functions):
    calls = read_all(*CALLS[language])
    listed = set()
    for cells in table:
        thing, cell = cells[0].strip("`"), cells[column]
        if len(cell) < 3:
            yield f"{PAGE}: {thing}: a name or a reason for {language}"
        if cell.startswith("–"):
            if thing in functions and re.search(rf"\b{thing}\s*\(", calls):
                yield f"{PAGE}: {thing}: {language} does use it"
            continue
        for owner, name in shown(cell):
            if name not in exported or owner not in (None, "ctx", "libctx", *exported[name]):
                yield f"{PAGE}: {thing}: {language} has no {owner + '::' if owner else ''}{name}"
            listed.add(name)
    for name in sorted(set(exported) - listed - OF_THE_LANGUAGE):
        where = ", ".join(sorted(owner for owner in exported[name] if owner))
        yield f"{PAGE}: {language}: {name}{f' of {where}' if where else ''} is in no row"


def main():
    functions = headers()
    tables = {heading: rows(PAGE, heading) for heading in TABLES}
    table = [cells for rows_of in tables.values() for cells in rows_of]
    things = [cells[0].strip("`") for cells in table]
    errors = [f"{PAGE}: {thing}: {len(cells)} cells" for thing, cells in zip(things, table) if len(cells) != 4]
    errors += [f"{PAGE}: {thing} is there twice" for thing in sorted(set(things)) if things.count(thing) > 1]
    if not errors:
        for heading, names in zip(TABLES, (functions, c_names())):
            listed = [cells[0].strip("`") for cells in tables[heading]]
            errors += compare(f"{PAGE}, {heading}", listed, names)
        exported = {"C++": Cpp().names, "Python": python_names(), "Rust": rust_names()}
        for column, (language, names) in enumerate(exported.items(), start=1):
            errors += check_language(language, column, names, table, functions)
    print("\n".join(errors) or "every name of every language is in the tables, and the other way round")
    return bool(errors)


if __name__ == "__main__":
    sys.exit(main())
