"""A process that gets no more memory: the limit, whose it is, and that what was there before comes back exactly."""

import json
from collections.abc import Iterator

import psutil
import pytest

from stormproof.errors import FaultError, IdentityError
from stormproof.faults import memory_pressure
from support.served import serving

INSTANCE = "i-0a1b2c3d4e5f60718"
HEADROOM_BYTES = 4 << 20


@pytest.fixture
def process() -> Iterator[psutil.Process]:
    """A process that says that it serves INSTANCE."""
    with serving(INSTANCE) as started:
        yield started


def fault() -> memory_pressure.MemoryPressure:
    target = {
        "zone": "a",
        "instance_ids": [INSTANCE],
        "urls": ["http://127.0.0.1:9/"],
        "headroom_bytes": HEADROOM_BYTES,
    }
    return memory_pressure.bind(target, {})


def soft_of(process: psutil.Process) -> int:
    return int(process.rlimit(psutil.RLIMIT_AS)[0])


def test_the_limit_is_what_it_uses_and_the_headroom(process: psutil.Process) -> None:
    """To the page: the kernel does not look at the bits below, where our mark is. The hard limit stays."""
    hard = process.rlimit(psutil.RLIMIT_AS)[1]
    used = process.memory_info().vms
    fault().act()

    page = memory_pressure.PAGE_BYTES
    assert soft_of(process) // page == (used + HEADROOM_BYTES) // page
    assert process.rlimit(psutil.RLIMIT_AS)[1] == hard


@pytest.mark.parametrize("before", [psutil.RLIM_INFINITY, 123 << 30])
def test_the_former_limit_comes_back(process: psutil.Process, before: int) -> None:
    """From the ledger's JSON, to the byte, as often as one likes; and it is refused a second time while in force."""
    process.rlimit(psutil.RLIMIT_AS, (before, process.rlimit(psutil.RLIMIT_AS)[1]))
    prior = json.loads(json.dumps(fault().prior()))
    fault().act()
    assert soft_of(process) != before
    with pytest.raises(FaultError, match="under pressure already"):
        fault().prior()

    for _ in range(2):
        fault().revert(prior)
        assert soft_of(process) == before


def test_a_limit_of_somebody_else_is_left_alone(process: psutil.Process) -> None:
    """Neither ours nor the one before: refused, and said so."""
    prior = fault().prior()
    fault().act()
    process.rlimit(psutil.RLIMIT_AS, (200 << 30, process.rlimit(psutil.RLIMIT_AS)[1]))
    with pytest.raises(FaultError, match="somebody else"):
        fault().revert(prior)

    assert soft_of(process) == 200 << 30


def test_a_number_that_was_used_again_is_left_alone(process: psutil.Process) -> None:
    """A process with the recorded number and another start time keeps its limit."""
    prior = fault().prior()
    prior["processes"][INSTANCE]["started_s"] -= 3600.0
    fault().act()
    ours = soft_of(process)
    fault().revert(prior)

    assert soft_of(process) == ours


def test_a_process_that_has_ended_took_the_limit_with_it(process: psutil.Process) -> None:
    """There is nothing to undo, and that is no error."""
    prior = fault().prior()
    process.kill()
    process.wait(timeout=5)

    fault().revert(prior)


def test_nobody_to_limit_is_an_identity_error() -> None:
    """Nothing is limited when nobody serves the instance."""
    with pytest.raises(IdentityError, match=INSTANCE):
        fault().prior()


@pytest.mark.parametrize(
    ("limit", "ours"),
    [(memory_pressure.marked(100 << 20), True), (100 << 20, False), (psutil.RLIM_INFINITY, False)],
)
def test_ours_is_told_by_its_mark(limit: int, ours: bool) -> None:
    """A limit that somebody else has set is a whole number of pages, or none."""
    assert memory_pressure.is_ours(limit) is ours
