# SPDX-License-Identifier: MIT
"""The program in README.md runs as it stands there, and prints what its comments say."""

import re
from pathlib import Path

from conftest import python


def test_the_program_of_the_readme() -> None:
    text = (Path(__file__).parent.parent / "README.md").read_text()
    (program,) = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    says = re.findall(r"print\(.*\)  # (.*)$", program, re.MULTILINE)
    assert says
    result = python(program)
    assert (result.returncode, result.stdout.splitlines(), result.stderr) == (0, says, "")
