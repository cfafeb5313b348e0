# SPDX-License-Identifier: MIT
"""The build backend: scikit-build-core, and a source distribution that brings the core's sources.

What lies outside this folder cannot be listed in pyproject.toml. So a source distribution is made of a
copy of this folder with the core's sources in core/, which CMakeLists.txt looks for first.
"""

import os
import shutil
import tempfile
from pathlib import Path

from scikit_build_core import build as _build
from scikit_build_core.build import *  # noqa: F403  (every other hook is its own)

HERE = Path(__file__).resolve().parent
CORE = (
    "CMakeLists.txt",
    "LICENSE",
    "README.md",
    "bindings/cpp/CMakeLists.txt",  # headers alone, which the library's own CMakeLists.txt installs
    "bindings/cpp/include",
    "capi",
    "cmake",
    "core",
    "include",
)


def build_sdist(sdist_directory, config_settings=None):
    target = os.path.abspath(sdist_directory)
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, "libctx")
        shutil.copytree(HERE, copy, ignore=shutil.ignore_patterns("__pycache__", ".*_cache", ".venv", "dist"))
        if not (copy / "core").exists():  # it does in a source distribution
            for name in CORE:
                source = HERE.parent.parent / name
                to = copy / "core" / name
                to.parent.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if source.is_dir() else shutil.copy2)(source, to)
        before = os.getcwd()
        os.chdir(copy)
        try:
            return _build.build_sdist(target, config_settings)
        finally:
            os.chdir(before)
