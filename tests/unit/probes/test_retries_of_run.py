"""The retry probe on a run directory: which calls belong to which phase, and how many arrivals each came to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stormprobes._amplification import amplification, calls_of
from stormprobes._retries_of_run import retries_of_run
from stormprobes._run_arrivals import arrivals_of, phases_of
from stormprobes.retry_with_jitter import main
from stormproof.record.arrivals import arrivals_schema
from stormproof.record.atomic import read_lines
from stormproof.verdict.timeline import read_timeline
from support.synthetic import SyntheticRun

START_S = 1_700_000_000.0
WINDOW = (START_S, START_S + 10)


def arrivals(
    calls: Sequence[tuple[float, int]],
    *,
    gap_s: float = 0.1,
    op: str = "op-{}",
    client: str = "c",
    canary: bool = False,
) -> pd.DataFrame:
    """A row an attempt of each (start in s after START_S, attempts); every attempt but the last fails."""
    rows = [
        {
            "dependency": "stock",
            "arrived_at": START_S + at + attempt * gap_s,
            "t_start_s": START_S + at + attempt * gap_s,
            "t_end_s": START_S + at + attempt * gap_s + 0.001,
            "duration_ms": 1.0,
            "status": 503,
            "outcome": "503",
            "retry_after_s": np.nan,
            "client": client,
            "op": op.format(number),
            "attempt": attempt + 1,
            "flags": "FI",
            "canary": canary,
        }
        for number, (at, attempts) in enumerate(calls)
        for attempt in range(attempts)
    ]
    return pd.DataFrame(rows)


def write_run(path: Path, frame: pd.DataFrame, *, events: Sequence[dict[str, Any]] | None = None) -> Path:
    """Load from 0 to 30 s, 2 s of warm-up, a fault from 12 to 22 s."""
    told = [
        {"event": "load.started", "at": START_S, "warmup_s": 2.0},
        {"event": "fault.felt", "at": START_S + 12.1, "last_ok_at": START_S + 12.0, "fault_id": "1-error"},
        {"event": "fault.gone", "at": START_S + 22.0, "fault_id": "1-error"},
        {"event": "phase", "phase": "ended", "at": START_S + 30.0},
        {"event": "load.stopped", "at": START_S + 30.0, "workers": []},
    ]
    (path / "arrivals").mkdir(parents=True)
    (path / "events.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in (told if events is None else events)))
    table = pa.Table.from_pandas(frame, schema=arrivals_schema(), preserve_index=False)
    pq.write_table(table, path / "arrivals" / "stock.parquet")
    return path


@pytest.mark.parametrize(
    "changes", [{}, {"felt": False}, {"felt": None}, {"gone": False}, {"injected": False}], ids=str
)
def test_phases_are_those_of_the_verdict(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Two packages read the same events; what they call steady, fault and recovery is the same."""
    run = SyntheticRun(**changes).write(tmp_path / "run")

    assert phases_of(run.path) == read_timeline(read_lines(run.events)).windows


def test_a_fault_that_never_ended_lasts_to_the_end(tmp_path: Path) -> None:
    """Without `fault.gone` there is no recovery; without `fault.felt` there is no fault."""
    started = {"event": "load.started", "at": START_S, "warmup_s": 2.0}
    felt = {"event": "fault.felt", "at": START_S + 12.1, "last_ok_at": None, "fault_id": "1"}
    ended = {"event": "load.stopped", "at": START_S + 30}
    lasting = write_run(tmp_path / "lasting", arrivals([(1, 1)]), events=[started, felt, ended])
    never = write_run(tmp_path / "never", arrivals([(1, 1)]), events=[started, ended])

    assert phases_of(lasting) == {"steady": (START_S + 2, START_S + 12.1), "fault": (START_S + 12.1, START_S + 30)}
    assert phases_of(never) == {"steady": (START_S + 2, START_S + 30)}


def test_a_call_belongs_to_the_phase_of_its_first_arrival() -> None:
    """With all its attempts, whenever they came; a late retry of an earlier call is not a call of this phase."""
    frame = arrivals([(-0.05, 3), (9.95, 4), (5.0, 1)])

    assert sorted(calls_of(frame, WINDOW)["op"].unique()) == ["op-1", "op-2"]
    assert amplification(frame, WINDOW)["n_arrivals"] == 5


def test_amplification_is_arrivals_per_call() -> None:
    """A hundred calls, every other tried three times: 2, with an interval around it."""
    found = amplification(arrivals([(n / 10, 1 + 2 * (n % 2)) for n in range(100)]), WINDOW)

    assert (found["estimate"], found["n_ops"], found["n_arrivals"]) == (2.0, 100, 200)
    assert 1.9 < found["low"] < 2.0 < found["high"] < 2.1


def test_all_alike_is_not_certainty() -> None:
    """Forty calls that were each made once leave open that one in eleven is not; below 1 there is nothing."""
    found = amplification(arrivals([(n / 4, 1) for n in range(40)]), WINDOW)

    assert (found["estimate"], found["low"]) == (1.0, 1.0)
    assert found["high"] == pytest.approx(1 + 3.689 / 40, abs=0.001)


@pytest.mark.parametrize(
    ("frame", "window", "why"),
    [
        (arrivals([(20.0, 1)]), WINDOW, "nobody called it"),
        (arrivals([(n, 2) for n in range(9)], op=""), WINDOW, "carry no id of their call"),
        (arrivals([(n, 2) for n in range(4)]), (START_S, START_S + 4), "too short"),
    ],
)
def test_without_an_interval_there_is_a_reason(frame: pd.DataFrame, window: tuple[float, float], why: str) -> None:
    """Never an interval that is made up."""
    found = amplification(frame, window)

    assert (found["low"], found["high"]) == (None, None)
    assert why in found["reason"]


def test_the_interval_covers_what_it_should() -> None:
    """Calls that meet trouble together, second by second: of 300 intervals nominally 95 % hold the true 2."""
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(300):
        retried = np.repeat(rng.uniform(0.0, 1.0, size=10), 30) > rng.random(300)
        calls = [(number / 30, 3 if again else 1) for number, again in enumerate(retried)]
        found = amplification(arrivals(calls, gap_s=0.001), WINDOW)
        held += found["low"] <= 2.0 <= found["high"]

    assert 0.92 <= held / 300 <= 0.99


def test_canaries_and_other_dependencies_are_left_out(tmp_path: Path) -> None:
    """Our own requests are not the workload's."""
    frame = pd.concat([arrivals([(13, 2)]), arrivals([(14, 1)], canary=True, op="canary-{}")])
    run = write_run(tmp_path / "run", frame)

    assert list(arrivals_of(run)) == ["stock"]
    assert set(arrivals_of(run)["stock"]["op"]) == {"op-0"}
    with pytest.raises(ValueError, match="arrivals at cart, got parts of: stock"):
        arrivals_of(run, "cart")


def test_a_reading_tells_the_fault_from_the_whole(tmp_path: Path) -> None:
    """Immediate retries in the fault phase only: identified there, and each phase has its amplification."""
    steady = [(2.0 + n / 10, 1) for n in range(95)]
    fault = [(12.5 + n / 10, 4) for n in range(90)]
    recovery = [(22.5 + n / 10, 1) for n in range(70)]
    frame = arrivals([*steady, *fault, *recovery], gap_s=0.002)
    frame.loc[frame["t_start_s"] < START_S + 12, "outcome"] = "200"
    frame.loc[frame["t_start_s"] > START_S + 22.2, "outcome"] = "200"
    reading = retries_of_run(str(write_run(tmp_path / "run", frame)))["dependencies"]["stock"]

    assert {phase: row["estimate"] for phase, row in reading["amplification"].items() if phase != "overall"} == {
        "steady": 1.0,
        "fault": 4.0,
        "recovery": 1.0,
    }
    assert (reading["fault"]["n_ops"], reading["overall"]["n_ops"]) == (90, 255)
    assert (reading["fault"]["family"], reading["fault"]["attempts_max"]) == ("immediate", 4)
    assert reading["arrivals"] == len(frame)
    json.dumps(reading, allow_nan=False)


def test_nobody_called_is_said(tmp_path: Path) -> None:
    """A part without rows is a reading with reasons, not a crash and not a fine client."""
    reading = retries_of_run(str(write_run(tmp_path / "run", arrivals([(1, 1)]).iloc[:0])))["dependencies"]["stock"]

    assert (reading["fault"], reading["overall"]) == (None, None)
    assert "nobody called it" in reading["reasons"]["fault"]
    assert reading["amplification"]["fault"]["estimate"] is None


def test_the_command_prints_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`{"probe", "value"}`; and for what is no run, an exit code and a sentence."""
    run = write_run(tmp_path / "run", arrivals([(13 + n / 10, 2) for n in range(20)]))

    assert main(["--run", str(run), "--dependency", "stock"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["probe"] == "retry_with_jitter"
    assert list(document["value"]["dependencies"]) == ["stock"]
    assert main(["--run", str(tmp_path)]) == 65
    assert capsys.readouterr().err.strip()
