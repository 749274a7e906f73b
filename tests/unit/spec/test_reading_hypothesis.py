"""Claims about what a closing probe read: one way to say each, and an error that names the nearest."""

from __future__ import annotations

from pathlib import Path

import pytest

from stormproof.errors import HypothesisError
from stormproof.model.hypothesis import Hypothesis, Phase, ReadingHypothesis, Unit
from stormproof.spec.hypothesis import parse_hypothesis
from stormproof.spec.hypothesis_text import format_hypothesis
from stormproof.spec.loader import load_experiment
from stormproof.spec.reading_forms import READING_FORMS, ReadingForm, reading_table


def test_a_full_claim_is_read_whole() -> None:
    """Every part of the longest production at once."""
    text = 'retry amplification of "the cart" during recovery <= 1.5'

    parsed = parse_hypothesis(text, where="e.yaml:7")

    assert parsed == ReadingHypothesis(
        text=text,
        probe="retry_with_jitter",
        reading="amplification",
        op="<=",
        unit=Unit.RATIO,
        bound=1.5,
        dependency="the cart",
        phase=Phase.RECOVERY,
        where="e.yaml:7",
    )


@pytest.mark.parametrize(
    ("text", "reading", "accepted"),
    [
        ("health_check fails closed", "all_fail", ("closed",)),
        ("health_check is deep", "depth", ("deep",)),
        ("retry jitter in {full, equal, decorrelated}", "jitter", ("full", "equal", "decorrelated")),
        ("retry family of cart in {none}", "family", ("none",)),
        ("retry budget exists", "budget", ("yes",)),
        ("retries are not synchronised", "synchrony", ("yes",)),
        ("retries of cart honour retry-after", "honours_retry_after", ("yes",)),
    ],
)
def test_a_claim_about_a_word_knows_what_satisfies_it(text: str, reading: str, accepted: tuple[str, ...]) -> None:
    """No bound, and a unit that says that there is no number."""
    parsed = parse_hypothesis(text)

    assert isinstance(parsed, ReadingHypothesis)
    assert (parsed.reading, parsed.accepted, parsed.bound, parsed.unit) == (reading, accepted, None, Unit.WORD)


@pytest.mark.parametrize("form", READING_FORMS, ids=lambda form: form.reading)
def test_every_form_parses_and_is_written_back(form: ReadingForm) -> None:
    """The example in the table is a claim; its canonical text makes the same one; the table has it."""
    parsed = parse_hypothesis(form.example)

    assert isinstance(parsed, ReadingHypothesis)
    assert (parsed.probe, parsed.reading) == (form.probe, form.reading)
    assert parse_hypothesis(format_hypothesis(parsed)) == parsed
    assert f"`{form.example}`" in reading_table()


@pytest.mark.parametrize(
    ("text", "column", "hint"),
    [
        ("health_check detect within 3s", 14, "detects"),
        ("health_check fails opn", 20, "open"),
        ("retry jiter in {full}", 7, "jitter"),
        ("retry jitter in {ful}", 18, "full"),
        ("retry budget exist", 14, "exists"),
        ("retris of cart are not synchronised", 1, "retries"),
        ("retries of cart are not synchronized", 25, "synchronised"),
        ("retry amplification during falt <= 2", 28, "fault"),
    ],
)
def test_an_unknown_word_names_the_nearest(text: str, column: int, hint: str) -> None:
    """With the column it stands at."""
    with pytest.raises(HypothesisError) as caught:
        parse_hypothesis(text)

    assert f"column {column}:" in str(caught.value)
    assert f"`{hint}`" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text",
    [
        "retry attempts >= 1",  # always true
        "retry attempts < 1",  # never
        "retry amplification >= 1",
        "health_check flaps >= 0",
        "health_check detects within 0s",
        "health_check detects within 3",
        "retry amplification <= 2x steady",
        "retry jitter in {}",
        "retry jitter in {full,}",
        "retry jitter in {,full}",
        "retry jitter in {full equal}",
        "retry jitter in {full, full}",
        "retry jitter in {full",
        "retry jitter in full",
        "retry jitter in {none, full, equal, decorrelated, additive, proportional, other}",
        "health_check of cart fails open",
        "retry jitter during fault in {full}",
        "retry budget of exists",
        "retry budget exists twice",
        "Retry budget exists",
    ],
)
def test_what_is_no_claim_is_refused(text: str) -> None:
    """Strict: nothing is guessed, and a claim that no run could miss or meet says nothing."""
    with pytest.raises(HypothesisError):
        parse_hypothesis(text)


def _spec(folder: Path, fault: str, claim: str) -> Path:
    folder.mkdir()
    (folder / "load.py").write_text("")
    (folder / "experiment.yaml").write_text(
        "title: t\nwhy: w\nload: {locustfile: load.py, arrivals: 10/s}\n"
        "timeline: {steady: 5s, fault: 5s, recovery: 5s}\n"
        f"faults:\n  - {fault}\nhypotheses:\n  - {claim}\nlimits: {{duration: 1m, targets: 6}}\n"
    )
    return folder


def test_without_a_dependency_it_is_the_one_that_the_faults_break(tmp_path: Path) -> None:
    """So that `retry budget exists` can be said where only one dependency can be meant."""
    spec = _spec(tmp_path / "e", "throttling: {dependency: cart, rate: 5/s}", "retry budget exists")

    (claim,) = load_experiment(spec, variables={}).hypotheses

    assert isinstance(claim, ReadingHypothesis)
    assert claim.dependency == "cart"


def test_without_a_dependency_and_without_a_broken_one_it_is_an_error(tmp_path: Path) -> None:
    """Nobody could say whose retries are meant."""
    spec = _spec(tmp_path / "e", "az-loss: {zone: a}", "retry budget exists")

    with pytest.raises(HypothesisError, match="of <dependency>"):
        load_experiment(spec, variables={})


def test_claims_about_samples_are_still_read_as_such() -> None:
    """The two languages do not overlap."""
    assert isinstance(parse_hypothesis("availability >= 99%"), Hypothesis)


def test_a_claim_about_a_health_check_may_name_a_step() -> None:
    """At the end, and only a step that the spec has."""
    steps = ("shallow-check", "deep-check")
    text = "health_check is shallow during shallow-check"

    parsed = parse_hypothesis(text, steps=steps)

    assert isinstance(parsed, ReadingHypothesis)
    assert (parsed.step, format_hypothesis(parsed)) == ("shallow-check", text)
    with pytest.raises(HypothesisError) as caught:
        parse_hypothesis("health_check flaps <= 1 during shalow-check", steps=steps)
    assert caught.value.hint == "did you mean `shallow-check`?"
    with pytest.raises(HypothesisError, match="the end of the text"):
        parse_hypothesis(text)
