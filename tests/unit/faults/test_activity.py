"""Write → act → confirm → undo → confirm, on a fault whose world is a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stormproof.errors import FaultError, IdentityError
from stormproof.faults import activity, catalogue
from stormproof.faults.ledger import Ledger
from stormproof.record import events
from support import file_fault


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A whole world, and the fault that breaks it in the catalogue."""
    monkeypatch.setitem(catalogue.KINDS, "file", "support.file_fault")
    monkeypatch.setattr(activity, "FELT_WITHIN_S", 0.5)
    monkeypatch.setattr(activity, "GONE_WITHIN_S", 0.5)
    path = tmp_path / "world"
    path.write_text(file_fault.WHOLE)
    return path


def configuration(world: Path) -> dict[str, Any]:
    return {"ledger_path": str(world.parent / "ledger.jsonl"), "events_path": str(world.parent / "events.jsonl")}


def inject(world: Path, *, noop: bool = False, fault_id: str = "1-file") -> dict[str, Any]:
    target = {"path": str(world)}
    return activity.inject(
        file_fault.bind(target, configuration(world)), fault_id=fault_id, kind="file", noop=noop, target=target,
        configuration=configuration(world),
    )  # fmt: skip


def names(world: Path) -> list[str]:
    return [row["event"] for row in events.read_events(world.parent / "events.jsonl")]


def undo(world: Path, who: str = "conductor") -> list[dict[str, Any]]:
    return activity.undo_outstanding(
        Ledger(world.parent / "ledger.jsonl"), events_path=world.parent / "events.jsonl", who=who
    )


@pytest.mark.parametrize(
    ("where", "gone"),
    [
        ({}, True),
        ({"aws_endpoint_url": "http://127.0.0.1:9", "aws_partition": "aws"}, True),
        ({"aws_endpoint_url": "", "aws_partition": "aws"}, False),
    ],
    ids=["a lab", "an emulator", "AWS"],
)
def test_a_side_car_that_refuses_is_not_gone_with_its_fault(where: dict[str, Any], gone: bool) -> None:
    """Nobody listens at its admin port: in AWS that is a tunnel that is down, or another machine."""
    assert activity.vanished({"envoy_admin_url": "http://127.0.0.1:9", "envoy_node_id": "n", **where}) is gone


def test_inject_is_felt_and_undo_is_seen(world: Path) -> None:
    """The whole way there and back, each step in the events."""
    reading = inject(world)
    assert reading["felt"] is True
    assert world.read_text() == file_fault.BROKEN

    results = undo(world)
    assert [result["undone"] for result in results] == [True]
    assert world.read_text() == file_fault.WHOLE
    assert names(world) == [
        events.FAULT_INJECTING, events.FAULT_INJECTED, events.FAULT_FELT, events.FAULT_UNDOING, events.FAULT_UNDONE,
        events.FAULT_GONE,
    ]  # fmt: skip


def test_onset_lies_between_the_act_and_the_first_look_that_felt_it(world: Path) -> None:
    """last_ok_at never precedes the act and never follows the first look that felt the fault."""
    inject(world)
    rows = {row["event"]: row for row in events.read_events(world.parent / "events.jsonl")}

    felt = rows[events.FAULT_FELT]
    assert rows[events.FAULT_INJECTING]["at"] <= felt["last_ok_at"] <= felt["at"]


def test_noop_is_written_down_but_not_felt(world: Path) -> None:
    """The negative control does everything but act, and says that nothing was felt."""
    reading = inject(world, noop=True)

    assert reading["felt"] is False
    assert events.FAULT_NOT_FELT in names(world)
    assert len(Ledger(world.parent / "ledger.jsonl").outstanding()) == 1
    assert [result["undone"] for result in undo(world)] == [True]


def test_undo_twice_is_harmless(world: Path) -> None:
    """The second undo finds nothing to do."""
    inject(world)
    assert len(undo(world)) == 1

    assert undo(world) == []
    assert world.read_text() == file_fault.WHOLE


@pytest.mark.parametrize("order", ["fail-before", "fail-after"])
def test_an_act_that_fails_is_still_undone(world: Path, order: str) -> None:
    """Whether the act failed before or after it took hold nobody knows: the undo runs either way."""
    Path(f"{world}.act").write_text(order)
    with pytest.raises(FaultError):
        inject(world)

    assert events.FAULT_FAILED in names(world)
    assert [result["undone"] for result in undo(world)] == [True]
    assert world.read_text() == file_fault.WHOLE


def test_disk_full_breaks_nothing(world: Path) -> None:
    """Without a ledger there is no fault."""
    target = {"path": str(world)}
    full = {**configuration(world), "ledger_path": "/dev/full"}
    with pytest.raises(FaultError, match="nothing was broken"):
        activity.inject(
            file_fault.bind(target, full), fault_id="1", kind="file", noop=False, target=target, configuration=full
        )

    assert world.read_text() == file_fault.WHOLE


def test_wrong_identity_touches_nothing(world: Path) -> None:
    """Identity is checked before the ledger is written and before the act."""
    world.unlink()
    with pytest.raises(IdentityError):
        inject(world)

    assert not (world.parent / "ledger.jsonl").exists()


def test_undo_leaves_alone_what_somebody_else_changed(world: Path) -> None:
    """A third state is neither ours nor the prior one: reported, and still outstanding."""
    inject(world)
    world.write_text("repaired by hand")

    (result,) = undo(world)
    assert result["undone"] is False
    assert "somebody else" in result["reason"]
    assert world.read_text() == "repaired by hand"
    assert len(Ledger(world.parent / "ledger.jsonl").outstanding()) == 1


def test_undo_goes_on_past_a_failure(world: Path) -> None:
    """One entry that cannot be undone does not keep the others broken."""
    other = world.with_name("other")
    other.write_text(file_fault.WHOLE)
    inject(world, fault_id="1-file")
    target = {"path": str(other)}
    activity.inject(
        file_fault.bind(target, configuration(world)), fault_id="2-file", kind="file", noop=False, target=target,
        configuration=configuration(world),
    )  # fmt: skip
    other.write_text("repaired by hand")

    assert {result["fault_id"]: result["undone"] for result in undo(world)} == {"2-file": False, "1-file": True}
    assert world.read_text() == file_fault.WHOLE


def test_a_broken_world_is_not_broken_again(world: Path) -> None:
    """A fault that is in force already would make "prior" a lie: refused."""
    world.write_text(file_fault.BROKEN)
    with pytest.raises(FaultError, match="already"):
        inject(world)

    assert not (world.parent / "ledger.jsonl").exists()


def test_half_broken_belongs_to_the_fault(world: Path) -> None:
    """The onset is bounded by the last look at a whole world, not by a look at a half-broken one."""
    from stormproof.faults.onset import Watch
    from stormproof.faults.protocol import Look, Seen

    script = [Seen.WHOLE, Seen.PARTIAL, Seen.PARTIAL, Seen.BROKEN]

    class Scripted(file_fault.FileFault):
        """Shows one state after the other."""

        def look(self) -> Look:
            return Look(seen=script.pop(0), evidence={"at": len(script)})

    watch = Watch(Scripted(path=str(world), configuration={}), until=Seen.BROKEN).start()
    assert watch.wait(5)

    assert watch.looks == 4
    assert watch.last_before_at is not None
    assert watch.seen_at is not None
    # two partial looks, a gap of 5 ms each, lie between the last whole look and the first broken one
    assert watch.seen_at - watch.last_before_at >= 0.015
