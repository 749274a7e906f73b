"""Holding a process so that connects and data hang, apart: without privileges, and without anything left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest

from stormproof.lab.borrowed import borrowed, sockets_of
from stormproof.lab.standstill import Standstill
from support.lab import until

SILENCE_S = 0.4
BACKLOG = 7
SERVER = f"""
import socket, sys
door = socket.create_server(("127.0.0.1", 0), backlog={BACKLOG})
print(door.getsockname()[1], flush=True)
kept = []
import selectors
waiting = selectors.DefaultSelector()
waiting.register(door, selectors.EVENT_READ)
while True:
    for key, _ in waiting.select():
        if key.fileobj is door:
            one, _ = door.accept()
            waiting.register(one, selectors.EVENT_READ)
        else:
            data = key.fileobj.recv(100)
            if data:
                key.fileobj.sendall(data)
            else:
                waiting.unregister(key.fileobj)
                key.fileobj.close()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """A process that sends back what it is sent."""

    process: subprocess.Popen[str]
    port: int

    @property
    def pid(self) -> int:
        return self.process.pid

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=SILENCE_S)

    @property
    def stopped(self) -> bool:
        return bool(psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)

    def backlog(self) -> int:
        """Of its listening socket, by the kernel's word."""
        for _, number in sockets_of(self.pid):
            with borrowed(self.pid, number) as one:
                if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    return int.from_bytes(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)[28:32], sys.byteorder)
        raise AssertionError("it does not listen")


@pytest.fixture
def echo() -> Iterator[Echo]:
    """A server of ours, ended by its handle."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Echo(process=process, port=int(process.stdout.readline()))
        finally:
            process.kill()


@pytest.fixture
def standstill() -> Iterator[Standstill]:
    """One that lets go at the end, whatever becomes of the test."""
    one = Standstill()
    yield one
    one.mend()


def hold(standstill: Standstill, *echoes: Echo) -> None:
    standstill.keep(inside=[echo.pid for echo in echoes], addresses=[], outside=[])


def answers(connection: socket.socket, word: bytes) -> bool:
    """Whether *word* comes back; raises `TimeoutError` while it does not."""
    connection.sendall(word)
    return connection.recv(100) == word


def test_connects_hang(echo: Echo, standstill: Standstill) -> None:
    """Neither accepted nor refused, every one; and the handshake that began in the cut is completed after it."""
    hold(standstill, echo)

    for _ in range(3):
        with pytest.raises(TimeoutError):
            echo.connect()
    late = socket.socket()
    late.setblocking(False)
    late.connect_ex(("127.0.0.1", echo.port))
    standstill.mend()
    with late:
        late.settimeout(5)  # the kernel sends the SYN again after a second
        until(lambda: answers(late, b"late"))


def test_data_hang_and_are_answered_after(echo: Echo, standstill: Standstill) -> None:
    """What is sent on an open connection gets no answer; once mended, all of it does, in order."""
    with echo.connect() as old:
        assert answers(old, b"before")
        hold(standstill, echo)
        with pytest.raises(TimeoutError):
            answers(old, b"one ")
        with pytest.raises(TimeoutError):
            answers(old, b"two")
        standstill.mend()

        old.settimeout(5)
        assert old.recv(100) == b"one two"


def test_nothing_is_left(echo: Echo, standstill: Standstill) -> None:
    """The backlog is as it was, the process goes on, and none of our connections stands."""
    before = len(psutil.Process(echo.pid).net_connections())
    hold(standstill, echo)
    hold(standstill, echo)
    until(lambda: echo.stopped)
    assert echo.backlog() == 0
    standstill.mend()

    until(lambda: not echo.stopped)
    assert echo.backlog() == BACKLOG
    until(lambda: len(psutil.Process(echo.pid).net_connections()) == before)


def test_a_process_that_somebody_else_paused_stays_paused(echo: Echo, standstill: Standstill) -> None:
    """A pause from before the cut outlives it: the one who made it ends it."""
    os.kill(echo.pid, signal.SIGSTOP)
    until(lambda: echo.stopped)
    hold(standstill, echo)
    standstill.mend()

    assert echo.stopped


def test_a_process_that_somebody_else_continued_is_held_again(echo: Echo, standstill: Standstill) -> None:
    """The undo of a pause within the cut does not end the cut; and then the cut's end is what continues it."""
    os.kill(echo.pid, signal.SIGSTOP)
    until(lambda: echo.stopped)
    hold(standstill, echo)
    os.kill(echo.pid, signal.SIGCONT)
    until(lambda: not echo.stopped)
    hold(standstill, echo)
    until(lambda: echo.stopped)

    hold(standstill, echo)  # it may have taken in what filled its door
    with pytest.raises(TimeoutError):
        echo.connect()
    standstill.mend()
    until(lambda: not echo.stopped)


def test_one_that_dies_in_the_cut_refuses_and_is_forgotten(echo: Echo, standstill: Standstill) -> None:
    """We keep no copy of its door: after its death a connect is refused, and the mend has nothing to do."""
    hold(standstill, echo)
    echo.process.kill()
    echo.process.wait()

    with pytest.raises(ConnectionRefusedError):
        echo.connect()
    hold(standstill, echo)
    standstill.mend()


def test_one_that_is_no_longer_named_goes_on(echo: Echo, standstill: Standstill) -> None:
    """Who is not in the cut any more is let go by the next turn."""
    hold(standstill, echo)
    hold(standstill)

    with echo.connect() as one:
        assert answers(one, b"again")
