"""Two runs held together: intervals for differences, whose sign, and when they cannot be compared."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stormproof.analysis.difference import difference
from stormproof.analysis.estimate import Estimate, no_estimate
from stormproof.analysis.proportion import share
from stormproof.cli.entry import call
from stormproof.history.compare import Conclusion, compare
from support.synthetic import Stretch
from unit.history.test_measure import judged

P50, AVAILABILITY = "p50 latency during fault <= 300ms", "availability during fault >= 99.5%"
CLAIMS = (P50, AVAILABILITY, "time to recover <= 10s")


def stretches(latency_ms: float = 20.0, failed_share: float = 0.0, rate_per_s: float = 100.0) -> tuple[Stretch, ...]:
    fault = Stretch(
        start_s=17, end_s=37, zones=("b", "c"), latency_ms=latency_ms, failed_share=failed_share, rate_per_s=rate_per_s
    )
    before, after = (Stretch(start_s=at, end_s=end, rate_per_s=rate_per_s) for at, end in ((0, 17), (37, 52)))
    return before, fault, after


def pair(tmp_path: Path, first: dict[str, Any], second: dict[str, Any]) -> tuple[Path, Path]:
    runs = [
        judged(tmp_path / name, hypotheses=CLAIMS, **({"stretches": stretches(), "seed": seed} | changes))
        for seed, (name, changes) in enumerate((("first", first), ("second", second)), start=1)
    ]
    return runs[0].path, runs[1].path


def test_newcombes_example() -> None:
    """56 of 70 against 48 of 80: with exact intervals in place of Wilson's a little wider than 0.0524 to 0.3339."""
    found = difference(share(56, 70), share(48, 80))

    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert pytest.approx(0.2) == found.value
    assert 0.03 < found.low < 0.0524
    assert 0.3339 < found.high < 0.36


def test_an_open_end_stays_open() -> None:
    """A time that was not reached has no upper end, and nor has its difference; no number, no difference."""
    open_ended = Estimate(value=5.0, low=4.0, high=None, n=1, method="x")
    known = Estimate(value=1.0, low=1.0, high=2.0, n=1, method="x")

    up, down = difference(open_ended, known), difference(known, open_ended)

    assert (math.inf, 4.0 - math.hypot(1, 1)) == (up.high, up.value and up.value - math.hypot(1, 1))
    assert -math.inf == down.low
    assert None is difference(no_estimate("nobody called"), known).value


def test_the_interval_covers_the_difference_of_two_worlds() -> None:
    """Two shares that are the same, 2,000 pairs: the interval has zero in it at least 95 times of 100."""
    rng = np.random.default_rng(7)
    covered = 0
    for k, other in rng.binomial(400, 0.97, size=(2000, 2)):
        found = difference(share(int(k), 400), share(int(other), 400))
        covered += (found.low or 0.0) <= 0 <= (found.high or 0.0)

    assert covered / 2000 >= 0.95


def test_a_slower_run_is_worse_and_by_how_much(tmp_path: Path) -> None:
    """20 ms to 30 ms: the interval of the difference lies about 10 ms, and availability shows none."""
    found = compare(*pair(tmp_path, {}, {"stretches": stretches(latency_ms=30.0)}))

    median, available, _ = found.findings
    assert () == found.obstacles
    assert Conclusion.WORSE is median.conclusion
    assert median.low is not None
    assert median.high is not None
    assert 8 < median.low < 10 < median.high < 12
    assert "blocks" in median.method
    assert Conclusion.NO_DIFFERENCE is available.conclusion


def test_the_other_way_round_it_is_better(tmp_path: Path) -> None:
    """Swapped, the difference changes its sign and the word."""
    first, second = pair(tmp_path, {}, {"stretches": stretches(latency_ms=30.0)})
    there, back = compare(first, second).findings[0], compare(second, first).findings[0]

    assert Conclusion.BETTER is back.conclusion
    assert (there.difference, there.low) == (-(back.difference or 0.0), -(back.high or 0.0))


def test_two_runs_of_one_world_do_not_differ(tmp_path: Path) -> None:
    """Only the seed differs: no claim is called better or worse."""
    found = compare(*pair(tmp_path, {}, {}))

    assert {Conclusion.NO_DIFFERENCE} == {one.conclusion for one in found.findings}


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({"fault_span": "30s"}, "another spec: timeline differs"),
        ({"stretches": stretches(rate_per_s=80.0), "rate_per_s": 80.0}, "another load"),
        ({"felt": False}, "the second run is invalid"),
        ({"simulated": False}, "one of them is simulated"),
    ],
)
def test_what_is_not_comparable_is_said(second: dict[str, Any], words: str, tmp_path: Path) -> None:
    """Another length, load or kind of place, or a run that tested nothing: no claim is concluded, and why is said."""
    found = compare(*pair(tmp_path, {}, second))

    assert any(words in one for one in found.obstacles), found.obstacles
    assert {Conclusion.NOT_COMPARABLE} == {one.conclusion for one in found.findings}


def test_a_burst_does_not_hide_that_one_run_was_refuted(tmp_path: Path) -> None:
    """Failures within 0.4 s are noise to blocks of time; held there and refuted here is a difference all the same."""
    burst = (
        Stretch(start_s=0, end_s=17), Stretch(start_s=17, end_s=17.4, failed_share=1.0, zones=("b", "c")),
        Stretch(start_s=17.4, end_s=37, zones=("b", "c")), Stretch(start_s=37, end_s=52),
    )  # fmt: skip
    found = compare(*pair(tmp_path, {"stretches": stretches(failed_share=0.001)}, {"stretches": burst}))

    available = next(one for one in found.findings if one.claim == AVAILABILITY)
    assert Conclusion.WORSE is available.conclusion
    assert "in bursts" in available.reason


def test_as_it_is_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table for people, one document for programs, 65 for what is no run."""
    first, second = map(str, pair(tmp_path, {}, {"stretches": stretches(latency_ms=30.0)}))

    assert 0 == call(["compare", first, second])
    assert "worse" in capsys.readouterr().out
    assert 0 == call(["compare", first, second, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert (True, "worse") == (document["comparable"], document["findings"][0]["conclusion"])
    assert 65 == call(["compare", first, str(tmp_path)])
    assert "expected a run directory" in capsys.readouterr().err
