#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks of the built libctx.so: check_library.py CHECK LIBRARY SOURCE_ROOT OBJECTS..."""

import pathlib
import re
import subprocess
import sys
import tempfile

LIBRARY, ROOT = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
NODE = "LIBCTX_1.0"


def output(*command):
    run = subprocess.run([*command, str(LIBRARY)], check=True, capture_output=True, text=True)
    return run.stdout


def header_functions():
    names = []
    for header in sorted((ROOT / "include/ctx").glob("*.h")):
        text = re.sub(r"/\*.*?\*/|^\s*#.*?[^\\]$", "", header.read_text(), flags=re.S | re.M)
        names += re.findall(r"\bCTX_API\b[^;(]*?\b(ctx_\w+)\s*\(", text)
        assert len(re.findall(r"\b(ctx_\w+)\s*\([^()*]", text)) == text.count("CTX_API"), (
            f"{header.name}: a function without CTX_API")
    return names


def map_functions():
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "cmake/libctx.map").read_text(), flags=re.S)
    exported, hidden = re.search(r"global:(.*)local:(.*?)}", text, flags=re.S).groups()
    assert hidden.split() == ["*;"], f"everything else is local, not {hidden}"
    return re.findall(r"([^\s;]+);", exported)


def dynamic_symbols():
    """(name with version, type letter) of what the library defines; the version node itself apart."""
    lines = output("nm", "--dynamic", "--defined-only", "--with-symbol-versions").splitlines()
    symbols = [(line.split()[-1], line.split()[-2]) for line in lines]
    return [(name, letter) for name, letter in symbols if letter != "A"]


def same(left_name, left, right_name, right):
    assert len(left) == len(set(left)), f"{left_name}: twice the same name"
    only_left, only_right = set(left) - set(right), set(right) - set(left)
    assert not only_left, f"in {left_name} but not in {right_name}: {sorted(only_left)}"
    assert not only_right, f"in {right_name} but not in {left_name}: {sorted(only_right)}"


def check_exports():
    """Headers, version script and library name the same functions."""
    in_headers = header_functions()
    assert in_headers, "no function found in the headers"
    same("headers", in_headers, "version script", map_functions())
    same("headers", in_headers, "library", [re.sub("@.*", "", s) for s, _ in dynamic_symbols()])


def check_versions():
    """Plain functions only (nothing weak, unique or inline of C++), each under its version node."""
    for name, letter in dynamic_symbols():
        assert letter == "T", f"{name} is '{letter}' and not a plain function"
        assert name.endswith(f"@@{NODE}"), f"{name} is not of {NODE}"


def dynamic_section():
    return output("readelf", "--dynamic", "--wide")


def check_needed():
    """Needs libc and the loader, and nothing else."""
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic_section())
    assert any(name.startswith("libc.so.") for name in needed), f"needs {needed}"
    others = [name for name in needed if not re.match(r"(libc|ld-linux[-\w]*)\.so\.\d+$", name)]
    assert not others, f"needs {others} as well"
    assert not re.search(r"\((RPATH|RUNPATH)\)", dynamic_section()), "has a search path"


# Where POSIX or glibc lets pthread_cancel end a thread.
CANCELLATION_POINTS = set("""
accept accept4 aio_suspend clock_nanosleep close connect creat epoll_pwait epoll_pwait2 epoll_wait eventfd_read
eventfd_write fclose fcntl fdatasync fflush fopen fprintf fputs fread fsync fwrite getline getrandom ioctl
mq_receive mq_send msync nanosleep open open64 openat pause poll ppoll pread pread64 printf pselect pthread_cond_clockwait
pthread_cond_timedwait pthread_cond_wait pthread_join pthread_testcancel pthread_timedjoin_np pwrite pwrite64
read readv recv recvfrom recvmsg select sem_clockwait sem_timedwait sem_wait send sendmsg sendto sigpause
sigsuspend sigtimedwait sigwait sigwaitinfo sleep splice syslog system tcdrain usleep vfprintf wait waitid waitpid write
writev
""".split())


def called_by_object():
    """What each object file calls, also if it waits for link-time optimization and only one of the tools can
    read it."""
    for tool in ("nm", "gcc-nm", "llvm-nm"):
        run = subprocess.run([tool, "--print-file-name", *sys.argv[4:]], check=False, capture_output=True, text=True)
        called = {}
        for file, name in re.findall(r"(\w+/[^/:]+\.o):\s+U (\w+)$", run.stdout, flags=re.M):
            called.setdefault(file, set()).add(name)
        if called:
            return called
    raise AssertionError("no tool reads the object files")


def check_cancellation_points():
    """Of what the library is built of, system/io_linux alone calls what ends threads."""
    found = {file: sorted(names & CANCELLATION_POINTS) for file, names in called_by_object().items()}
    assert {"ppoll", "close"} <= set(found.pop("system/io_linux.cc.o")), "read the wrong symbols"
    assert not any(found.values()), f"called: { {file: names for file, names in found.items() if names} }"
    print(f"{len(found)} object files")


def check_soname():
    soname = re.search(r"\(SONAME\).*\[(.*)\]", dynamic_section())
    assert soname and soname[1] == "libctx.so.1", f"SONAME is {soname and soname[1]}"


def check_dynamic_flags():
    """Never unloaded, bound at load; no relocated text, no initial-exec TLS."""
    section = dynamic_section()
    flags = set(re.findall(r"\w+", " ".join(re.findall(r"\((?:FLAGS|FLAGS_1)\)(.*)", section))))
    assert {"NODELETE", "NOW"} <= flags, f"flags are {flags}"
    assert not {"TEXTREL", "STATIC_TLS"} & flags and "(TEXTREL)" not in section, f"flags are {flags}"


def check_segments():
    """No executable stack, nothing both writable and executable, relocations read-only."""
    segments = re.findall(r"^\s+([A-Z_]+)\s.*\s([R ][W ][E ])\s+0x", output("readelf", "--segments", "--wide"),
                          flags=re.M)
    rights = dict(segments)
    assert "GNU_STACK" in rights and "E" not in rights["GNU_STACK"], "executable stack"
    assert "GNU_RELRO" in rights, "relocations stay writable"
    assert not [name for name, right in segments if "W" in right and "E" in right], str(segments)


def check_size():
    """At most 180 KB when stripped."""
    with tempfile.TemporaryDirectory() as folder:
        stripped = pathlib.Path(folder) / "libctx.so"
        output("strip", "-o", str(stripped))
        size = stripped.stat().st_size
    print(f"{size} bytes")
    assert size <= 180_000


globals()[f"check_{sys.argv[1]}"]()
