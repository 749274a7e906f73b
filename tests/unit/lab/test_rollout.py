"""A rolling release against a fleet of a few lines: who gets the bad build, and who gets the good one back."""

from __future__ import annotations

import pytest

from stormproof.lab.rollout import Rollout
from stormproof.lab.variants import HARDENED, NAIVE, Variant

INSTANCES = ("i-1", "i-2", "i-3")
GOOD, BAD = "1", "2-bad"


class Fleet:
    """Processes that start at once, and are healthy unless their build is bad."""

    def __init__(self) -> None:
        self.serving = dict.fromkeys(INSTANCES, GOOD)
        self.begun: dict[str, str] = {}
        self.down: set[str] = set()
        self.starts = True
        self.most_bad = 0

    def begin(self, instance: str, release: str) -> bool:
        if instance in self.down:
            return False
        self.begun[instance] = release
        return True

    def listens(self, instance: str) -> bool | None:
        return self.starts if instance in self.begun else None

    def take_over(self, instance: str) -> None:
        self.serving[instance] = self.begun.pop(instance)
        self.most_bad = max(self.most_bad, list(self.serving.values()).count(BAD))

    def give_up(self, instance: str) -> None:
        self.begun.pop(instance, None)

    def is_healthy(self, instance: str) -> bool:
        return self.serving[instance] != BAD


def rolled(fleet: Fleet, rollout: Rollout, *, from_s: float = 0.0, seconds: float = 60.0) -> None:
    for tick in range(int(seconds * 20)):
        rollout.turn(from_s + tick / 20)


def rollout_of(fleet: Fleet, variant: Variant) -> Rollout:
    rollout = Rollout(fleet, instances=INSTANCES, policy=variant.release, known=(GOOD, BAD))
    rollout.want(GOOD, 1)
    return rollout


def test_a_careless_rollout_reaches_everybody() -> None:
    """Nobody is asked; the release counts as settled when all have it."""
    fleet = Fleet()
    rollout = rollout_of(fleet, NAIVE)
    rollout.want(BAD, 2)
    rolled(fleet, rollout)

    assert set(fleet.serving.values()) == {BAD}
    assert rollout.document() == {"wanted": BAD, "version": 2, "state": "settled", "instances": {BAD: 3}}


def test_a_careful_rollout_stops_at_the_first_and_takes_it_back() -> None:
    """One instance has had it; it is not tried again while the same is wanted."""
    fleet = Fleet()
    rollout = rollout_of(fleet, HARDENED)
    rollout.want(BAD, 2)
    rolled(fleet, rollout)

    assert fleet.most_bad == 1
    assert set(fleet.serving.values()) == {GOOD}
    assert rollout.document() == {"wanted": BAD, "version": 2, "state": "rolled-back", "instances": {GOOD: 3}}


@pytest.mark.parametrize("variant", [NAIVE, HARDENED], ids=lambda variant: variant.name)
@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.1, 1.0, 2.5, 4.0, 30.0])
def test_the_former_release_comes_back_to_everybody(variant: Variant, after_s: float) -> None:
    """Whenever it is wanted again, also in the middle of a rollout; settled only when that is so."""
    fleet = Fleet()
    rollout = rollout_of(fleet, variant)
    rollout.want(BAD, 2)
    rolled(fleet, rollout, seconds=after_s)
    rollout.want(GOOD, 3)
    for tick in range(1200):
        rollout.turn(after_s + tick / 20)
        if rollout.state == "settled":
            assert set(fleet.serving.values()) == {GOOD}
            assert not fleet.begun

    assert rollout.document() == {"wanted": GOOD, "version": 3, "state": "settled", "instances": {GOOD: 3}}


def test_a_release_that_nobody_built_is_refused() -> None:
    """Nothing is started for it, and the deployment says that it failed."""
    fleet = Fleet()
    rollout = rollout_of(fleet, NAIVE)
    rollout.want("9.9.9", 2)
    rolled(fleet, rollout)

    assert set(fleet.serving.values()) == {GOOD}
    assert rollout.state == "rolled-back"


def test_an_instance_without_power_gets_the_release_when_it_has_some() -> None:
    """It does not hold up the others, and is started with the release that it was given meanwhile."""
    fleet = Fleet()
    fleet.down.add("i-1")
    rollout = rollout_of(fleet, NAIVE)
    rollout.want(BAD, 2)
    rolled(fleet, rollout)

    assert fleet.serving == {"i-1": GOOD, "i-2": BAD, "i-3": BAD}
    assert rollout.serving["i-1"] == BAD


@pytest.mark.parametrize(("variant", "state"), [(NAIVE, "rolling"), (HARDENED, "rolled-back")])
def test_a_build_that_does_not_start_replaces_nothing(variant: Variant, state: str) -> None:
    """What serves goes on serving; who is careless tries for ever, who is careful has seen enough."""
    fleet = Fleet()
    fleet.starts = False
    rollout = rollout_of(fleet, variant)
    rollout.want(BAD, 2)
    rolled(fleet, rollout)

    assert set(fleet.serving.values()) == {GOOD}
    assert rollout.state == state


@pytest.mark.parametrize("variant", [NAIVE, HARDENED], ids=lambda variant: variant.name)
def test_the_same_wish_again_changes_nothing(variant: Variant) -> None:
    """But its number is noted: whoever waits for that change must see that it was heard."""
    fleet = Fleet()
    rollout = rollout_of(fleet, variant)
    rollout.want(GOOD, 2)
    rollout.turn(0.0)

    assert rollout.document()["version"] == 2
    assert not fleet.begun
