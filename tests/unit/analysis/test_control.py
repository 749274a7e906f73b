"""A zone beside the control, in the same seconds."""

from __future__ import annotations

import numpy as np
import pytest

from stormproof.analysis.measure import Observations, measure
from stormproof.errors import HypothesisError
from stormproof.model.hypothesis import Hypothesis
from stormproof.model.verdict import Outcome
from stormproof.spec.hypothesis import parse_hypothesis
from stormproof.spec.hypothesis_text import format_hypothesis
from stormproof.verdict.decision import decide
from support.synthetic import START_S, rows

HELD, REFUTED, INCONCLUSIVE = Outcome.HELD, Outcome.REFUTED, Outcome.INCONCLUSIVE
WINDOWS = {"steady": (START_S, START_S + 20), "fault": (START_S + 20, START_S + 40)}


def claim(text: str) -> Hypothesis:
    found = parse_hypothesis(text, control="c")
    assert isinstance(found, Hypothesis)
    return found


def seen(*, slower_a: float = 1.0, slower_all: float = 1.0, lost: int = 0, seed: int = 3) -> Observations:
    """300 requests a second over three zones; during the fault zone a, or everything, is so much slower.

    *lost* requests of the fault phase have no answer, hence no zone.
    """
    rng = np.random.default_rng(seed)
    n = 12_000
    scheduled_at = START_S + np.arange(n) / 300
    zone = np.array(["a", "b", "c"], dtype=object)[np.arange(n) % 3]
    is_fault = scheduled_at >= START_S + 20
    latency_ms = 20 * np.exp(rng.normal(0, 0.3, n)) * np.where(is_fault, slower_all, 1.0)
    latency_ms = latency_ms * np.where(is_fault & (zone == "a"), slower_a, 1.0)
    ok = np.ones(n, dtype=bool)
    gone = rng.choice(np.flatnonzero(is_fault), lost, replace=False)
    ok[gone], zone[gone] = False, ""
    samples = rows(scheduled_at=scheduled_at, latency_ms=latency_ms, ok=ok, zone=zone)
    return Observations(samples=samples, windows=WINDOWS)


def outcome(text: str, observations: Observations) -> Outcome:
    one = claim(text)
    return decide(measure(one, observations), one.op, one.bound)


@pytest.mark.parametrize("metric", ["p50 latency", "p99 latency", "mean latency"])
def test_what_everybody_goes_through_is_no_effect(metric: str) -> None:
    """All zones slow down alike: relative to steady that is refuted, beside the control it is not the fault's doing."""
    everybody, zone = seen(slower_all=2.0), seen(slower_a=2.0)

    assert outcome(f"{metric} in zone a during fault <= 1.5x steady", everybody) is REFUTED
    assert outcome(f"{metric} in zone a during fault <= 1.5x control", everybody) is HELD
    assert outcome(f"{metric} in zone a during fault <= 1.5x control", zone) is REFUTED


def test_the_ratio_is_that_of_the_two_zones() -> None:
    """Twice as slow is a ratio of 2, its interval around it; reasons name the control."""
    estimate = measure(claim("p50 latency in zone a during fault <= 1.5x control"), seen(slower_a=2.0))
    absent = measure(claim("p50 latency in zone a during fault <= 1.5x control"), seen())
    nobody = Observations(samples=seen().samples.query("zone != 'c'"), windows=WINDOWS)

    assert estimate.value == pytest.approx(2.0, rel=0.05)
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low < 2.0 < estimate.high
    assert absent.value == pytest.approx(1.0, rel=0.05)
    reason = measure(claim("p50 latency in zone a during fault <= 1.5x control"), nobody).reason
    assert reason == "in zone c, the control: no requests in zone c in the fault phase"


def test_requests_without_a_zone_may_have_been_of_either_group() -> None:
    """With five percent lost a claim about failures is open: they may all have been zone a's, or the control's."""
    assert outcome("availability in zone a during fault >= 0.99x control", seen()) is HELD
    assert outcome("availability in zone a during fault >= 0.99x control", seen(lost=300)) is INCONCLUSIVE


def test_a_claim_beside_the_control_reads_back() -> None:
    """Its canonical text makes the same claim."""
    one = claim("p99 latency of /cart in zone a during fault <= 1.5x control")

    assert format_hypothesis(one) == one.text
    assert claim(format_hypothesis(one)) == one
    assert not one.can_be_decided_early


@pytest.mark.parametrize(
    ("text", "control", "expected"),
    [
        pytest.param("p99 latency in zone a during fault <= 2x control", None, "`x steady`", id="no control"),
        pytest.param("p99 latency during fault <= 2x control", "c", "`in zone <z>`", id="no zone"),
        pytest.param("p99 latency in zone c during fault <= 2x control", "c", "which is the control", id="control"),
        pytest.param("throughput in zone a during fault >= 0.5x control", "c", "availability", id="divided"),
    ],
)
def test_a_comparison_that_means_nothing_is_an_error(text: str, control: str | None, expected: str) -> None:
    """The control needs a name, and the claim another zone and a metric that the zones do not divide."""
    with pytest.raises(HypothesisError) as caught:
        parse_hypothesis(text, control=control)

    assert expected in str(caught.value)
