"""An RDS instance restarts, with and without a failover: it is available, in its former zone, wherever that is cut off.

moto's instances restart in no time and fail over to nowhere: a double does as AWS describes it, and its port is closed
meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stormproof.errors import FaultError, UnavailableError
from stormproof.faults import outage_part
from stormproof.faults.database_reboot import DatabaseReboot
from stormproof.model.plan import ResolvedFault
from support.aws_fault import Rehearsal, compare, inject, resolve, undo
from support.emulated_aws import REGION, Estate, Recorder
from support.query_double import DatabaseDouble

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unhurried")]

A, B, C = (f"{REGION}{zone}" for zone in "abc")


@pytest.fixture
def database(wire: Recorder, monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabaseDouble]:
    """A Multi-AZ instance in zone a; our own looks and waits come more often."""
    monkeypatch.setitem(outage_part.wait_until.__kwdefaults__, "every_s", 0.02)
    monkeypatch.setattr(DatabaseReboot, "gap_s", 0.02)
    monkeypatch.setattr(DatabaseReboot, "gone_within_s", 10.0)
    with DatabaseDouble(name="orders-db", zone=A, other=B).running() as double:
        wire.instead = double
        yield double


def _reboot(
    estate: Estate, folder: Path, url: str, database: DatabaseDouble, *, failover: bool = False
) -> ResolvedFault:
    called = {"orders": {"address": database.address, "database_instance": database.name}}
    arguments = {"dependency": "orders", **({"failover": True} if failover else {})}
    return resolve(estate, folder, url, "database-reboot", arguments, dependencies=called)


@pytest.mark.parametrize("failover", [False, True])
def test_it_is_available_in_its_former_zone_wherever_it_is_cut_off(
    estate: Estate, wire: Recorder, database: DatabaseDouble, tmp_path: Path, failover: bool
) -> None:
    """Without a failover there is nothing to undo but to wait; with one the undo is another."""
    database.lasts_s = 0.3 if failover else 0.0  # the act itself waits for the end, and somebody must see the middle
    fault = _reboot(estate, tmp_path / "env", wire.url, database, failover=failover)
    rows = Rehearsal(
        fault=fault,
        wire=wire,
        state=lambda: {"zone": database.zone, "status": database.status},
        folder=tmp_path,
    ).run()

    compare(f"database-reboot{'-failover' if failover else ''}", rows)
    assert rows[0]["undone_by"] == (["RebootDBInstance"] if failover else [])
    assert set(database.reboots) == {failover}


def test_one_that_is_in_a_third_zone_is_left_there(
    estate: Estate, wire: Recorder, database: DatabaseDouble, tmp_path: Path
) -> None:
    """Somebody has moved it since: where it is is said, and it is not rebooted again."""
    database.lasts_s = 0.3
    inject(_reboot(estate, tmp_path / "env", wire.url, database, failover=True), tmp_path / "run")
    database.zone, database.other = C, A
    left = undo(tmp_path / "run")

    assert f"orders-db is in {C}, which is neither the zone before ({A}) nor the other one ({B})" in left[0]["reason"]
    assert database.reboots == [True]


def test_a_fault_that_does_nothing_is_not_felt(
    estate: Estate, wire: Recorder, database: DatabaseDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: everything but the act, and the undo reboots nothing either."""
    monkeypatch.setattr(DatabaseReboot, "felt_within_s", 0.5)

    assert inject(_reboot(estate, tmp_path / "env", wire.url, database), tmp_path / "run", noop=True)["felt"] is False
    assert [row["undone"] for row in undo(tmp_path / "run")] == [True]
    assert wire.changes == []


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("one zone", "expected orders-db to be Multi-AZ, with a second zone to come back in, got none"),
        ("busy", "expected orders-db to be available, got backing-up"),
        ("out of reach", r"expected a connect of our own to 127.0.0.1:\d+ to be accepted before the fault, got:"),
    ],
)
def test_what_could_not_come_back_or_be_seen_is_refused(
    estate: Estate, wire: Recorder, database: DatabaseDouble, tmp_path: Path, case: str, says: str
) -> None:
    """Before anything is written or touched: a canary that never gets there would see every fault."""
    fault = _reboot(estate, tmp_path / "env", wire.url, database, failover=True)
    if case == "one zone":
        database.other = ""
    elif case == "busy":
        database.status = "backing-up"
    else:
        database._close()
    with pytest.raises(FaultError, match=says):
        inject(fault, tmp_path / "run")

    assert wire.changes == []
    assert not (tmp_path / "run/ledger.jsonl").exists()


def test_one_without_the_tags_is_no_target(
    estate: Estate, wire: Recorder, database: DatabaseDouble, tmp_path: Path
) -> None:
    """A name in the file is no permission."""
    database.tags = {"app": "shop"}
    with pytest.raises(UnavailableError, match=r"orders.database_instance: expected orders-db with the tags"):
        _reboot(estate, tmp_path, wire.url, database)
