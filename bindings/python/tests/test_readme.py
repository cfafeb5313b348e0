# SPDX-License-Identifier: MIT
"""The programs in the READMEs run as they stand there, and print what their comments say."""

import re
from pathlib import Path

import pytest
from conftest import python


BINDING = Path(__file__).parents[1]
PROJECT = BINDING.parents[1]


@pytest.mark.parametrize("folder", [BINDING, PROJECT], ids=["of the binding", "of the project"])
def test_the_programs_of_the_readme(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    programs = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert programs
    for program in programs:
        says = re.findall(r"print\(.*\)  # prints: (.*)$", program, re.MULTILINE)
        assert says
        result = python(program)
        assert (result.returncode, result.stdout.splitlines(), result.stderr) == (0, says, "")
