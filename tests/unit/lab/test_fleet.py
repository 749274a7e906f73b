"""Who is replaced, when, and where; and what becomes of a replacement: against an EC2 of a few lines."""

from __future__ import annotations

from botocore.exceptions import ClientError

from stormproof.lab.capacity import seconds
from stormproof.lab.fleet import Fleet
from stormproof.lab.replacements import Replacements
from stormproof.lab.topology import Address, ShopInstance
from stormproof.lab.variants import FleetPolicy

ZONES = {"i-a1": "a", "i-a2": "a", "i-b1": "b", "i-b2": "b", "i-c1": "c"}
WELL = dict.fromkeys(ZONES, "running")
POLICY = FleetPolicy(replace_after_s=2.0, boot_s=3.0)


class Calls:
    """Grants launches while there is capacity."""

    def __init__(self) -> None:
        self.capacity = True
        self.launched: list[tuple[str, str]] = []
        self.refused = 0
        self.terminated: list[str] = []

    def launch(self, lost: str, zone: str) -> str:
        if not self.capacity:
            self.refused += 1
            raise ClientError({"Error": {"Code": "InsufficientInstanceCapacity", "Message": ""}}, "RunInstances")
        self.launched.append((lost, zone))
        return f"new-{len(self.launched)}"

    def terminate(self, instance: str) -> None:
        self.terminated.append(instance)


def fleet_of(calls: Calls) -> Fleet:
    return Fleet(zones=ZONES, policy=POLICY, calls=calls)


def turned(fleet: Fleet, states: dict[str, str], *, from_s: float, to_s: float) -> None:
    for tick in range(int((to_s - from_s) * 4)):
        fleet.turn(states, from_s + tick / 4)


def test_whoever_is_well_is_left_alone() -> None:
    """No launch, and no call at all: a healer that asks for nothing is refused nothing."""
    calls = Calls()
    turned(fleet_of(calls), WELL, from_s=0, to_s=30)

    assert (calls.launched, calls.terminated, calls.refused) == ([], [], 0)


def test_the_lost_are_replaced_once_where_most_are_left() -> None:
    """After the time that the policy gives them, in a zone that has not lost any, and not again."""
    calls, lost = Calls(), {**WELL, "i-a1": "stopped", "i-a2": "terminated"}
    fleet = fleet_of(calls)
    turned(fleet, lost, from_s=0, to_s=2)
    assert calls.launched == []
    turned(fleet, lost, from_s=2, to_s=30)

    assert calls.launched == [("i-a1", "b"), ("i-a2", "b")]


def test_a_replacement_goes_when_the_lost_one_is_back() -> None:
    """There are never more than there should be for long."""
    calls, fleet = Calls(), None
    fleet = fleet_of(calls)
    turned(fleet, {**WELL, "i-a1": "stopped"}, from_s=0, to_s=5)
    turned(fleet, WELL, from_s=5, to_s=10)

    assert calls.terminated == ["new-1"]
    assert fleet.replaced_by == {}


def test_who_is_refused_asks_again_every_second() -> None:
    """And is granted it as soon as there is some."""
    calls, lost = Calls(), {**WELL, "i-a1": "stopped"}
    calls.capacity = False
    fleet = fleet_of(calls)
    turned(fleet, lost, from_s=0, to_s=10)
    assert calls.refused == 8
    calls.capacity = True
    turned(fleet, lost, from_s=10, to_s=12)

    assert calls.launched == [("i-a1", "b")]


def test_nobody_is_left_to_stand_beside() -> None:
    """With every zone gone there is none to launch into."""
    calls = Calls()
    turned(fleet_of(calls), dict.fromkeys(ZONES, "stopped"), from_s=0, to_s=30)

    assert calls.launched == []


def test_a_replacement_serves_at_the_lost_ones_address_once_it_has_booted() -> None:
    """In its own zone's name; and ends with its instance, booted or not."""
    place = ShopInstance(id="i-a1", name="shop-a1", zone="a", address=Address(host="127.0.1.1", port=80))
    started: list[ShopInstance] = []
    ended: list[str] = []
    replacements = Replacements(places={"i-a1": place}, boot_s=3.0, start=started.append, end=ended.append)
    for number, (state, now) in enumerate([("running", 0.0), ("running", 1.0), ("terminated", 2.0)]):
        replacements.obey({"replacement": f"new-{min(number, 1)}", "of": "i-a1", "zone": "b", "state": state}, now)
    replacements.turn(2.9)
    assert started == []
    replacements.turn(3.0)

    assert [(one.id, one.zone, one.address) for one in started] == [("new-0", "b", place.address)]
    replacements.obey({"replacement": "new-0", "of": "i-a1", "zone": "b", "state": "shutting-down"}, 9.0)
    replacements.obey({"replacement": "new-0", "of": "i-a1", "zone": "b", "state": "terminated"}, 9.1)
    assert ended == ["new-0"]


def test_durations_are_read_as_fis_writes_them() -> None:
    """ISO 8601, of which FIS uses hours, minutes and seconds."""
    assert [seconds(text) for text in ("PT15M", "PT1H30M", "PT45S", "P1D", "")] == [900, 5400, 45, 0, 0]
