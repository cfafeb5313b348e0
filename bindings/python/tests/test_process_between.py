# SPDX-License-Identifier: MIT
"""Programs that know nothing of libctx, between a process that exports a context and one that imports it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libctx
import pytest
from conftest import WATCHDOG
from libctx import background, with_cancel, with_string
from libctx.process import PIPE, Ended, Popen
from test_export import CHILD

NODE = """
const { spawn } = require("child_process");
const [program, ...rest] = process.argv.slice(1);
spawn(program, rest, { stdio: "inherit" }).on("exit", (code) => process.exit(code));
"""

GO = """
package main

import "os"

func main() {
	child, err := os.StartProcess(os.Args[1], os.Args[1:], &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		panic(err)
	}
	state, err := child.Wait()
	if err != nil {
		panic(err)
	}
	os.Exit(state.ExitCode())
}
"""


def tool(name: str) -> str:
    """The one of the virtual environment first."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/local/go/bin"]))
    if found is None:
        pytest.skip(f"no {name}")
    return found


def node(folder: Path) -> list[str]:
    return [tool("node"), "-e", NODE, "--"]


def go(folder: Path) -> list[str]:
    """What is compiled once is kept."""
    cache = Path(os.environ["CTX_DIST"], "..", "go").resolve()
    (folder / "main.go").write_text(GO)
    settings = {"CGO_ENABLED": "0", "GOCACHE": str(cache), "GOTOOLCHAIN": "local", "GO111MODULE": "off", "GOFLAGS": ""}
    command = [tool("go"), "build", "-o", str(folder / "between"), str(folder / "main.go")]
    subprocess.run(command, env=os.environ | settings, check=True, cwd=folder)
    return [str(folder / "between")]


@pytest.mark.parametrize("between", [node, go])
def test_the_context_goes_through(between: Callable[[Path], list[str]], tmp_path: Path) -> None:
    """Only the process at the end ends by itself, as it has the reason; and then all do."""
    command = [*between(tmp_path), sys.executable, "-c", CHILD]
    ctx, cancel = with_cancel(with_string(background(), "name", "text"))
    with Popen[Any](command, ctx=ctx, signal=None, grace=WATCHDOG, stdout=PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "text\n"
        cancel("the client has gone")
        with pytest.raises(Ended) as caught:
            child.communicate(timeout=WATCHDOG)
    assert (caught.value.returncode, caught.value.stdout) == (0, "Canceled('context canceled') the client has gone 1\n")


@pytest.mark.parametrize("between", [node, go])
def test_a_signal_ends_them_all(between: Callable[[Path], list[str]], tmp_path: Path) -> None:
    """They are in one group: no pipe is left open."""
    command = [*between(tmp_path), sys.executable, "-c", "print('ready', flush=True)\nwhile True: input()"]
    ctx, cancel = with_cancel(background())
    with Popen[Any](command, ctx=ctx, grace=WATCHDOG, wait_delay=WATCHDOG, stdin=PIPE, stdout=PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        cancel()
        with pytest.raises(libctx.Canceled):
            child.wait(WATCHDOG)
        assert child.stdout.read() == ""
