"""Plays a suite and kills itself with SIGKILL at the N-th of its events: a rename, a start of a process, a wait.

`suite_driver.py REPORTS N`; N 0 never. The interpreter's own audit events are counted, so the
instant is the same each time, and is *before* what the event announces.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from support.suites import drive_here

COUNTED = {"os.rename", "subprocess.Popen", "time.sleep", "fcntl.flock"}


def main(reports: str, kill_at: str) -> None:
    """Play to the end, or to the chosen event."""
    seen = 0

    def watch(event: str, _arguments: object) -> None:
        nonlocal seen
        if event in COUNTED:
            seen += 1
            if seen == int(kill_at):
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    drive_here(Path(reports))
    sys.stdout.write(str(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
