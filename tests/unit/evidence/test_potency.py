"""Only a run whose hypothesis could have failed counts."""

from __future__ import annotations

import dataclasses

import pytest

from stormproof.evidence.potency import potency_of, why_it_cannot_fail
from stormproof.model.verdict import Check, Finding, Outcome, Verdict
from stormproof.verdict.document import read_verdict
from support.evidence_runs import SAMPLE


def sample() -> Verdict:
    """The committed run: held, four claims, one fault."""
    return read_verdict(SAMPLE / "verdict.json")


def share(op: str, bound: float, n: int) -> Finding:
    return dataclasses.replace(sample().findings[0], op=op, bound=bound, n=n)


def test_a_whole_run_counts_and_says_by_which_claims() -> None:
    """Felt, delivered, decided: nothing is held against it."""
    found = potency_of(sample(), timeout_s=10.0)

    assert (True, ()) == (found.counts, found.reasons)
    assert tuple(one.claim for one in sample().findings) == found.could_fail
    assert ("1-az-loss",) == found.felt


@pytest.mark.parametrize(
    ("finding", "word"),
    [
        (share(">=", 0.0, 3000), "below 0"),
        (share("<=", 1.0, 3000), "above 100 %"),
        (share(">=", 0.5, 0), "no requests"),
        (share(">=", 0.5, 5), "not even the worst"),  # all five bad: the upper end is 1 - 0.025^(1/5) = 0.52
        (share("<=", 0.5, 5), "not even the worst"),
        (share(">=", 0.53, 5), ""),
        (share("<=", 0.47, 5), ""),
    ],
)
def test_a_share_that_no_result_could_refute(finding: Finding, word: str) -> None:
    """The worst result with that many requests, against the bound: worked out by hand on both sides of the edge."""
    reason = why_it_cannot_fail(finding, sample(), timeout_s=10.0)

    assert (word in reason) if word else reason == ""


@pytest.mark.parametrize(("place", "bound", "cannot"), [(1, 10_000.0, True), (1, 9_999.0, False), (3, 37.0, True)])
def test_a_bound_beyond_what_was_watched(place: int, bound: float, cannot: bool) -> None:
    """A latency above the load's time-out, a recovery longer than the run: nobody would have seen it."""
    finding = dataclasses.replace(sample().findings[place], bound=bound)

    assert cannot == bool(why_it_cannot_fail(finding, sample(), timeout_s=10.0))


def test_what_was_refuted_could_fail() -> None:
    """It did."""
    finding = dataclasses.replace(share(">=", 0.0, 3000), outcome=Outcome.REFUTED)

    assert "" == why_it_cannot_fail(finding, sample(), timeout_s=10.0)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"confirmations": ()}, "no fault was injected"),
        ({"checks": ()}, "nothing was checked"),
        ({"checks": (Check(name="load delivered", ok=False, reason="half of it"),)}, "load delivered: half of it"),
        ({"outcome": Outcome.INVALID}, "the run is invalid"),
        ({"outcome": Outcome.ABORTED}, "the run is aborted"),
        ({"findings": ()}, "no claim was decided"),
    ],
)
def test_a_run_that_did_not_test_its_claim_does_not_count(change: dict[str, object], word: str) -> None:
    """Each single defect is enough, and is named."""
    found = potency_of(dataclasses.replace(sample(), **change), timeout_s=10.0)

    assert not found.counts
    assert any(word in reason for reason in found.reasons)


def test_a_fault_that_nobody_felt_is_no_evidence() -> None:
    """Whatever held: nothing was tested."""
    unfelt = dataclasses.replace(sample().confirmations[0], felt=False, reason="everybody answered")
    found = potency_of(dataclasses.replace(sample(), confirmations=(unfelt,)), timeout_s=10.0)

    assert (False, ()) == (found.counts, found.felt)
    assert ("1-az-loss was not felt: everybody answered",) == found.reasons
