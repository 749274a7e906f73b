"""What Linux does between parents and children for those who ask: a child dies with its parent, an orphan comes to us.

Elsewhere nothing of it is there, and whoever needs it has another way (a pipe that closes, a record of processes).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
# Loaded here, because between fork and exec nothing may be imported.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(parent_pid: int, with_signal: int = signal.SIGKILL) -> None:
    """In the child: be sent *with_signal* when the thread of *parent_pid* that started us ends, or has ended already.

    The signal goes with the thread, not the process: start children from a thread that lasts.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0)
        if os.getppid() != parent_pid:  # it died before the line above
            os.kill(os.getpid(), with_signal)


def adopt_orphans() -> bool:
    """Become the parent of every descendant whose own parent ends; whether this system can."""
    return _LIBC is not None and _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
