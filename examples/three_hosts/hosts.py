# SPDX-License-Identifier: MIT
"""One deadline and one reason across three hosts: an edge in Python, a service in Rust, a service in C++, and below that
a query of PostgreSQL and a process.

hosts.py BUILD    in BUILD are the programs orders, stock and label: run.sh makes them

Four requests end in four ways. After each, a picture: who was told, how long after, and why. Exits 0 only if all were
told the same, and nothing is left.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import lan
import libctx
from picture import BOLD, GREEN, PARTS, PLAIN, RED, Request, Told, draw

HERE = Path(__file__).resolve().parent
LIMIT = 60  # seconds that anything may take here
PORT = 7000


def main() -> int:
    lan.enter()
    build = Path(sys.argv[1]).resolve()
    failed = 0
    with contextlib.ExitStack() as stack:
        conninfo = stack.enter_context(postgres())
        hosts = Hosts(stack)
        stock = hosts.start("stock", lambda at: [build / "stock", at, conninfo, build / "label"])
        orders = hosts.start("orders", lambda at: [build / "orders", at, f"http://{stock}"])
        edge = hosts.start("edge", lambda at: [sys.executable, HERE / "edge.py", at, orders])
        where = "each in a network namespace of its own" if hosts.apart else "all on loopback"
        print(f"\n  edge {edge}, orders {orders}, stock {stock}: {where}")
        for number, show in enumerate((deadline, hang_up, kill, terminate), start=1):
            print(f"\n{BOLD}{number}/4  {show.__doc__}{PLAIN}\n")
            request, complaints = show(hosts, edge)
            draw(request)
            complaints += left_behind(build, conninfo, LIMIT if not complaints else 0)
            print(f"\n  {RED}WRONG: {'; '.join(complaints)}{PLAIN}" if complaints else f"\n  {GREEN}nothing is left{PLAIN}")
            failed += bool(complaints)
            if "edge" not in hosts.running:
                hosts.start("edge", lambda at: [sys.executable, HERE / "edge.py", at, orders])
        for name in list(hosts.running):
            hosts.running[name].send_signal(signal.SIGTERM)
            status = hosts.over(name)
            print(f"  {name} ended with exit status {status} on SIGTERM")
            failed += status != 0
    return min(failed, 1)


# --- the programs -------------------------------------------------------------------------------------------------------


class Hosts:
    """What runs where, and what it says."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._lan = lan.Lan()
        self._known: dict[str, tuple[str, list[str]]] = {}
        self._said: list[dict] = []
        self._news = threading.Condition()
        self.running: dict[str, subprocess.Popen[str]] = {}

    @property
    def apart(self) -> bool:
        return self._lan.apart

    def start(self, name: str, command: Callable[[str], list[object]]) -> str:
        """Starts a program on the host of that name, and returns its address once it listens."""
        if name not in self._known:
            self._known[name] = self._lan.host(name)
        host, prefix = self._known[name]
        words = [*prefix, *map(str, command(f"{host}:{PORT}"))]
        program = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=HERE)
        self._stack.callback(program.kill)
        self.running[name] = program
        threading.Thread(target=self._listen, args=(program,), daemon=True).start()
        limit = time.monotonic() + LIMIT
        while True:
            try:
                socket.create_connection((host, PORT), LIMIT).close()
                return f"{host}:{PORT}"
            except OSError:
                if program.poll() is not None or time.monotonic() > limit:
                    raise
                time.sleep(0.05)

    def over(self, name: str) -> int:
        return self.running.pop(name).wait(LIMIT)

    def _listen(self, program: subprocess.Popen[str]) -> None:
        assert program.stdout is not None
        for line in program.stdout:
            with self._news:
                self._said.append(json.loads(line))
                self._news.notify_all()

    def forget(self) -> None:
        with self._news:
            self._said.clear()

    def told(self) -> dict[str, Told]:
        parts: dict[str, Told] = {}
        for said in self._said:
            part = parts.setdefault(said["who"], Told())
            if "left" in said:
                part.began = said["at"]
                part.left = None if said["left"] > 10**15 else said["left"]
            else:
                part.ended, part.late, part.cause = said["at"], said["late"], libctx.decode_cause(said["cause"])
        return parts

    def wait_for(self, over: Callable[[dict[str, Told]], bool]) -> dict[str, Told]:
        """What has been said once that is so, or when the limit has passed."""
        with self._news:
            self._news.wait_for(lambda: over(self.told()), LIMIT)
            return self.told()


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL on a socket in a folder of its own, and what to connect with."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    folder = tempfile.mkdtemp(prefix="three_hosts.")
    # initdb does not run as root.
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    if user:
        shutil.chown(folder, "postgres", "postgres")
    data = f"{folder}/data"
    try:
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "demo", "-A", "trust", "--no-sync"],
            check=True,
            cwd="/",
            stdout=subprocess.DEVNULL,
            **user,
        )
        settings = ["-k", folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "log_min_messages=panic"]
        server = subprocess.Popen([programs / "postgres", "-D", data, *settings], cwd="/", **user)
        try:
            conninfo = f"host={folder} user=demo dbname=postgres"
            limit = time.monotonic() + LIMIT
            while subprocess.run([programs / "pg_isready", "-q", "-d", conninfo], check=False).returncode != 0:
                if time.monotonic() > limit:
                    raise TimeoutError("PostgreSQL does not answer")
                time.sleep(0.05)
            yield conninfo
        finally:
            server.send_signal(signal.SIGINT)  # disconnects all
            server.wait(LIMIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def left_behind(build: Path, conninfo: str, patience: float) -> list[str]:
    """What is still there after so many seconds: who says that it ends takes a moment for that."""
    until = time.monotonic() + patience
    while (found := left_now(build, conninfo)) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def left_now(build: Path, conninfo: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*/exe"):
        with contextlib.suppress(OSError):
            if process.readlink() == build / "label":
                found.append(f"process {process.parent.name}")
    queries = "select count(*) from pg_stat_activity where query like '%pg_sleep(3600)' and state = 'active'"
    count = subprocess.run(["psql", "-At", "-d", conninfo, "-c", queries], check=True, capture_output=True, text=True).stdout.strip()
    return found + ([] if count == "0" else [f"{count} queries"])


# --- the four ends ------------------------------------------------------------------------------------------------------


class Client:
    """A client of HTTP that has sent its request."""

    def __init__(self, hosts: Hosts, edge: str, timeout_ms: int | None = None) -> None:
        hosts.forget()
        self._socket = socket.create_connection(tuple(edge.split(":")), LIMIT)
        timeout = "" if timeout_ms is None else f"x-request-timeout-ms: {timeout_ms}\r\n"
        self.request = Request(time.monotonic_ns())
        self._socket.sendall(f"GET /order/lamp HTTP/1.1\r\nhost: edge\r\n{timeout}connection: close\r\n\r\n".encode())

    def happens(self, what: str) -> None:
        self.request.what, self.request.at = what, time.monotonic_ns()

    def hang_up(self) -> None:
        self.happens("hangs up")
        self._socket.close()
        self.request.answer = "nothing"

    def receive(self) -> None:
        with contextlib.suppress(ConnectionError), self._socket.makefile("rb") as answer:
            status = answer.readline().decode().split(" ", 1)[-1].strip()
            self.request.answer = " ".join([status, answer.read().decode().split("\r\n\r\n")[-1]])
        self.request.answer = self.request.answer.strip() or "nothing: the connection broke"
        self.request.over = time.monotonic_ns()


def all_began(parts: dict[str, Told]) -> bool:
    return all(name in parts and parts[name].began for name in PARTS)


def all_ended(parts: dict[str, Told]) -> bool:
    return all(name in parts and parts[name].ended for name in PARTS)


def complaints_of(request: Request, late: bool, message: str, parts: tuple[str, ...] = PARTS) -> list[str]:
    found = []
    for name in parts:
        told = request.parts.get(name, Told())
        if told.ended is None or told.cause is None:
            found.append(f"{name} was not told")
        elif told.late != late or message not in told.cause.message:
            found.append(f"{name} was told another reason")
    return found


def deadline(hosts: Hosts, edge: str) -> tuple[Request, list[str]]:
    """A deadline, set by the client: 500 ms. Each hop sees what is left of it."""
    client = Client(hosts, edge, timeout_ms=500)
    client.receive()
    request = client.request
    request.what, request.at = "the deadline passes", request.begun + 500_000_000
    request.parts = hosts.wait_for(all_ended)
    complaints = complaints_of(request, True, "deadline exceeded")
    lefts = [request.parts[name].left or 0 for name in ("edge", "orders", "stock")]
    if sorted(lefts, reverse=True) != lefts:
        complaints.append("what is left does not fall")
    if not request.answer.startswith("504"):
        complaints.append("the client expected 504")
    return request, complaints


def hang_up(hosts: Hosts, edge: str) -> tuple[Request, list[str]]:
    """The client hangs up."""
    client = Client(hosts, edge)
    hosts.wait_for(all_began)
    client.hang_up()
    client.request.parts = hosts.wait_for(all_ended)
    return client.request, complaints_of(client.request, False, "client")


def kill(hosts: Hosts, edge: str) -> tuple[Request, list[str]]:
    """The edge dies: kill -9."""
    client = Client(hosts, edge)
    hosts.wait_for(all_began)
    client.happens("the edge is killed")
    hosts.running["edge"].kill()
    hosts.over("edge")
    client.receive()
    below = tuple(name for name in PARTS if name != "edge")
    client.request.parts = hosts.wait_for(lambda parts: all(name in parts and parts[name].ended for name in below))
    client.request.parts["edge"].why = "killed"
    return client.request, complaints_of(client.request, False, "", below)


def terminate(hosts: Hosts, edge: str) -> tuple[Request, list[str]]:
    """The edge is told to end: SIGTERM, and 500 ms of grace for what it has begun."""
    client = Client(hosts, edge)
    hosts.wait_for(all_began)
    client.happens("SIGTERM to the edge")
    hosts.running["edge"].terminate()
    client.receive()
    client.request.parts = hosts.wait_for(all_ended)
    complaints = complaints_of(client.request, False, "SIGTERM")
    if not client.request.answer.startswith("503"):
        complaints.append("the client expected 503")
    if hosts.over("edge") != 0:
        complaints.append("the edge failed")
    return client.request, complaints


if __name__ == "__main__":
    sys.exit(main())
