"""A run counted part by part is judged as the same run in memory: counts and words the same, latencies to a bucket."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stormproof.analysis.counters import ERROR_MAX
from stormproof.analysis.fold import Fold, Part, fold_here, fold_parts
from stormproof.analysis.stream import claims_fold
from stormproof.analysis.tally import ExtentFold
from stormproof.model.hypothesis import Hypothesis
from stormproof.record.layout import RunDirectory
from stormproof.record.sample_part import parts_of
from stormproof.spec.hypothesis import parse_hypothesis
from stormproof.verdict.assess import assess
from stormproof.verdict.document import to_document
from stormproof.verdict.recorded import recorded_fold
from stormproof.verdict.timeline import read_timeline
from support.command import ROOT
from support.synthetic import START_S, Stretch, SyntheticRun, split

CLAIMS = (
    "availability during fault >= 99%",
    "availability of /cart in zone b during fault >= 0.99x steady",
    "p99 latency during fault <= 3x steady",
    "mean latency during recovery <= 40ms",
    "share of traffic in zone b during fault <= 60%",
    "throughput during fault >= 50/s",
    "requests failed <= 100",
    "time to recover <= 10s",
)
ILL = Stretch(start_s=17, end_s=37, failed_share=0.1, late_ms=150.0)
REFUTABLE = (
    "availability during fault >= 99%",
    "p99 latency during fault <= 3x steady",
    "mean latency during fault <= 50ms",
    "requests failed <= 100",
    "time to recover <= 1s",
)
BROKEN = (
    Stretch(start_s=0, end_s=17, failed_share=0.002),
    Stretch(start_s=17, end_s=37, failed_share=0.2, latency_ms=400.0, zones=("b", "c")),
    Stretch(start_s=37, end_s=52),
)
CASES: Mapping[str, Mapping[str, Any]] = {
    "a survivor": {},
    "failing, and sent late": {"stretches": (Stretch(start_s=0, end_s=17), ILL, Stretch(start_s=37, end_s=52))},
    "a zone slowed": {"effect": {"kind": "zone-slowed", "zone": "b", "slow_ms": 30.0}},
    "instances starved": {"effect": {"kind": "instances-starved", "zone": "b", "slow_ms": 30.0, "clients": ["i-b1"]}},
    "a zone otherwise": {"effect": {"kind": "zone-otherwise", "zone": "b"}},
    "pages failed": {"effect": {"kind": "pages-failed", "status": 500}},
    "nobody called": {"effect": {"kind": "arrivals-stopped", "dependency": "cart"}},
    "aborted": {"abort": {"at_s": 30.0, "by": "person", "reason": "Ctrl-C"}},
}


def in_memory_and_in_parts(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    whole = to_document(assess(run))
    monkeypatch.setattr("stormproof.record.sample_part.IN_MEMORY_ROWS_MAX", 0)
    monkeypatch.setattr("stormproof.record.sample_part.BATCH_ROWS", 700)
    monkeypatch.setattr("stormproof.verdict.assess.read_samples", None)
    return [whole, to_document(assess(run))]


def assert_same(whole: dict[str, Any], counted: dict[str, Any]) -> None:
    """All but the latencies of findings to the last digit; these to their buckets.

    Blocks of time, too, are cut a rounding error apart: a request just on an edge may count in either.
    """
    for mine, theirs in zip(whole["findings"], counted["findings"], strict=True):
        assert_same_cause(mine, theirs)
        # A ratio of two latencies has twice the error of one; an interval's end one bucket more.
        within = 6 * ERROR_MAX if "latency" in mine["claim"] else 1e-3 if "throughput" in mine["claim"] else 1e-12
        for key in ("estimate", "low", "high", "steady"):
            if mine[key] is not None and theirs[key] is not None:
                assert mine.pop(key) == pytest.approx(theirs.pop(key), rel=within), mine["claim"]
        if "latency" in mine["claim"]:
            del mine["reason"], theirs["reason"]  # says the same numbers
    for document in (whole, counted):
        document["reasons"] = [one for one in document["reasons"] if "latency" not in one]
    assert whole == counted


def assert_same_cause(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    """What is slow is known to a bucket where it is a multiple of steady's latency, else to the last digit."""
    one, other = mine.get("cause"), theirs.get("cause")
    if one is not None and other is not None and "latency" in mine["claim"] and "steady" in mine["claim"]:
        assert one.pop("slow_ms") == pytest.approx(other.pop("slow_ms"), rel=2 * ERROR_MAX)
        del one["sentence"], other["sentence"]  # says the same number


def test_a_refutation_in_parts_has_the_same_causes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each refuted claim's sentence, breakdown and worst requests by row number."""
    run = SyntheticRun(hypotheses=REFUTABLE, stretches=BROKEN).write(tmp_path / "run")
    split(run, 3)
    passes: list[int] = []

    def counting(parts: Sequence[Part], folds: Sequence[Fold]) -> list[Any]:
        passes.append(len(folds))
        return fold_here(parts, folds)

    monkeypatch.setattr("stormproof.verdict.assess.fold_here", counting)
    whole, counted = in_memory_and_in_parts(run, monkeypatch)

    assert whole["verdict"] == "refuted"
    assert [one["claim"] for one in counted["findings"] if "cause" in one] == list(REFUTABLE)
    assert len(passes) == 4  # claims and checks, how late the load was (a latency is refuted), causes, row numbers
    assert_same(whole, counted)


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_counted_in_parts_it_is_the_same_verdict(
    changes: Mapping[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Findings, checks, windows, reasons and outcome of a run in seven parts."""
    run = SyntheticRun(hypotheses=CLAIMS, **changes).write(tmp_path / "run")
    split(run, 7)

    assert_same(*in_memory_and_in_parts(run, monkeypatch))


def test_the_stored_run_is_the_same_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run that is committed, with its seal."""
    stored = next((ROOT / "reports" / "sample").glob("*/2*"))
    shutil.copytree(stored, tmp_path / "copy")

    assert_same(*in_memory_and_in_parts(RunDirectory(tmp_path / "copy"), monkeypatch))


def test_a_run_that_was_killed_ends_with_its_last_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No event says when the load ended, so the samples do, in parts as in memory."""
    run = SyntheticRun(hypotheses=CLAIMS).write(tmp_path / "run")
    told = [json.loads(line) for line in run.events.read_text().splitlines()]
    kept = [row for row in told if row["event"] not in {"load.stopped", "run.ended"} and row.get("phase") != "ended"]
    run.events.write_text("".join(json.dumps(row) + "\n" for row in kept))
    whole, counted = in_memory_and_in_parts(run, monkeypatch)

    assert whole["windows"]["recovery"] == counted["windows"]["recovery"]
    assert whole["verdict"] == counted["verdict"]


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Fold], list[Any], Any]:
    """The folds of a run, its parts, and what they come to."""
    run = SyntheticRun(hypotheses=CLAIMS, effect={"kind": "zone-otherwise", "zone": "b"}).write(
        tmp_path_factory.mktemp("folded") / "run"
    )
    split(run, 6)
    timeline = read_timeline([json.loads(line) for line in run.events.read_text().splitlines()])
    claims = [one for text in CLAIMS if isinstance(one := parse_hypothesis(text), Hypothesis)]
    folds: list[Fold] = [claims_fold(timeline.windows, claims[:2]), recorded_fold(timeline), ExtentFold()]
    parts = list(parts_of(run))
    return folds, parts, plain(fold_here(parts, folds))


def plain(states: list[Any]) -> Any:
    """States in a form that can be compared."""
    tallies, (recorded,), extent = states
    arrays = [
        [one.histogram.tolist(), one.sums_ns.tolist(), one.nowhere.tolist(), one.seconds.tolist(), one.traffic.tolist()]
        for one in tallies
    ]
    counted = asdict(recorded) | {"effects": {one: dict(many) for one, many in recorded.effects.items()}}
    return arrays, counted, extent


@given(order=st.permutations(range(6)), cuts=st.sets(st.integers(1, 5)), left=st.booleans())
@settings(max_examples=8, deadline=None)
def test_states_merge_in_any_order_and_grouping(
    folded: tuple[list[Fold], list[Any], Any], order: list[int], cuts: set[int], left: bool
) -> None:
    """Whoever reads which part, and whoever adds up with whom first: the same states to the last count."""
    folds, parts, expected = folded
    edges = [0, *sorted(cuts), 6]
    groups = [[parts[i] for i in order[a:b]] for a, b in itertools.pairwise(edges)]
    states = [fold_parts(group, folds) for group in groups]
    while len(states) > 1:
        one, other = (states.pop(0), states.pop(0)) if left else (states.pop(), states.pop())
        for fold, mine, theirs in zip(folds, one, other, strict=True):
            fold.merge(mine, theirs)
        states.append(one)

    assert plain(states[0]) == expected


def test_the_extent_is_that_of_the_rows(folded: tuple[list[Fold], list[Any], Any]) -> None:
    """From the first to the last scheduled time."""
    _, _, (_, recorded, extent) = folded

    assert extent.first_s == START_S
    assert extent.last_s == pytest.approx(START_S + 52, abs=0.02)
    assert recorded["rows"] == 5200
