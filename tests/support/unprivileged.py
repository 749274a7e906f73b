"""A program without privileges: another user's, with no capability left that could change anything.

``python tests/support/unprivileged.py PROGRAM ARGUMENT…``. One capability stays, to read files: the interpreter of
whoever runs the tests may lie in a home that nobody else may enter.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

UID = 65534  # nobody's; a number is all that is needed
READ_FILES = 2  # CAP_DAC_READ_SEARCH, linux/capability.h
_CAPABILITIES = range(64)  # more than there are
_CAPSET_VERSION_3 = 0x20080522
_PR_SET_KEEPCAPS, _PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 8, 24, 47, 2  # linux/prctl.h


def is_privileged() -> bool:
    """Whether there is anything to give up."""
    return os.getuid() == 0


def give_up_privileges() -> None:
    """Become that user, for good; what is executed from here on has no more."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in _CAPABILITIES:
        if capability != READ_FILES:
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(UID)
    os.setuid(UID)
    kept = 1 << READ_FILES
    header = (ctypes.c_uint32 * 2)(_CAPSET_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(kept, kept, kept, 0, 0, 0)  # effective, permitted, inheritable: low words, high words
    if libc.capset(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    if libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, READ_FILES, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_CAP_AMBIENT_RAISE)")


def call(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run *command* as that user; fails with what it said when it fails."""
    done = subprocess.run(
        command,
        preexec_fn=give_up_privileges,
        capture_output=True,
        text=True,
        timeout=120,
        cwd="/",
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


if __name__ == "__main__":
    if is_privileged():
        give_up_privileges()
    os.execvp(sys.argv[1], sys.argv[1:])
