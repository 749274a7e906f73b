"""Cutting processes off the network: the kernel drops what their sockets are sent.

A classic BPF filter that accepts nothing (``SO_ATTACH_FILTER``, "ret 0"; see socket(7)) drops every SYN on a listening
socket, so that a connect hangs; on a connection it drops data and acknowledgements, so that both sides wait and
retransmit, and go on where they were once it is taken away. The supervisor borrows the sockets of its own children with
pidfd_getfd(2): Linux 5.6, and the right to trace one's own children. Some kernels let only root attach a filter: then
`keep` raises. Neither the shop nor Envoy takes part in it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

Endpoint = tuple[str, int]

_SYS_PIDFD_GETFD = 438  # the same number on every architecture (asm-generic/unistd.h)
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27  # asm-generic/socket.h; Python names neither
_DROP_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0)  # one struct sock_filter: BPF_RET | BPF_K, 0 bytes kept
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ends:
    """The two ends of a TCP socket; no peer: it listens, or is not connected yet."""

    local: Endpoint
    peer: Endpoint | None


@dataclass(slots=True)
class Partition:
    """Which sockets are cut off. Of one supervisor, for its own children."""

    _ends: dict[tuple[int, str], _Ends | None] = field(default_factory=dict)  # by process and inode; None: not TCP
    _cut: set[tuple[int, str]] = field(default_factory=set)

    def keep(self, *, inside: Iterable[int], addresses: Iterable[Endpoint], outside: Iterable[int]) -> None:
        """Cut every socket of the processes *inside* off, also those opened since, and the ends of *outside* that face
        them or one of *addresses*. To be called again and again. Raises `OSError` when the kernel does not let us.
        """
        facing = set(addresses)
        for pid in inside:
            for key, number in _sockets(pid):
                ends = self._look(key, number)
                # A client's end is chosen when it connects: looked at again until it is known.
                if ends is not None and ends.peer is None:
                    ends = self._look(key, number, again=True)
                if ends is None:
                    continue
                if ends.peer is not None:
                    facing.add(ends.local)
                self._drop(key, number)
        for pid in outside:
            for key, number in _sockets(pid):
                ends = self._look(key, number)
                if ends is not None and ends.peer in facing:
                    self._drop(key, number)

    def mend(self) -> None:
        """Take every filter away; TCP sends again what was dropped."""
        for pid in {pid for pid, _ in self._cut}:
            for key, number in _sockets(pid):
                if key in self._cut:
                    with _borrowed(pid, number) as one, contextlib.suppress(FileNotFoundError):
                        one.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        self._cut.clear()
        self._ends.clear()

    def _look(self, key: tuple[int, str], number: int, *, again: bool = False) -> _Ends | None:
        if key not in self._ends or again:
            self._ends[key] = None
            with contextlib.suppress(_GoneError), _borrowed(key[0], number) as one:
                self._ends[key] = _ends_of(one)
        return self._ends[key]

    def _drop(self, key: tuple[int, str], number: int) -> None:
        if key in self._cut:
            return
        instructions = ctypes.create_string_buffer(_DROP_ALL, len(_DROP_ALL))
        program = struct.pack("@HP", 1, ctypes.addressof(instructions))  # struct sock_fprog
        with contextlib.suppress(_GoneError), _borrowed(key[0], number) as one:
            one.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
            self._cut.add(key)


class _GoneError(Exception):
    """The process or its socket ended while we looked."""


def _sockets(pid: int) -> Iterator[tuple[tuple[int, str], int]]:
    """The sockets of a process: (process, inode) and descriptor; nothing when it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for entry in list(Path(f"/proc/{pid}/fd").iterdir()):
            with contextlib.suppress(FileNotFoundError):
                link = str(entry.readlink())
                if link.startswith("socket:"):
                    yield (pid, link), int(entry.name)


@contextlib.contextmanager
def _borrowed(pid: int, number: int) -> Iterator[socket.socket]:
    """Descriptor *number* of process *pid*, as a socket of ours; raises `_GoneError`, `OSError`."""
    if _LIBC is None:
        raise OSError(errno.ENOSYS, "a network cut needs Linux (pidfd_getfd)")
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        raise _GoneError from None
    try:
        copy = _LIBC.syscall(_SYS_PIDFD_GETFD, handle, number, 0)
        code = ctypes.get_errno()
    finally:
        os.close(handle)
    if copy < 0:
        if code in (errno.EBADF, errno.ESRCH):
            raise _GoneError
        raise OSError(code, f"pidfd_getfd of process {pid}: {os.strerror(code)}")
    with socket.socket(fileno=copy) as one:
        yield one


def _ends_of(one: socket.socket) -> _Ends | None:
    if one.family != socket.AF_INET or one.type != socket.SOCK_STREAM:
        return None
    try:
        peer: Endpoint | None = one.getpeername()
    except OSError:
        peer = None
    return _Ends(local=one.getsockname(), peer=peer)
