"""Readings written by hand, and what becomes of each claim about them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stormproof.model.hypothesis import ReadingHypothesis
from stormproof.model.verdict import Finding, Outcome
from stormproof.spec.hypothesis import parse_hypothesis
from stormproof.verdict.judge_reading import JUDGES, reading_finding
from stormproof.verdict.judge_synchrony import SYNCHRONY_MAX

HEALTH: dict[str, Any] = {
    "detect_s": 1.1,
    "detect_low_s": 1.0,
    "detect_high_s": 1.2,
    "drain_s": 1.4,
    "drain_low_s": 1.3,
    "drain_high_s": 1.4,
    "readd_s": None,
    "readd_low_s": 6.0,
    "readd_high_s": None,
    "flaps": 2,
    "all_fail": None,
    "depth": "shallow",
    "targets": 6,
    "reasons": {"all_fail": "never were all targets unhealthy", "readd": "", "readd_s": "it was still out at the end"},
}
IDENTIFIED: dict[str, Any] = {
    "retries": True,
    "attempts_max": 4,
    "family": "exponential",
    "jitter": "full",
    "synchrony": 0.02,
    "budget": True,
    "breaker": None,
    "honours_retry_after": False,
    "n_ops": 240,
    "confidence": {
        "attempts_max": 0.97,
        "family": 0.95,
        "jitter": 0.93,
        "synchrony": 0.95,
        "budget": 0.6,
        "honours_retry_after": 0.99,
    },
    "reasons": {"breaker": "the dependency was never left alone"},
}
AMPLIFICATION = {
    "fault": {"estimate": 1.3, "low": 1.2, "high": 1.4, "n_ops": 240, "method": "ratio estimator over blocks"},
    "recovery": {"estimate": 2.0, "low": None, "high": None, "n_ops": 12, "reason": "fewer than 5 seconds"},
}


def _readings(*, retry: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    cart = {"fault": IDENTIFIED | (retry or {}), "amplification": AMPLIFICATION}
    return [
        {"probe": "target_health", "wall_s": 1.0, "reading": {"targets": {}}},
        {"probe": "health_check", "wall_s": 2.0, "reading": HEALTH},
        {"probe": "retry_with_jitter", "wall_s": 2.0, "reading": {"dependencies": {"cart": cart}}},
    ]


def _finding(text: str, readings: list[dict[str, Any]]) -> Finding:
    claim = parse_hypothesis(text)
    assert isinstance(claim, ReadingHypothesis)
    return reading_finding(claim, readings)


@pytest.mark.parametrize(
    ("text", "outcome", "why"),
    [
        ("health_check detects within 1.2s", "held", "all of it is <= 1.2 s"),
        ("health_check detects within 900ms", "refuted", "none of it is <= 0.9 s"),
        ("health_check detects within 1.1s", "inconclusive", "the bound <= 1.1 s lies within"),
        ("health_check drains within 2s", "held", "1.4 s"),
        ("health_check readmits within 5s", "refuted", "it was still out at the end"),
        ("health_check readmits within 8s", "inconclusive", "lies within"),
        ("health_check flaps <= 2", "held", "n = 6"),
        ("health_check flaps <= 1", "refuted", "2"),
        ("health_check fails open", "inconclusive", "Never were all targets unhealthy."),
        ("health_check is shallow", "held", "`shallow`"),
        ("health_check is deep", "refuted", "it is not `deep`"),
        ("retry attempts of cart <= 4", "held", "4"),
        ("retry attempts of cart <= 3", "refuted", "none of it is <= 3"),
        ("retry family of cart in {exponential, fixed}", "held", "one of `exponential`, `fixed`"),
        ("retry jitter of cart in {equal, decorrelated}", "refuted", "it is not one of"),
        ("retry budget of cart exists", "inconclusive", "below 0.9 it decides nothing"),
        ("retry breaker of cart exists", "inconclusive", "The dependency was never left alone."),
        ("retries of cart are not synchronised", "held", "2% of the retry traffic"),
        ("retries of cart honour retry-after", "refuted", "`no`"),
        ("retry amplification of cart <= 1.5", "held", "95 % interval between 1.2x and 1.4x"),
        ("retry amplification of cart during fault <= 1.3", "inconclusive", "lies within"),
        ("retry amplification of cart during fault <= 1.1", "refuted", "none of it"),
        ("retry amplification of cart during recovery <= 3", "inconclusive", "2x, but fewer than 5 seconds"),
        ("retry amplification of cart during steady <= 3", "inconclusive", "no amplification of the steady phase"),
        ("retry budget of sqs exists", "inconclusive", "no reading of sqs; it has: cart"),
    ],
)
def test_a_claim_against_a_reading(text: str, outcome: str, why: str) -> None:
    """Numbers by their interval, words by the probe's confidence; what it could not tell is inconclusive."""
    finding = _finding(text, _readings())

    assert finding.outcome.value == outcome, finding.reason
    assert why in finding.reason


def test_a_finding_about_a_word_says_what_was_found() -> None:
    """No number is made up for it."""
    finding = _finding("retry jitter of cart in {full}", _readings())

    assert (finding.found, finding.confidence, finding.accepted, finding.n) == ("full", 0.93, ("full",), 240)
    assert (finding.estimate, finding.low, finding.high, finding.bound) == (None, None, None, None)


@pytest.mark.parametrize("key", ["family", "jitter", "budget", "breaker", "honours_retry_after", "attempts_max"])
@pytest.mark.parametrize("confidence", [0.0, 0.89])
def test_below_the_confidence_nothing_is_decided(key: str, confidence: float) -> None:
    """Whatever the word is."""
    claims = {
        "family": "retry family of cart in {exponential}",
        "jitter": "retry jitter of cart in {full}",
        "budget": "retry budget of cart exists",
        "breaker": "retry breaker of cart exists",
        "honours_retry_after": "retries of cart honour retry-after",
        "attempts_max": "retry attempts of cart <= 9",
    }
    sure = {**IDENTIFIED["confidence"], key: 0.9}
    value = {"breaker": True, "honours_retry_after": True, "confidence": sure}
    unsure = {**value, "confidence": {**sure, key: confidence}}

    assert _finding(claims[key], _readings(retry=value)).outcome is Outcome.HELD
    assert _finding(claims[key], _readings(retry=unsure)).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("key", ["family", "jitter", "budget", "attempts_max", "synchrony"])
def test_what_the_probe_could_not_tell_is_inconclusive(key: str) -> None:
    """None is not an answer, however sure the probe is of the rest."""
    text = {
        "family": "retry family of cart in {exponential}",
        "jitter": "retry jitter of cart in {full}",
        "budget": "retry budget of cart exists",
        "attempts_max": "retry attempts of cart <= 9",
        "synchrony": "retries of cart are not synchronised",
    }[key]

    assert _finding(text, _readings(retry={key: None})).outcome is Outcome.INCONCLUSIVE


def test_synchronised_retries_refute() -> None:
    """Beyond the excess that is none; and clients that never retry cannot do it together."""
    text = "retries of cart are not synchronised"

    assert _finding(text, _readings(retry={"synchrony": SYNCHRONY_MAX + 0.2})).outcome is Outcome.REFUTED
    assert _finding(text, _readings(retry={"retries": False, "synchrony": 0.0})).outcome is Outcome.HELD


@pytest.mark.parametrize(
    ("readings", "why"),
    [
        ([], "left no reading"),
        ([{"probe": "retry_with_jitter", "error": "no answer within 90 s"}], "was blind: no answer within 90 s"),
        ([*_readings(), {"probe": "retry_with_jitter", "error": "it crashed"}], "was blind: it crashed"),
        ([{"probe": "retry_with_jitter", "reading": [1]}], "no object"),
        ([{"probe": "retry_with_jitter", "reading": {}}], "it has: none"),
        ([{"probe": "retry_with_jitter", "reading": {"dependencies": {"cart": {"fault": None}}}}], "gives no reason"),
    ],
)
def test_a_blind_probe_is_never_held(readings: list[dict[str, Any]], why: str) -> None:
    """No line, an error, or something else than a reading; the last look counts."""
    finding = _finding("retry budget of cart exists", readings)

    assert finding.outcome is Outcome.INCONCLUSIVE
    assert finding.n == 0
    assert why in finding.reason


def test_a_judge_that_crashes_knows_nothing() -> None:
    """A claim without its bound cannot be judged: inconclusive, with the error as the reason."""
    claim = parse_hypothesis("health_check flaps <= 1")
    assert isinstance(claim, ReadingHypothesis)

    finding = reading_finding(replace(claim, bound=None), _readings())

    assert finding.outcome is Outcome.INCONCLUSIVE
    assert "crashed" in finding.reason


def test_every_form_has_a_judge() -> None:
    """A form without one would be inconclusive for ever."""
    from stormproof.spec.reading_forms import READING_FORMS

    assert {form.probe for form in READING_FORMS} == set(JUDGES)


def test_a_claim_about_a_step_is_held_against_that_steps_reading() -> None:
    """Each step has a reading of its own; a step without one is inconclusive."""
    reading = {**HEALTH, "steps": {"deep-check": {**HEALTH, "depth": "deep"}}}
    rows = [{"probe": "health_check", "reading": reading}]
    found = {}
    for step in ("deep-check", "other"):
        claim = parse_hypothesis(f"health_check is deep during {step}", steps=("deep-check", "other"))
        assert isinstance(claim, ReadingHypothesis)
        found[step] = reading_finding(claim, rows)

    assert found["deep-check"].outcome is Outcome.HELD
    assert found["other"].outcome is Outcome.INCONCLUSIVE
    assert "no reading of the step other" in found["other"].reason
