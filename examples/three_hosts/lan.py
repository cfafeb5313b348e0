# SPDX-License-Identifier: MIT
"""Hosts of one machine: each in a network namespace of its own where that can be made, else all on loopback."""

import os
import shutil
import subprocess
import sys

BRIDGE = "10.77.0.254"  # where this program itself is


def enter() -> None:
    """Runs this program again in namespaces that vanish with it, where the system lets it."""
    if "THREE_HOSTS" in os.environ:
        return
    os.environ["THREE_HOSTS"] = "loopback"
    alone = ["unshare", "--net", "--mount"]
    try:
        subprocess.run([*alone, "ip", "netns", "list"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return
    os.environ["THREE_HOSTS"] = "namespaces"
    os.execvp(alone[0], [*alone, sys.executable, *sys.argv])


class Lan:
    def __init__(self) -> None:
        self.apart = os.environ.get("THREE_HOSTS") == "namespaces" and shutil.which("ip") is not None
        self._hosts = 0
        if self.apart:
            os.makedirs("/run/netns", exist_ok=True)
            _run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")  # so that the names vanish, too
            _ip("link", "set", "lo", "up")
            _ip("link", "add", "lan", "type", "bridge")
            _ip("address", "add", f"{BRIDGE}/24", "dev", "lan")
            _ip("link", "set", "lan", "up")

    def host(self, name: str) -> tuple[str, list[str]]:
        """A new host: its address, and what a command begins with that runs there."""
        self._hosts += 1
        if not self.apart:
            return f"127.0.0.{10 + self._hosts}", []
        address = f"10.77.0.{self._hosts}"
        _ip("netns", "add", name)
        _ip("link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", f"to-{name}", "master", "lan", "up")
        _ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        _ip("-n", name, "link", "set", "lo", "up")
        return address, ["ip", "netns", "exec", name]


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*words: str) -> None:
    subprocess.run(words, check=True)
