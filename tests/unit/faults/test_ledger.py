"""The ledger: what is written before the fault is there after the crash."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest

from stormproof.errors import FaultError
from stormproof.faults.ledger import Ledger
from stormproof.faults.mirror import Mirrored, ledger_of


def intend(ledger: Ledger, fault_id: str = "1-az-loss") -> None:
    prior = {"states": {"i-1": "running"}}
    ledger.intend(fault_id, kind="az-loss", target={"zone": "a"}, configuration={"x": "y"}, prior=prior)


def test_intent_is_outstanding_before_the_act(tmp_path: Path) -> None:
    """From the intent on an entry counts as broken, whether or not the act ever returned."""
    ledger = Ledger(tmp_path / "ledger.jsonl")
    intend(ledger)

    (entry,) = ledger.outstanding()
    assert (entry.fault_id, entry.state, entry.prior) == ("1-az-loss", "intent", {"states": {"i-1": "running"}})


def test_only_undone_ends_an_entry(tmp_path: Path) -> None:
    """Acted, undoing and undo-failed are all still to be undone."""
    ledger = Ledger(tmp_path / "ledger.jsonl")
    intend(ledger)
    for step in ("acted", "undoing", "undo-failed"):
        ledger.note("1-az-loss", step)
        assert [entry.state for entry in ledger.outstanding()] == [step]
    ledger.note("1-az-loss", "undone")

    assert ledger.outstanding() == ()


def test_last_broken_is_undone_first(tmp_path: Path) -> None:
    """Outstanding entries come in the reverse of the order they were broken in."""
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for fault_id in ("1-a", "2-b", "3-c"):
        intend(ledger, fault_id)

    assert [entry.fault_id for entry in ledger.outstanding()] == ["3-c", "2-b", "1-a"]


def test_truncated_anywhere_loses_no_whole_intent(tmp_path: Path) -> None:
    """Cut the file at every byte: a whole intent is outstanding unless a whole undone follows it."""
    full = Ledger(tmp_path / "full.jsonl")
    intend(full)
    first_line = full.path.stat().st_size
    full.note("1-az-loss", "acted")
    full.note("1-az-loss", "undoing")
    before_undone = full.path.stat().st_size
    full.note("1-az-loss", "undone")
    data = full.path.read_bytes()

    for length in range(len(data) + 1):
        cut = Ledger(tmp_path / "cut.jsonl")
        cut.path.write_bytes(data[:length])
        # the newline itself is not needed to read a line
        expected = first_line - 1 <= length < len(data) - 1
        assert bool(cut.outstanding()) is expected, (length, first_line, before_undone)


def test_a_torn_line_does_not_swallow_the_next(tmp_path: Path) -> None:
    """What is appended after a crash in the middle of a line stands on a line of its own."""
    ledger = Ledger(tmp_path / "ledger.jsonl")
    intend(ledger)
    with ledger.path.open("ab") as file:
        file.write(b'{"step":"act')
    intend(ledger, "2-throttling")
    ledger.note("1-az-loss", "undone")

    assert [entry.fault_id for entry in ledger.outstanding()] == ["2-throttling"]


def test_disk_full_is_an_error_before_anything_is_broken() -> None:
    """A ledger that cannot be written (the kernel says ENOSPC) refuses the intent."""
    with pytest.raises(FaultError, match="nothing was broken"):
        intend(Ledger(Path("/dev/full")))


def _hold(path: Path, seconds: float) -> None:
    with Ledger(path).locked():
        Path(f"{path}.held").touch()
        time.sleep(seconds)


def test_one_undo_at_a_time_and_a_dead_holder_gives_way(tmp_path: Path) -> None:
    """A second process waits for the lock; a holder that is killed with SIGKILL does not keep it."""
    path = tmp_path / "ledger.jsonl"
    intend(Ledger(path))
    holder = multiprocessing.get_context("spawn").Process(target=_hold, args=(path, 60))
    holder.start()
    try:
        deadline = time.monotonic() + 20
        while not Path(f"{path}.held").exists():
            assert time.monotonic() < deadline, "the holder did not start"
            time.sleep(0.01)
        with pytest.raises(FaultError, match="another process"), Ledger(path).locked(deadline_s=0.1):
            pass
    finally:
        holder.kill()
        holder.join(10)
    with Ledger(path).locked(deadline_s=1):
        pass


@pytest.mark.parametrize(("kind", "reached"), [("dependency-timeout", "http://127.0.0.1:19901"), ("release", None)])
def test_a_side_car_is_reached_as_this_machine_reaches_it(tmp_path: Path, kind: str, reached: str | None) -> None:
    """Through a tunnel at another port, as the file here says; which one it must be stays in the entry."""
    theirs = {"aws_account": "123456789012", "aws_role_arn": "theirs", "ledger_path": "/lost/run-1/ledger.jsonl"}
    if reached:
        theirs |= {"envoy_admin_url": "http://127.0.0.1:9901", "envoy_node_id": "stormproof-staging"}
    document = {"fault_id": "1", "kind": kind, "target": {}, "configuration": theirs, "prior": {}, "wall_s": 1.0}
    ours = {"aws_role_arn": "ours", "envoy_admin_url": "http://127.0.0.1:19901"}
    entry = Mirrored(key="k", etag="e", document=document)
    path = ledger_of([entry], tmp_path / "run-1/ledger.jsonl", configuration=ours)

    (found,) = Ledger(path).outstanding()
    assert found.configuration.get("envoy_admin_url") == reached
    assert found.configuration.get("envoy_node_id") == theirs.get("envoy_node_id")
    assert (found.configuration["aws_role_arn"], found.configuration["aws_account"]) == ("ours", "123456789012")
