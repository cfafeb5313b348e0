# SPDX-License-Identifier: MIT
"""Which clock of the system counts, seen where they differ: one lies an hour off, and one jumps."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import WATCHDOG

CLOCKS = r"""
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <time.h>

/* As on a machine that was suspended for an hour, and on which somebody sets the date again and again. */
int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  static _Atomic long jumps;
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, now);
  if (clock == CLOCK_BOOTTIME) now->tv_sec += 3600;
  if (clock == CLOCK_REALTIME) now->tv_sec += 3600 * ++jumps;
  return result;
}
"""

PROGRAM = """
import libctx, signal, time
for loop in (libctx.ThreadLoop(boottime=True), libctx.ManualLoop(boottime=True)):
    print(round((loop.now() - time.monotonic()) / 3600), round((loop.background().now() - time.monotonic()) / 3600))
for loop in (libctx.ThreadLoop(), libctx.ManualLoop(), libctx.ManualLoop(start=True)):
    print(round((loop.now() - time.monotonic()) / 3600))
signal.signal(signal.SIGALRM, lambda *_: None)
ctx = libctx.with_cancel(libctx.background()).ctx
begin = time.monotonic()
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
found = ctx.wait(0.1)
signal.setitimer(signal.ITIMER_REAL, 0)
print(found, time.monotonic() - begin >= 0.1)
"""


@pytest.fixture(scope="module")
def clocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clocks")
    (folder / "clocks.c").write_text(CLOCKS)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "clocks.so", folder / "clocks.c", "-ldl"], check=True)
    return folder / "clocks.so"


def test_a_suspend_counts_with_boottime_alone_and_the_date_for_nothing(clocks: Path) -> None:
    """boottime=True counts what a suspend took; a wait keeps its limit whatever the date says."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"LD_PRELOAD": str(clocks)},
        capture_output=True,
        text=True,
        timeout=WATCHDOG,
        check=False,
    )
    says = "1 1\n1 1\n0\n0\n0\nFalse True\n"
    assert (result.returncode, result.stdout, result.stderr) == (0, says, "")
