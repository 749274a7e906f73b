"""Plays a suite and kills itself with SIGKILL at the N-th of its events: a rename, a start of a process.

`suite_driver.py REPORTS N`; N 0 never. The interpreter's own audit events are counted, so the instant is the same each
time, and is *before* what the event announces. With `waits` as a third argument, the loop's waits for its runs count,
too; how many there are depends on the machine.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from support.suites import drive_here

COUNTED = {"os.rename", "subprocess.Popen", "fcntl.flock", "a wait of ours"}


def main(reports: str, kill_at: str, waits: str = "") -> None:
    """Play to the end, or to the chosen event."""
    seen = 0

    def watch(event: str, _arguments: object) -> None:
        nonlocal seen
        if event in COUNTED:
            seen += 1
            if seen == int(kill_at):
                os.kill(os.getpid(), signal.SIGKILL)

    def counted_wait(seconds: float, wait: Callable[[float], None] = time.sleep) -> None:
        watch("a wait of ours" if waits else "a wait", None)
        wait(seconds)

    sys.addaudithook(watch)
    time.sleep = counted_wait
    drive_here(Path(reports))
    sys.stdout.write(str(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
