# SPDX-License-Identifier: MIT
"""What was built: the wheel and the source distribution that run_tests.sh names."""

import importlib.metadata
import os
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import libctx
import libctx.aiohttp
import libctx.asgi
import libctx.grpc
import libctx.httpx
import libctx.logging
import libctx.process
import pytest
from conftest import python


@pytest.fixture
def dist() -> Path:
    folder = os.environ.get("CTX_DIST")
    assert folder, "CTX_DIST is to name the folder with the wheel and the source distribution"
    return Path(folder)


def test_the_wheel_brings_the_library_under_its_true_name(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    assert wheel.name.startswith("libctx-0.1.0-cp311-abi3-")
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if name.startswith("libctx/")}
    assert {"libctx/libctx.so.1", "libctx/_core.abi3.so", "libctx/_core.pyi", "libctx/py.typed"} <= files
    assert {name for name in files if ".so" in name} == {"libctx/libctx.so.1", "libctx/_core.abi3.so"}


def test_the_source_distribution_brings_the_core(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        files = set(archive.getnames())
    for name in ("core/CMakeLists.txt", "core/core/tree/node.h", "core/capi/context.cc", "core/include/ctx/ctx.h",
                 "core/cmake/library.cmake", "CMakeLists.txt", "src/ext/module.c", "build_backend.py",
                 "tests/test_package.py"):  # fmt: skip
        assert f"libctx-0.1.0/{name}" in files
    assert not [name for name in files if "__pycache__" in name or name.endswith(".so")]


def test_names_and_needs() -> None:
    library = Path(libctx.library_path())
    extension = library.with_name("_core.abi3.so")
    assert "SONAME" in (told := dynamic(library)) and "[libctx.so.1]" in told
    needs = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic(extension)))
    loader = {name for name in needs if name.startswith("ld-linux")}  # libc's own, for variables of a thread
    assert needs - loader == {"libctx.so.1", "libc.so.6"}
    assert "[$ORIGIN]" in dynamic(extension)


def dynamic(file: Path) -> str:
    return subprocess.run(["readelf", "-d", file], check=True, capture_output=True, text=True).stdout


def test_a_subinterpreter_is_refused() -> None:
    program = """
import sys
try:
    import _interpreters as interpreters                 # Python 3.13
except ImportError:
    import _xxsubinterpreters as interpreters
try:
    other = interpreters.create("legacy")                # it may load any extension
except TypeError:
    other = interpreters.create(isolated=False)
import_it = f"import sys; sys.path[:] = {sys.path!r}; import libctx"
if %r: import libctx
try:
    failure = str(interpreters.run_string(other, import_it))
except Exception as error:
    failure = str(error)
interpreters.destroy(other)
import libctx
ctx, cancel = libctx.with_cancel(libctx.background())
cancel("here")
print("main interpreter" in failure, ctx.cause())
"""
    for here_first in (True, False):
        result = python(program % here_first)
        assert (result.returncode, result.stdout, result.stderr) == (0, "True here\n", "")


def test_versions_agree() -> None:
    assert libctx.version() == importlib.metadata.version("libctx")


def test_what_is_public_is_listed() -> None:
    found = [name for name, thing in vars(libctx).items() if not (name.startswith("_") or isinstance(thing, ModuleType))]
    assert sorted(found) == sorted(libctx.__all__)  # beside the modules that tests have imported


def test_everything_public_is_documented() -> None:
    for module in (libctx.asgi, libctx.aiohttp, libctx.grpc, libctx.grpc.aio, libctx.httpx, libctx.logging, libctx.process):
        assert module.__doc__ and all(getattr(module, name).__doc__ for name in module.__all__)
    for name in libctx.__all__:
        thing = getattr(libctx, name)
        assert thing.__doc__, name
        if isinstance(thing, type):
            for member, value in vars(thing).items():
                assert member.startswith("_") or member in ("text", "origin", "place", "peer") or value.__doc__, f"{name}.{member}"
