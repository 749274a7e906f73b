"""The hardened lab that the AWS protocol tests share (a test that breaks it heals it), and an estate in moto.

The estate needs no lab: moto is a process of its own, reached over HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from stormproof.faults import aws
from support import aws_fault
from support.emulated_aws import Estate, Recorder, build, emulator, recorder
from support.lab import RunningLab, running_lab


@pytest.fixture(scope="session")
def lab() -> Iterator[RunningLab]:
    """A hardened lab, up for the whole session."""
    yield from running_lab("hardened")


@pytest.fixture(autouse=True)
def _cuts_in_turn(in_turn: Callable[[Sequence[Any], float], list[Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each commit cuts a fault off at a third of its calls; `--every-case` at all of them."""
    monkeypatch.setattr(aws_fault, "in_turn", in_turn)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own clients wait a minute for an answer, not five seconds: a busy machine is no finding of these tests."""
    monkeypatch.setitem(aws.client.__kwdefaults__, "timeout_s", 60.0)


@pytest.fixture(scope="session")
def emulated() -> Iterator[str]:
    """The URL of a moto server for the whole session; each test builds its estate anew."""
    with emulator() as url:
        yield url


@pytest.fixture(scope="session")
def _kept() -> list[Estate]:
    """The estate that tests share which only look at it."""
    return []


@pytest.fixture
def estate(emulated: str, _kept: list[Estate]) -> Estate:
    """An estate to look at: whoever changes it brings it back, or takes `scratch`."""
    if not _kept:
        _kept.append(build(emulated))
    return _kept[0]


@pytest.fixture(scope="session")
def _recorder(emulated: str) -> Iterator[Recorder]:
    """One for all, at one address: our own clients are kept by address, and take longer to make than a test."""
    with recorder(emulated) as running:
        yield running


@pytest.fixture
def wire(estate: Estate, _recorder: Recorder) -> Recorder:
    """A recorder in front of the shared estate: what a test does to that, it brings back."""
    _recorder.forget()
    return _recorder


@pytest.fixture
def scratch(emulated: str, _kept: list[Estate]) -> Estate:
    """An estate of one's own. There is one emulator, so the shared one is gone and built anew for the next test."""
    _kept.clear()
    return build(emulated)
