# SPDX-License-Identifier: MIT
"""The programs in the READMEs run as they stand there, and print what their comments say."""

import re
import subprocess
import sys
from pathlib import Path
from unittest.mock import ANY

import pytest
from conftest import python

BINDING = Path(__file__).parents[1]
PROJECT = BINDING.parents[1]


FOLDERS = pytest.mark.parametrize("folder", [BINDING, PROJECT], ids=["of the binding", "of the project"])


def programs(folder: Path) -> list[str]:
    text = (folder / "README.md").read_text()
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@FOLDERS
def test_the_programs_of_the_readme(folder: Path, tmp_path: Path) -> None:
    assert programs(folder)
    for program in programs(folder):
        says = re.findall(r"print\(.*\)  # prints: (.*)$", program, re.MULTILINE)
        if not says:  # it is a test
            (tmp_path / "test_it.py").write_text(program)
            assert "pytest.fixture" in program
            program, says = f"import pytest; print(pytest.main(['-qq', {str(tmp_path)!r}]).name)", [ANY, "OK"]
        result = python(program)
        assert (result.returncode, result.stdout.splitlines(), result.stderr) == (0, says, "")


@FOLDERS
def test_the_programs_of_the_readme_satisfy_mypy(folder: Path, tmp_path: Path) -> None:
    for number, program in enumerate(programs(folder)):
        (tmp_path / f"program{number}.py").write_text(program)
    cache = Path(sys.prefix).parent / "mypy"  # which run_tests.sh has filled
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache), *map(str, tmp_path.iterdir())]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
