"""Arrivals summarised as they are read: what a look says of them is what it says of every single one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stormproof.errors import RunDirectoryError
from stormproof.model.verdict import Confirmation
from stormproof.record import arrivals as recorded
from stormproof.record.arrivals import arrival_batches, arrivals_schema, collect_arrivals, read_arrivals
from stormproof.record.layout import RunDirectory
from stormproof.verdict.calls import COLUMNS, summarise_calls
from stormproof.verdict.effect import effect_seen
from stormproof.verdict.sighting import Evidence
from stormproof.verdict.timeline import Timeline

WINDOWS = {"steady": (0.0, 10.0), "fault": (10.0, 20.0), "recovery": (20.0, 30.0)}
EFFECTS: dict[str, dict[str, Any]] = {
    "delayed": {"kind": "arrivals-delayed", "dependency": "cart", "delay_ms": 200.0},
    "rejected": {"kind": "arrivals-rejected", "dependency": "cart"},
    "flagged": {"kind": "arrivals-flagged", "dependency": "cart", "flags": ["UF", "URX"]},
    "stopped": {"kind": "arrivals-stopped", "dependency": "cart"},
    "silent": {"kind": "client-silent", "clients": ["a1", "a2"]},
    "calls": {"kind": "calls-refused", "client": "healer", "dependency": "ec2"},
    "refused": {"kind": "arrivals-refused", "clients": ["a1"], "dependency": "cart"},
    "starved": {"kind": "instances-starved", "clients": ["a1"], "zone": "a", "slow_ms": 100.0, "delay_ms": 1.0},
}
# Felt and undone at other instants, one of them never: each has its own time in force.
CONFIRMATIONS = tuple(
    Confirmation(
        fault_id=fault_id, kind="any", felt=True, gone=True, reason="",
        injected_at=9.9, felt_at=10.0 + number / 4, undone_at=None if number == 2 else 18.0 - number / 3, gone_at=20.0,
    )
    for number, fault_id in enumerate(EFFECTS)
)  # fmt: skip
EDGES = [0.0, 10.0, 20.0, 30.0, *(10.0 + n / 4 + 1.0 for n in range(8)), *(18.0 - n / 3 for n in range(8))]


def timeline() -> Timeline:
    """As the events of a run with all of `EFFECTS` would give it, for what of it is looked at here."""
    fields: dict[str, Any] = dict.fromkeys(Timeline.__dataclass_fields__)
    return Timeline(**{**fields, "windows": WINDOWS, "effects": EFFECTS, "confirmations": CONFIRMATIONS, "acted": {}})


def row(**given: Any) -> dict[str, Any]:
    blank = {
        "dependency": "cart",
        "arrived_at": 0.0,
        "t_start_s": 0.0,
        "t_end_s": 0.0,
        "duration_ms": 1.0,
        "status": 200,
    }
    texts = {"outcome": "200", "retry_after_s": math.nan, "client": "a1", "op": "", "attempt": 1, "flags": ""}
    return {**blank, **texts, "canary": False, **given}


ROWS = st.lists(
    st.builds(
        row,
        dependency=st.sampled_from(["cart", "ec2"]),
        client=st.sampled_from(["a1", "a2", "healer", ""]),
        flags=st.sampled_from(["", "RL", "UF", "DC,URX", "DI"]),
        status=st.sampled_from([200, 401, 403, 503, 0]),
        attempt=st.integers(0, 4),
        canary=st.sampled_from([False, False, False, True]),
        duration_ms=st.sampled_from([0.0, 159.99, 160.0, 160.01, 5000.0, math.nan]),
        # on an edge, just before it, and anywhere
        t_start_s=st.one_of(
            st.sampled_from(EDGES),
            st.sampled_from(EDGES).map(lambda at: math.nextafter(at, -1.0)),
            st.floats(-1.0, 31.0),
        ),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=30)
@given(rows=ROWS, batch_rows=st.integers(1, 7))
def test_a_look_says_the_same_of_a_summary(rows: list[dict[str, Any]], batch_rows: int) -> None:
    """Every kind of effect, any arrivals, in batches of any size: seen or not, and with the same numbers."""
    table = pa.Table.from_pylist(rows, schema=arrivals_schema())
    samples = pd.DataFrame(
        {
            "scheduled_at": [12.0, 13.0],
            "latency_ms": [1.0, 1.0],
            "service_ms": [1.0, 1.0],
            "zone": ["a", "b"],
            "ok": True,
        }
    )
    summary = summarise_calls(table.select(list(COLUMNS)).to_batches(max_chunksize=batch_rows), timeline())

    for confirmation in CONFIRMATIONS:
        effect = EFFECTS[confirmation.fault_id]
        each, summarised = (
            effect_seen(effect, confirmation, Evidence(samples=samples, arrivals=one, windows=WINDOWS))
            for one in (table.to_pandas(), summary)
        )
        assert summarised == each


def test_a_summary_does_not_grow_with_the_calls() -> None:
    """As many calls again of the same kinds: the same rows, twice the counts."""
    rows = [row(t_start_s=at / 100, duration_ms=float(at % 300)) for at in range(3000)]
    batch = pa.Table.from_pylist(rows, schema=arrivals_schema()).select(list(COLUMNS)).to_batches()[0]

    once, twice = (summarise_calls([batch] * times, timeline()) for times in (1, 2))

    assert len(once) == len(twice) < 60
    assert once["calls"].sum() * 2 == twice["calls"].sum() == 6000


def test_arrivals_are_written_and_read_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten calls in row groups of three and batches of two: all of them, and the same as read whole."""
    monkeypatch.setattr(recorded, "ROW_GROUP_ROWS", 3)
    monkeypatch.setattr(recorded, "BATCH_ROWS", 2)
    run = RunDirectory(tmp_path / "run").create()
    log = tmp_path / "access.log"
    log.write_text("".join(f'{{"start_s": {at}, "status": 200}}\n' for at in range(10)))

    count = collect_arrivals(run, "cart", log, 0)
    batches = list(arrival_batches(run, ["t_start_s", "dependency"]))

    assert count == 10
    assert max(map(len, batches)) <= 2
    assert [at for batch in batches for at in batch["t_start_s"].to_pylist()] == list(read_arrivals(run)["t_start_s"])
    assert set(batches[0]["dependency"].to_pylist()) == {"cart"}
    assert not list(run.arrivals.glob(".*")), "nothing half-written is left"


def test_a_part_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """As when it is read whole: the file, what was expected, what was found."""
    run = RunDirectory(tmp_path / "run").create()
    (run.arrivals / "cart.parquet").write_bytes(b"PAR1 no more")

    with pytest.raises(RunDirectoryError, match=r"cart\.parquet: expected a Parquet file"):
        list(arrival_batches(run, ["t_start_s"]))
