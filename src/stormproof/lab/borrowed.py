"""The sockets of another process, borrowed: what its ends are, and the sockets themselves.

With pidfd_getfd(2): Linux 5.6, and the right to trace that process, which one has with one's own children.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Endpoint = tuple[str, int]
SocketKey = tuple[int, str]  # process and inode

_SYS_PIDFD_GETFD = 438  # the same number on every architecture (asm-generic/unistd.h)
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class GoneError(Exception):
    """The process or its socket ended while we looked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """The two ends of a TCP socket; no peer: it listens, or is not connected yet."""

    local: Endpoint
    peer: Endpoint | None


def sockets_of(pid: int) -> Iterator[tuple[SocketKey, int]]:
    """The sockets of a process: (process, inode) and descriptor; nothing when it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for entry in list(Path(f"/proc/{pid}/fd").iterdir()):
            with contextlib.suppress(FileNotFoundError):
                link = str(entry.readlink())
                if link.startswith("socket:"):
                    yield (pid, link), int(entry.name)


@contextlib.contextmanager
def borrowed(pid: int, number: int) -> Iterator[socket.socket]:
    """Descriptor *number* of process *pid*, as a socket of ours for as long; raises `GoneError`, `OSError`."""
    if _LIBC is None:
        raise OSError(errno.ENOSYS, "a network cut needs Linux (pidfd_getfd)")
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        raise GoneError from None
    try:
        copy = _LIBC.syscall(_SYS_PIDFD_GETFD, handle, number, 0)
        code = ctypes.get_errno()
    finally:
        os.close(handle)
    if copy < 0:
        if code in (errno.EBADF, errno.ESRCH):
            raise GoneError
        raise OSError(code, f"pidfd_getfd of process {pid}: {os.strerror(code)}")
    with socket.socket(fileno=copy) as one:
        yield one


def ends_of(one: socket.socket) -> Ends | None:
    """Its ends; None when it is not TCP."""
    if one.family != socket.AF_INET or one.type != socket.SOCK_STREAM:
        return None
    try:
        peer: Endpoint | None = one.getpeername()
    except OSError:
        peer = None
    return Ends(local=one.getsockname(), peer=peer)
