"""A paused process: how it is bound, what a ledger needs to know of it, and that a stranger is never touched."""

import json
from collections.abc import Iterator

import psutil
import pytest

from stormproof.errors import FaultError, IdentityError, InputError
from stormproof.faults import process_pause
from support.command import wait_for
from support.planning import make_environment
from support.served import serving

INSTANCE = "i-0123456789abcdef0"


@pytest.fixture
def process() -> Iterator[psutil.Process]:
    """A process that says that it serves INSTANCE."""
    with serving(INSTANCE) as started:
        yield started


def fault() -> process_pause.ProcessPause:
    return process_pause.bind({"instance_ids": [INSTANCE], "urls": ["http://127.0.0.1:9"]}, {})


def test_the_first_instances_of_the_zone_are_chosen() -> None:
    """*count* bounds what is touched, and the effect names just those."""
    arguments = process_pause.Arguments(zone="b", count=1)
    resolved = process_pause.resolve(arguments, make_environment(), fault_id="1")

    assert resolved.targets == ("i-b1",)
    assert resolved.effect == {"kind": "client-silent", "clients": ["i-b1"]}


@pytest.mark.parametrize(("zone", "count"), [("z", 1), ("a", 3)])
def test_more_than_there_is_is_refused(zone: str, count: int) -> None:
    """An unknown zone, or more instances than the zone has, is an error that says what there is."""
    with pytest.raises(InputError, match=r"a \(2\), b \(2\), c \(2\)"):
        process_pause.resolve(
            process_pause.Arguments(zone=zone, count=count), make_environment(), fault_id="1", where="e.yaml:9"
        )


def test_pause_and_undo_from_what_the_ledger_says(process: psutil.Process) -> None:
    """The prior state as JSON is enough to let the same process go on; a second undo changes nothing."""
    prior = json.loads(json.dumps(fault().prior()))
    fault().act()
    try:
        wait_for("the process to stop", lambda: process.status() == psutil.STATUS_STOPPED, within_s=5)
        with pytest.raises(FaultError, match="paused already"):
            fault().prior()
    finally:
        fault().revert(prior)

    assert process.status() != psutil.STATUS_STOPPED
    fault().revert(prior)
    assert process.status() != psutil.STATUS_STOPPED


def test_a_number_that_was_used_again_is_left_alone(process: psutil.Process) -> None:
    """A process with the recorded number and another start time gets no signal."""
    prior = fault().prior()
    prior["processes"][INSTANCE]["started_s"] -= 3600.0
    fault().act()
    try:
        wait_for("the process to stop", lambda: process.status() == psutil.STATUS_STOPPED, within_s=5)
        fault().revert(prior)
        assert process.status() == psutil.STATUS_STOPPED
    finally:
        process.resume()


def test_no_process_is_an_identity_error() -> None:
    """Nothing is paused when nobody serves the instance."""
    with pytest.raises(IdentityError, match=INSTANCE):
        fault().prior()
