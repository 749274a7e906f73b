"""Cutting processes off the network with a filter: the kernel drops what their sockets are sent.

A classic BPF filter that accepts nothing (``SO_ATTACH_FILTER``, "ret 0"; see socket(7)) drops every SYN on a listening
socket, so that a connect hangs; on a connection it drops data and acknowledgements, so that both sides wait and
retransmit, and go on where they were once it is taken away. The supervisor borrows the sockets of its own children.
Some kernels let only root attach a filter: then `keep` raises, and `standstill` is the other way. Neither the shop nor
Envoy takes part in it.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from stormproof.lab.borrowed import Endpoint, Ends, GoneError, SocketKey, borrowed, ends_of, sockets_of

_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27  # asm-generic/socket.h; Python names neither
_DROP_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0)  # one struct sock_filter: BPF_RET | BPF_K, 0 bytes kept


@dataclass(slots=True)
class Partition:
    """Which sockets are cut off. Of one supervisor, for its own children."""

    _ends: dict[SocketKey, Ends | None] = field(default_factory=dict)  # by process and inode; None: not TCP
    _cut: set[SocketKey] = field(default_factory=set)

    def keep(self, *, inside: Iterable[int], addresses: Iterable[Endpoint], outside: Iterable[int]) -> None:
        """Cut every socket of the processes *inside* off, also those opened since, and the ends of *outside* that face
        them or one of *addresses*. To be called again and again. Raises `OSError` when the kernel does not let us.
        """
        facing = set(addresses)
        for pid in inside:
            for key, number in sockets_of(pid):
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
            for key, number in sockets_of(pid):
                ends = self._look(key, number)
                if ends is not None and ends.peer in facing:
                    self._drop(key, number)

    def mend(self) -> None:
        """Take every filter away; TCP sends again what was dropped."""
        for pid in {pid for pid, _ in self._cut}:
            for key, number in sockets_of(pid):
                if key in self._cut:
                    with contextlib.suppress(GoneError, FileNotFoundError), borrowed(pid, number) as one:
                        one.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        self._cut.clear()
        self._ends.clear()

    def _look(self, key: SocketKey, number: int, *, again: bool = False) -> Ends | None:
        if key not in self._ends or again:
            self._ends[key] = None
            with contextlib.suppress(GoneError), borrowed(key[0], number) as one:
                self._ends[key] = ends_of(one)
        return self._ends[key]

    def _drop(self, key: SocketKey, number: int) -> None:
        if key in self._cut:
            return
        instructions = ctypes.create_string_buffer(_DROP_ALL, len(_DROP_ALL))
        program = struct.pack("@HP", 1, ctypes.addressof(instructions))  # struct sock_fprog
        with contextlib.suppress(GoneError), borrowed(key[0], number) as one:
            one.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
            self._cut.add(key)
