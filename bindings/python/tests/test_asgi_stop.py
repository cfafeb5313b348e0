# SPDX-License-Identifier: MIT
"""The server of the README, which SIGTERM ends in order."""

import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from conftest import WATCHDOG

README = (Path(__file__).parents[1] / "README.md").read_text()
SERVER = """
import asyncio, libctx, signal, socket, sys, uvicorn
from libctx.asgi import ContextMiddleware

async def app(scope, receive, send):
    print("asked", flush=True)
    await (stopping if scope["path"] == "/short" else asyncio.sleep(3600))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"text"})

listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
"""


def server_of_the_readme(grace: float) -> str:
    program: str
    (program,) = re.findall(r"^```py\n(signal.*?)^```$", README, re.DOTALL | re.MULTILINE)
    changes = [("stopping, 20", f"stopping, {grace}"), ("run()", "run([listening])")]
    changes += [("ctx)))", "ctx), log_config=None, lifespan='off'))")]
    for old, new in changes:
        assert program.count(old) == 1
        program = program.replace(old, new)
    return SERVER + program


@pytest.mark.parametrize(("path", "grace", "status"), [("/short", 3600, 200), ("/long", 0, 503)])
def test_sigterm_leaves_time_for_what_was_begun(path: str, grace: float, status: int) -> None:
    command = [sys.executable, "-c", server_of_the_readme(grace)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline())
            answers: list[httpx.Response] = []
            asking = threading.Thread(target=lambda: answers.append(httpx.get(f"http://127.0.0.1:{port}{path}", timeout=WATCHDOG)))
            asking.start()
            assert server.stdout.readline() == "asked\n"
            server.send_signal(signal.SIGTERM)
            asking.join(WATCHDOG)
            assert [answer.status_code for answer in answers] == [status]
            _, errors = server.communicate(timeout=WATCHDOG)
            assert (server.returncode, errors) == (0, "")
        finally:
            server.kill()
