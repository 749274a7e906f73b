"""The load's own sockets: who goes first, and time-outs. In a process of their own, as gevent patches the process."""

from __future__ import annotations

import pytest

from unit.load.test_client import in_a_worker

BEGIN = """
import locust, socket, time
import gevent
from stormproof.load import connection
from stormproof.load.connection import Connection

def pair(timeout_s=30.0):
    ours, peer = gevent.socket.socketpair()
    mine = Connection(fileno=ours.detach())
    mine.settimeout(timeout_s)
    return mine, peer
"""


def test_the_schedule_is_asked_before_each_answer_and_may_send() -> None:
    """Three answers came in at once; what is sent before the second waits for its own, and holds none up."""
    printed = in_a_worker(
        BEGIN
        + """
told = []
def answered(name, mine):
    mine.wait_for_answer()
    told.append(name + " " + mine.recv(10).decode())

late, late_peer = pair()
arrival = gevent.Greenlet(answered, "sent meanwhile", late)
def send_one():
    told.append("asked")
    if len(told) == 3:
        arrival.switch()

three = [pair() for _ in range(3)]
waiting = [gevent.spawn(answered, str(number), mine) for number, (mine, _) in enumerate(three)]
gevent.sleep(0)
connection.before_each_answer(send_one)
for _, peer in three:
    peer.send(b"ok")
gevent.joinall(waiting, timeout=10)
print(told[0::2], sorted(told[1::2]), arrival.dead)
connection.before_each_answer(None)
late_peer.send(b"at last")
arrival.join(10)
print(told[6:])
"""
    )

    assert printed.splitlines() == [
        "['asked', 'asked', 'asked'] ['0 ok', '1 ok', '2 ok'] False",
        "['sent meanwhile at last']",
    ]


def test_a_wait_ends_after_its_time_and_no_other_does() -> None:
    """Two that hang end one after another, each after its own time; the answered one does not."""
    printed = in_a_worker(
        BEGIN
        + """
ended = {}
def wait(name, mine):
    begun = time.monotonic()
    try:
        mine.recv(10)
        ended[name] = "answered"
    except TimeoutError as error:
        took_s = time.monotonic() - begun
        ended[name] = (str(error), 0.3 <= took_s < 2)

hanging, answered, second = pair(0.3), pair(0.3), pair(0.3)
all_of_them = [gevent.spawn(wait, "first", hanging[0]), gevent.spawn(wait, "answered", answered[0])]
gevent.sleep(0.1)
all_of_them.append(gevent.spawn(wait, "second", second[0]))
answered[1].send(b"ok")
gevent.joinall(all_of_them, timeout=10)
print(ended, list(ended))
again = gevent.spawn(wait, "again", hanging[0])
again.join(10)
print(ended["again"])
without, _peer = pair(None)
endless = gevent.spawn(wait, "endless", without)
endless.join(0.5)
print(endless.dead)
"""
    )

    too_long = "('timed out', True)"
    assert printed.splitlines() == [
        f"{{'answered': 'answered', 'first': {too_long}, 'second': {too_long}}} ['answered', 'first', 'second']",
        too_long,
        "False",
    ]


def test_a_connection_that_is_closed_or_shared_says_so() -> None:
    """As gevent's own sockets: whoever waits hears of a close, and a second one that would wait is refused."""
    printed = in_a_worker(
        BEGIN
        + """
def wait(mine):
    try:
        mine.wait_for_answer()
    except Exception as error:
        return (isinstance(error, OSError), error.errno) if hasattr(error, 'errno') else type(error).__name__

mine, _peer = pair()
one = gevent.spawn(wait, mine)
gevent.sleep(0)
print(wait(mine))
mine.close()
print(one.get(timeout=10))
"""
    )

    assert printed.splitlines() == ["ConcurrentObjectUseError", "(True, 9)"]


def test_what_does_not_fit_into_one_packet_is_sent_whole() -> None:
    """A peer that reads slowly gets every byte, once."""
    printed = in_a_worker(
        BEGIN
        + """
mine, peer = pair()
data = bytes(range(256)) * 20_000
sending = gevent.spawn(mine.send_all, data)
got = bytearray()
while len(got) < len(data):
    got += peer.recv(65536)
sending.get(timeout=10)
print(bytes(got) == data)
"""
    )

    assert printed == "True\n"


NO_ROUND = "traffic.OpenTraffic._note_round = lambda _: None"


@pytest.mark.parametrize(
    ("go_first_s", "besides", "in_between"), [("60", "", "True"), ("0", "", "False"), ("60", NO_ROUND, "False")]
)
def test_an_arrival_that_is_due_goes_before_the_answers(go_first_s: str, besides: str, in_between: str) -> None:
    """Fifty answers come in at once, each keeps the worker busy for 2 ms: arrivals go out in between.

    Unless they are later than they may be, or the round of the loop has gone on for longer.
    """
    printed = in_a_worker(
        BEGIN
        + f"from stormproof.load import traffic; traffic.GO_FIRST_S = {go_first_s}; {besides}"
        + """
from locust import User, task
from locust.env import Environment
from stormproof.load.instrument import Recorder, RunClock
from stormproof.load.schedule import Schedule
from stormproof.load.traffic import OpenTraffic, tasks_of
from array import array

told, peers = [], []

class Caller(User):
    @task
    def call(self):
        mine, peer = pair()
        peers.append(peer)
        told.append("sent")
        mine.wait_for_answer()
        until = time.monotonic() + 0.002
        while time.monotonic() < until:
            pass
        told.append("answered")

environment = Environment(user_classes=[Caller])
due_s = [0.0] * 50 + [0.5 + number / 100 for number in range(10)]
schedule = Schedule(due_s=array("d", due_s), choices=array("H", [0] * 60))
traffic = OpenTraffic(environment, tasks_of([Caller]), schedule, None)
clock = RunClock(start_mono_s=time.monotonic(), start_s=time.time())
traffic.start(clock)
while len(peers) < 50:
    gevent.sleep(0.001)
while time.monotonic() < clock.start_mono_s + 0.5:
    pass  # the loop does not run: all answers are there when it does
for peer in peers:
    peer.send(b"ok")
while told.count("answered") < 50:
    gevent.sleep(0.001)
answers = [number for number, what in enumerate(told) if what == "answered"]
print(told[answers[0]:answers[49]].count("sent") > 0)
traffic.stop(0.0)
"""
    )

    assert printed == f"{in_between}\n"
