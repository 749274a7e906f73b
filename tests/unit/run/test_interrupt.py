"""Signals are requests, not exceptions."""

from __future__ import annotations

import os
import signal
import time

import pytest

from stormproof.run.interrupt import STOPPING, Interrupts


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_is_remembered(number: signal.Signals) -> None:
    """The first signal gives the reason; nothing is raised, later ones are only counted."""
    with Interrupts() as interrupts:
        os.kill(os.getpid(), number)
        deadline = time.monotonic() + 5
        while interrupts.reason is None and time.monotonic() < deadline:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)
        while interrupts.count < 2 and time.monotonic() < deadline:
            time.sleep(0.001)

    assert interrupts.reason == f"{number.name} received"
    assert interrupts.count == 2


def test_the_handlers_before_are_put_back() -> None:
    """Outside, signals mean what they meant."""
    before = [signal.getsignal(one) for one in STOPPING]
    with Interrupts():
        assert [signal.getsignal(one) for one in STOPPING] != before

    assert [signal.getsignal(one) for one in STOPPING] == before
