"""Greenlets that run arrivals one after another. In a process of their own, as Locust and gevent patch the process."""

from __future__ import annotations

from unit.load.test_client import in_a_worker

BEGIN = """
import locust, time
import gevent
from stormproof.load.crew import Arrival, Crew

def until(condition):
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        gevent.sleep(0.001)

def take(*arrival):
    gevent.get_hub().loop.run_callback(crew.take, *arrival)  # in the hub, as the schedule's timer does

ran = []
"""


def test_one_greenlet_runs_arrivals_one_after_another_and_more_run_side_by_side() -> None:
    """Three in turn are one greenlet's, and each knows when its own arrival was due; three that wait are three."""
    printed = in_a_worker(
        BEGIN
        + """
def run(name, wait):
    me = gevent.getcurrent()
    ran.append((name, id(me), me.due_mono_s, type(me) is Arrival))
    me.due_mono_s = None
    gevent.sleep(wait)

crew = Crew(run)
for name in range(3):
    take(10.0 + name, name, 0)
    until(lambda: len(ran) == name + 1 and not crew.busy)
print([(name, due, right) for name, _, due, right in ran], len({one for _, one, _, _ in ran}))
ran.clear()
for name in range(3):
    take(20.0 + name, name, 1)
until(lambda: len(ran) == 3)
print(crew.oldest_mono_s(), len(crew.busy), [name for name, _, _, _ in ran])
until(lambda: not crew.busy)
print(len({one for _, one, _, _ in ran}), crew.oldest_mono_s(), len(crew.idle))
"""
    )

    assert printed.splitlines() == [
        "[(0, 10.0, True), (1, 11.0, True), (2, 12.0, True)] 1",
        "20.0 3 [0, 1, 2]",
        "3 None 3",
    ]


def test_who_was_gathered_beforehand_runs_the_arrivals() -> None:
    """Two greenlets are idle before the first arrival; two arrivals are theirs, and a third one's is a new one."""
    printed = in_a_worker(
        BEGIN
        + """
def run(name):
    ran.append((name, gevent.getcurrent()))
    gevent.sleep(1)

crew = Crew(run)
crew.gather(2)
until(lambda: len(crew.idle) == 2)
before = set(crew.idle)
print(ran, len(crew.busy))
for name in range(3):
    take(1.0, name)
until(lambda: len(ran) == 3)
print([one in before for _, one in ran], len(crew.idle))
"""
    )

    assert printed.splitlines() == ["[] 0", "[True, True, False] 0"]


def test_the_end_waits_and_then_cuts_off() -> None:
    """A short arrival ends by itself, one that hangs is cut off after the drain, and nobody is left."""
    printed = in_a_worker(
        BEGIN
        + """
def run(name, wait):
    try:
        gevent.sleep(wait)
        ran.append(name)
    except gevent.GreenletExit:
        ran.append(name + " was cut off")
        raise

crew = Crew(run)
take(1.0, "short", 0.05)
take(1.0, "hangs", 60)
until(lambda: len(crew.busy) == 2)
everybody = set(crew.busy)
begun = time.monotonic()
crew.end(0.3)
print(ran, 0.3 <= time.monotonic() - begun < 5, [one.dead for one in everybody], len(crew.busy), len(crew.idle))
"""
    )

    assert printed == "['short', 'hangs was cut off'] True [True, True] 0 0\n"


def test_what_a_task_left_in_its_greenlet_costs_no_later_arrival() -> None:
    """A timer that a task did not cancel ends an idle greenlet, which is out of the crew; the next arrival is run."""
    printed = in_a_worker(
        BEGIN
        + """
def run(name):
    ran.append(name)
    if name == "forgets":
        gevent.Timeout(0.01).start()

gevent.get_hub().handle_error = lambda *_: None
crew = Crew(run)
take(1.0, "forgets")
until(lambda: crew.idle)
(one,) = crew.idle
until(lambda: one.dead)
take(2.0, "next")
until(lambda: len(ran) == 2 and not crew.busy)
print(ran, one in crew.idle, len(crew.idle))
"""
    )

    assert printed == "['forgets', 'next'] False 1\n"
