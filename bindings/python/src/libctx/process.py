# SPDX-License-Identifier: MIT
"""Child processes that a context ends, and that the context goes to.

    libctx.process.run(["make", "test"], capture_output=True)  # ends with current()

Everything is as in the modules subprocess and asyncio.subprocess, and takes their arguments, by name.
"""

from subprocess import DEVNULL, PIPE, STDOUT, CalledProcessError, CompletedProcess
from typing import Any

from ._popen import Canceled, DeadlineExceeded, Ended, Popen
from ._process import Process, create_subprocess_exec, create_subprocess_shell

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "Canceled",
    "DeadlineExceeded",
    "Ended",
    "Popen",
    "Process",
    "create_subprocess_exec",
    "create_subprocess_shell",
    "run",
]


def run(
    args: Any,
    *,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    **options: Any,
) -> CompletedProcess[Any]:
    """As subprocess.run(), of a Popen. If the context ends the child, an Ended is raised, with what it has written.

    The end of a `timeout` is a subprocess.TimeoutExpired. It ends the child as the end of the context does, and so does any
    other exception, such as Ctrl-C, which a child in a group of its own does not see.
    """
    if input is not None:
        if options.get("stdin") is not None:
            raise ValueError("stdin and input arguments may not both be used.")
        options["stdin"] = PIPE
    if capture_output:
        if options.get("stdout") is not None or options.get("stderr") is not None:
            raise ValueError("stdout and stderr arguments may not be used with capture_output.")
        options["stdout"] = options["stderr"] = PIPE
    with Popen[Any](args, **options) as process:
        stdout, stderr = process.communicate(input, timeout)
    if check and process.returncode:
        raise CalledProcessError(process.returncode, process.args, stdout, stderr)
    return CompletedProcess(process.args, process.returncode, stdout, stderr)
