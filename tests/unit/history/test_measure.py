"""What is kept of a run: how strong fault and load were, and under what conditions it stands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stormproof.errors import RunDirectoryError
from stormproof.history.entry import entry_of
from stormproof.record.layout import RunDirectory
from stormproof.verdict.assess import assess
from stormproof.verdict.document import read_verdict, write_verdict
from support.evidence_runs import SAMPLE
from support.synthetic import SyntheticRun


def judged(path: Path, **changes: Any) -> RunDirectory:
    run = SyntheticRun(**changes).write(path)
    write_verdict(run.verdict, assess(run))
    return run


def measures(path: Path) -> dict[str, float]:
    return {one.name: one.value for one in entry_of(path).measures}


def test_a_zone_that_went_silent_lost_all_its_answers() -> None:
    """The committed run: 20 s in force, all of zone a's answers lost, 150 requests a second."""
    found = measures(SAMPLE)

    assert pytest.approx(20.0, abs=0.1) == found["1-az-loss: in force"]
    assert 1.0 == found["1-az-loss: of zone a's answers lost"]
    assert pytest.approx(150.0, abs=1) == found["requests sent in the fault phase"]
    assert 0 < found["CPU of the busiest worker"] < 0.2


def test_the_share_of_calls_that_met_a_fault_is_its_strength(tmp_path: Path) -> None:
    """Of 40 calls of the dependency in force 10 were marked, each took 300 ms; canaries and others do not count."""
    calls = [
        {"dependency": "cart", "at_s": 18 + n * 0.4, "duration_ms": 300.0, "flags": "DI" if n % 4 == 0 else ""}
        for n in range(40)
    ]
    others = [
        {"dependency": name, "at_s": 18 + n * 0.4, "canary": name == "cart"}
        for n in range(40)
        for name in ("cart", "x")
    ]
    run = judged(
        tmp_path / "run", fault_id="1-dependency-latency", arrivals=[*calls, *others],
        effect={"kind": "arrivals-delayed", "dependency": "cart", "delay_ms": 300},
    )  # fmt: skip

    found = measures(run.path)

    assert 0.25 == found["1-dependency-latency: calls that met it"]
    assert 300.0 == found["1-dependency-latency: delay met"]


def test_what_the_workload_does_about_a_fault_is_no_strength(tmp_path: Path) -> None:
    """Calls given up after 250 of 3,000 ms are no weaker delay, and a slow zone that is asked less no weaker fault."""
    given_up = [{"dependency": "cart", "at_s": 18 + n * 0.4, "duration_ms": 250.0, "flags": "DI"} for n in range(40)]
    timeout = judged(
        tmp_path / "a", fault_id="1-dependency-timeout", arrivals=given_up,
        effect={"kind": "arrivals-delayed", "dependency": "cart", "delay_ms": 3000},
    )  # fmt: skip
    slowed = judged(tmp_path / "b", effect={"kind": "zone-slowed", "zone": "a", "slow_ms": 5})

    assert ["calls that met it", "in force"] == [
        name.partition(": ")[2] for name in measures(timeout.path) if "timeout" in name
    ]
    assert ["1-az-loss: in force"] == [name for name in measures(slowed.path) if "az-loss" in name]


def test_too_few_calls_say_nothing(tmp_path: Path) -> None:
    """A share of three calls is no measure; the rest is kept."""
    run = judged(
        tmp_path / "run", fault_id="1-dependency-latency", arrivals=[{"dependency": "cart", "at_s": 20.0}] * 3,
        effect={"kind": "arrivals-delayed", "dependency": "cart", "delay_ms": 300},
    )  # fmt: skip

    assert ["1-dependency-latency: in force"] == [name for name in measures(run.path) if "dependency" in name]


def test_conditions_are_load_timeline_and_faults(tmp_path: Path) -> None:
    """Another claim or title leaves a run comparable; another length of the fault does not."""
    first = entry_of(judged(tmp_path / "a").path)
    other_claim = entry_of(judged(tmp_path / "b", hypotheses=["availability during fault >= 90%"], title="x").path)
    longer = entry_of(judged(tmp_path / "c", fault_span="30s").path)

    assert first.conditions == other_claim.conditions
    assert first.conditions != longer.conditions


def test_a_text_that_postgresql_cannot_hold_is_made_one_that_both_can(tmp_path: Path) -> None:
    """NUL in a title: the same replacement for every database, before it is written."""
    run = judged(tmp_path / "run")
    verdict = read_verdict(run.verdict)
    write_verdict(run.verdict, replace(verdict, title="The\x00shop", reasons=("a\x00",)))

    found = entry_of(run.path)

    assert ("The\ufffdshop", ("a\ufffd",)) == (found.title, found.reasons)


def test_a_run_without_a_verdict_is_no_entry(tmp_path: Path) -> None:
    """It has nothing to say yet, and the error says what would give it a verdict."""
    run = SyntheticRun().write(tmp_path / "run")

    with pytest.raises(RunDirectoryError, match="stormproof analyse"):
        entry_of(run.path)
