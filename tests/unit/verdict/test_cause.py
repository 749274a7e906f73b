"""A refutation points at what was planted, and at nothing where nothing was."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stormproof.analysis.cause import COUNTS, KEY, Bad, Evidence, Question, gather, gather_parts, silent_zone
from stormproof.analysis.fold import Fold, FoldOver, Part, fold_here, fold_parts, merge_states
from stormproof.model.verdict import Cause, Outcome
from stormproof.record.sample_part import parts_at
from stormproof.record.samples import samples_schema
from stormproof.verdict.assess import assess
from stormproof.verdict.cause import cause_of
from stormproof.verdict.document import from_document, to_document
from support.synthetic import ENDPOINTS, START_S, ZONES, SyntheticRun, typed

STEADY, FAULT = (START_S, START_S + 15), (START_S + 15, START_S + 35)
ERRORS = ("status 503", "timeout", "reset", "closed")


def world(*, seed: int = 1) -> pd.DataFrame:
    """35 s of 100 requests a second in which all is well, over three endpoints and three zones, drawn independently."""
    rng = np.random.default_rng(seed)
    n = 3500
    frame = pd.DataFrame({"scheduled_at": START_S + np.arange(n) / 100})
    frame["sent_at"] = frame["scheduled_at"]
    frame["latency_ms"] = frame["service_ms"] = 20 * np.exp(rng.normal(0, 0.3, n))
    frame["endpoint"] = rng.choice(ENDPOINTS, n)
    frame["zone"] = rng.choice(ZONES, n)
    frame["status"], frame["ok"], frame["error"], frame["worker"] = 200, True, "", 0
    return typed(frame).astype({"error": "object", "zone": "object"})


def fail(frame: pd.DataFrame, where: pd.Series, share: float, error: str | None, *, seed: int = 2) -> pd.DataFrame:
    """*frame* with this share of the rows *where* failed in the fault window; None: any of `ERRORS`, drawn."""
    rng = np.random.default_rng(seed)
    chosen = where & (frame["scheduled_at"] >= FAULT[0]) & (rng.random(len(frame)) < share)
    frame.loc[chosen, "ok"], frame.loc[chosen, "status"] = False, 503
    frame.loc[chosen, "error"] = rng.choice(ERRORS, int(chosen.sum())) if error is None else error
    return frame


FAILED = Bad()


def cause(frame: pd.DataFrame, bad: Bad = FAILED) -> Cause:
    return cause_of(gather(frame, FAULT, STEADY, bad), bad)


def test_one_endpoint_is_named() -> None:
    """Half of /cart fails, in every way and every zone: the endpoint, and nothing else."""
    frame = world()
    found = cause(fail(frame, frame["endpoint"] == "/cart", 0.5, None))

    assert (found.single, found.endpoint, found.zone, found.error, found.seconds) == (True, "/cart", None, None, None)
    assert "100% of them on endpoint /cart, which had 3" in found.sentence


def test_one_zone_is_named() -> None:
    """Half of what zone b answers is an error, of every kind and endpoint."""
    frame = world()
    found = cause(fail(frame, frame["zone"] == "b", 0.5, None))

    assert (found.single, found.endpoint, found.zone, found.error) == (True, None, "b", None)


def test_a_zone_that_no_longer_answers_is_named_by_its_silence() -> None:
    """What nobody answered carries no zone: the zone that is missing among the answers is the one."""
    frame = world()
    frame = fail(frame, frame["zone"] == "c", 1.0, None)
    frame.loc[~frame["ok"], "zone"] = ""
    found = cause(frame)

    assert (found.endpoint, found.zone) == (None, "c")
    assert "zone c alone had less than half of its steady share" in found.sentence


def answers(steady: tuple[int, int, int], fault: tuple[int, int, int]) -> Evidence:
    """Zones a, b and c answered so many requests in 15 s of steady and in 20 s of fault; a few failed anywhere."""
    rows = [("/", zone, "", n, 0, before, 0) for zone, n, before in zip("abc", fault, steady, strict=True)]
    rows += [("/", "", "status 503", 9, 9, 0, 0)]
    return Evidence(
        start_s=START_S,
        end_s=START_S + 20,
        steady_s=15.0,
        cells=pd.DataFrame(rows, columns=[*KEY, *COUNTS]),
        seconds=np.ones(20, dtype=np.int64),
        worst=pd.DataFrame(),
    )


@pytest.mark.parametrize(
    ("steady", "fault", "expected"),
    [
        ((750, 750, 750), (0, 1500, 1500), "a"),
        ((750, 750, 750), (330, 1330, 1340), "a"),  # silent for two thirds of it
        ((750, 750, 750), (600, 1200, 1200), None),  # one of its two instances is gone
        ((750, 750, 750), (290, 310, 300), None),  # the load as a whole fell below half
        ((750, 750, 750), (0, 300, 300), "a"),  # and a zone was lost besides
        ((4, 5, 6), (1, 9, 10), None),  # which chance may do
        ((750, 750, 750), (0, 0, 3000), None),  # two of them
    ],
)
def test_a_zone_is_silent_by_its_share_of_the_answers(
    steady: tuple[int, int, int], fault: tuple[int, int, int], expected: str | None
) -> None:
    """Not by answers a second, and not by chance."""
    assert silent_zone(answers(steady, fault)) == expected


def test_one_kind_of_error_is_named() -> None:
    """A tenth of everything times out: the error, and neither endpoint nor zone."""
    frame = world()
    found = cause(fail(frame, frame["ok"], 0.1, "timeout"))

    assert (found.single, found.endpoint, found.zone, found.error) == (True, None, None, "timeout")


def test_the_second_is_named() -> None:
    """All fail in the fifth second of the fault, in every way: the second is named, and no single cause."""
    frame = world()
    burst = (frame["scheduled_at"] >= FAULT[0] + 4) & (frame["scheduled_at"] < FAULT[0] + 5)
    found = cause(fail(frame, burst, 1.0, None))

    assert (found.single, found.seconds) == (False, (FAULT[0] + 4, FAULT[0] + 5))
    assert "100% between 4.0 s and 5.0 s of the window" in found.sentence


@pytest.mark.parametrize("seed", range(5))
def test_what_is_spread_has_no_single_cause(seed: int) -> None:
    """A tenth of everything fails, in every way, all the time."""
    frame = world(seed=seed)
    found = cause(fail(frame, frame["ok"], 0.1, None, seed=seed + 100))

    assert (found.single, found.endpoint, found.zone, found.error, found.seconds) == (False, None, None, None, None)
    assert "no single cause: they are spread over 3 endpoints, 3 zones and 4 kinds of error" in found.sentence


def test_a_slow_endpoint_is_named_for_a_claim_about_latency() -> None:
    """Of a latency claim, slow requests are the evidence: no error is to blame."""
    frame = world()
    slow = (frame["endpoint"] == "/product") & (frame["scheduled_at"] >= FAULT[0])
    frame.loc[slow, "latency_ms"] += 500
    found = cause(frame, Bad(slow_ms=300.0))

    assert (found.endpoint, found.zone, found.error, found.slow_ms) == ("/product", None, None, 300.0)
    assert "failed or took longer than 300 ms" in found.sentence


def test_what_was_bad_in_steady_already_is_no_cause() -> None:
    """/cart failed as much before; what the fault added are failures in zone a, so that is what is named."""
    frame = world()
    rng = np.random.default_rng(3)
    always = (frame["endpoint"] == "/cart") & (rng.random(len(frame)) < 0.4)
    frame.loc[always, ["ok", "error"]] = [False, "reset"]
    found = cause(fail(frame, (frame["zone"] == "a") & frame["ok"], 0.6, None))

    assert (found.endpoint, found.zone, found.error) == (None, "a", None)
    assert found.steady_bad > 100


def test_the_breakdown_and_the_worst_requests_point_at_rows() -> None:
    """The breakdown adds up to the bad requests; the worst five are the slowest failures, by their row."""
    frame = world()
    frame = fail(frame, frame["endpoint"] == "/cart", 0.5, "status 503")
    found = cause(frame)

    slowest = frame[~frame["ok"]].sort_values("latency_ms", ascending=False).head(5)
    assert [one.row for one in found.worst] == list(slowest.index)
    assert sum(row.bad for row in found.breakdown) == found.bad == int((~frame["ok"]).sum())
    assert {(row.endpoint, row.error) for row in found.breakdown} == {("/cart", "status 503")}
    assert sum(row.n for row in found.breakdown) == int(
        ((frame["endpoint"] == "/cart") & (frame["scheduled_at"] >= FAULT[0])).sum()
    )


def test_parts_add_up_to_the_whole() -> None:
    """Counted in three parts, the evidence gives the same cause to the last row."""
    frame = world()
    frame = fail(frame, frame["endpoint"] == "/cart", 0.5, None)
    whole = gather(frame, FAULT, STEADY, Bad())
    first, *others = (gather(frame.iloc[i::3], FAULT, STEADY, Bad()) for i in range(3))
    for other in others:
        first = first + other

    assert cause_of(first, Bad()) == cause_of(whole, Bad())


def sent_away(parts: Sequence[Part], folds: Sequence[Fold]) -> list[Any]:
    """As a cluster does it: the folds, and a state a part, go from process to process."""
    states = [pickle.dumps(fold_parts([part], pickle.loads(pickle.dumps(folds)))) for part in parts]
    together = [one.empty() for one in folds]
    for state in states:
        merge_states(folds, together, pickle.loads(state))
    return together


@pytest.mark.parametrize(("by", "fold_over"), [("row", fold_here), ("time", sent_away)])
def test_counted_over_parts_it_is_the_cause_of_the_rows(
    by: str, fold_over: FoldOver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is counted, and also where a part has no request of steady: a silent zone, and the worst by row."""
    monkeypatch.setattr("stormproof.record.sample_part.BATCH_ROWS", 300)
    frame = world()
    frame = fail(frame, frame["zone"] == "c", 1.0, None)
    frame.loc[~frame["ok"], "zone"] = ""
    number = np.arange(len(frame)) % 4 if by == "row" else np.arange(len(frame)) // 1000
    for part in range(4):
        rows = typed(frame[number == part])
        pq.write_table(pa.Table.from_pandas(rows, samples_schema()), tmp_path / f"{3 - part}.parquet")
    questions = [
        Question(window=FAULT, steady=STEADY, bad=bad) for bad in (Bad(), Bad(slow_ms=30.0), Bad(endpoint="/cart"))
    ]
    causes = [cause_of(gather(frame, one.window, one.steady, one.bad), one.bad) for one in questions]
    counted = gather_parts(parts_at(str(tmp_path)), questions, fold_over)

    assert [cause_of(one, question.bad) for one, question in zip(counted, questions, strict=True)] == causes
    assert causes[0].zone == "c"


def test_where_nothing_was_refuted_nothing_is_read_again() -> None:
    """Causes cost a pass over the rows, and one over their times."""

    def never(parts: Sequence[Part], folds: Sequence[Fold]) -> list[Any]:
        raise AssertionError

    assert gather_parts([], [], never) == []


def test_a_refuted_run_carries_its_cause_and_a_held_one_none(tmp_path: Path) -> None:
    """In verdict.json only where a claim is refuted, and read back as it was written."""
    frame = world()
    frame = fail(frame, frame["endpoint"] == "/cart", 0.5, "status 503")
    changes = {"onset_s": 15.0, "felt_s": 15.2, "undo_s": 30.0, "gone_s": 30.5, "end_s": 35.0}
    zone_a = (frame["zone"] == "a") & frame["scheduled_at"].between(START_S + 15, START_S + 30.5, inclusive="left")
    frame.loc[zone_a, "zone"] = "b"
    hypotheses = ["availability during fault >= 99%", "availability during steady >= 95%"]
    verdict = assess(SyntheticRun(samples=frame, hypotheses=hypotheses, warmup_s=0, **changes).write(tmp_path / "run"))
    document = to_document(verdict)

    assert [one.outcome for one in verdict.findings] == [Outcome.REFUTED, Outcome.HELD]
    assert [one.get("cause", {}).get("endpoint") for one in document["findings"]] == ["/cart", None]
    assert ["cause" in one for one in document["findings"]] == [True, False]
    assert from_document(document).findings == verdict.findings
