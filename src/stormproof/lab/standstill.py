"""Cutting processes off the network without any privilege: they stand still, and their doors are full.

SIGSTOP alone is a paused process: the kernel goes on completing handshakes for it. So its listening socket, borrowed,
gets a backlog of 0, and connections of ours fill that: then Linux drops every further SYN, and a connect hangs and is
sent again. On connections that are open the kernel acknowledges data, which nobody reads and nobody answers: they hang
as well. Taken back in the other order: our connections closed, the backlog as it was, SIGCONT; what was sent meanwhile
is then read, as after a network that comes back.

What it is not (docs/adr/0012-zone-faults.md): the processes inside do nothing meanwhile, not even retry.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stormproof.lab.borrowed import Endpoint, GoneError, SocketKey, borrowed, ends_of, sockets_of

# struct tcp_info (linux/tcp.h): eight bytes, then 32-bit fields. Of a listening socket the fifth is the number of
# connections that wait to be accepted, the sixth the backlog.
_TCP_INFO_BYTES, _WAITING_AND_BACKLOG_AT = 32, 24
_FILLERS_A_TURN = 3  # one does; more when it was accepted between the signal and its effect


@dataclass(slots=True, kw_only=True)
class _Held:
    """One process that stands still."""

    door: SocketKey  # its listening socket
    backlog: int  # before
    stopped_by_us: bool = False  # else somebody else's SIGSTOP, which is not ours to end
    fillers: list[socket.socket] = field(default_factory=list)


@dataclass(slots=True)
class Standstill:
    """Which processes are held. Of one supervisor, for its own children."""

    _held: dict[int, _Held] = field(default_factory=dict)  # by process

    def keep(self, *, inside: Iterable[int], addresses: Iterable[Endpoint], outside: Iterable[int]) -> None:
        """Hold the processes *inside* that listen, and let those go that are no longer named; the ends of others need
        nothing. To be called again and again: what somebody else continued is stopped again.
        Raises `OSError` when the kernel does not let us.
        """
        del addresses, outside
        wanted = set(inside)
        for pid in self._held.keys() - wanted:
            _release(pid, self._held.pop(pid))
        for pid in wanted:
            with contextlib.suppress(GoneError, ProcessLookupError):
                self._hold(pid)

    def mend(self) -> None:
        """Let every process go on."""
        for pid, held in self._held.items():
            _release(pid, held)
        self._held.clear()

    def _hold(self, pid: int) -> None:
        held = self._held.get(pid)
        if held is None or not list(_numbers_of(pid, held.door)):  # a process that has begun anew has a new door
            found = _door_of(pid)
            if found is None:  # not listening yet: whoever connects is refused, until there is something to cut off
                return
            held = self._held[pid] = found
        if not _stands_still(pid):
            os.kill(pid, signal.SIGSTOP)
            held.stopped_by_us = True
        for number in _numbers_of(pid, held.door):
            with borrowed(pid, number) as door:
                _fill(door, held)


def _release(pid: int, held: _Held) -> None:
    """Take everything back; of a process that has ended since there is nothing but our own connections."""
    for filler in held.fillers:
        filler.close()
    with contextlib.suppress(GoneError, ProcessLookupError):
        for number in _numbers_of(pid, held.door):
            with borrowed(pid, number) as door:
                door.listen(held.backlog)
        if held.stopped_by_us:
            os.kill(pid, signal.SIGCONT)


def _fill(door: socket.socket, held: _Held) -> None:
    """Shut the door: no backlog, and connections of ours in the one place that is left."""
    door.listen(0)  # on a socket that listens it changes the backlog only
    for _ in range(_FILLERS_A_TURN):
        if _waiting_and_backlog(door)[0] > 0:
            return
        filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        filler.setblocking(False)  # over loopback the handshake is over when the call returns
        filler.connect_ex(door.getsockname())
        held.fillers.append(filler)


def _door_of(pid: int) -> _Held | None:
    for key, number in sockets_of(pid):
        with borrowed(pid, number) as one:
            ends = ends_of(one)
            if ends is not None and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return _Held(door=key, backlog=_waiting_and_backlog(one)[1])
    return None


def _numbers_of(pid: int, door: SocketKey) -> Iterator[int]:
    for key, number in sockets_of(pid):
        if key == door:
            yield number


def _waiting_and_backlog(door: socket.socket) -> tuple[int, int]:
    information = door.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    waiting, backlog = struct.unpack_from("=II", information, _WAITING_AND_BACKLOG_AT)
    return int(waiting), int(backlog)


def _stands_still(pid: int) -> bool:
    """Whether it is stopped, or over; the state stands behind the name, which may hold anything."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except (FileNotFoundError, IndexError):
        raise GoneError from None
    return state in {"T", "Z", "X"}
