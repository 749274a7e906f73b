"""What must not matter to the reading of a health check: when it happened, and what the targets are called."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stormprobes._history import History
from stormprobes.health_check import health_reading
from support.health_history import OFF, STALE, TARGETS, history, looks, renamed, requests, shifted, without_times

INSTANTS = st.lists(st.integers(min_value=10, max_value=290), max_size=6, unique=True).map(
    lambda tenths: tuple(tenth / 10 + 0.05 for tenth in sorted(tenths))
)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Any opinions of three targets, under one of two faults, with one target that fails for a while."""
    changes = {target: draw(INSTANTS) for target in TARGETS}
    bad = draw(st.sampled_from([*TARGETS, ""]))
    start, length = draw(st.integers(0, 25)), draw(st.integers(1, 10))
    named = draw(st.booleans())

    def serve(target: str, at_s: float) -> tuple[str, bool, int]:
        failing = target == bad and start <= at_s < start + length
        return (target if named or not failing else ""), not failing, 503 if failing else 200

    fault = draw(st.sampled_from([STALE, OFF, replace(STALE, end_low_s=None, end_high_s=None)]))
    return history(opinions=looks(changes), sent=requests(serve, per_s=5), faults=[fault])


@settings(max_examples=25, deadline=None)
@given(histories(), st.integers(min_value=1, max_value=2_000_000_000))
def test_a_shift_in_time_changes_nothing(one: History, by_s: int) -> None:
    """Whole seconds, as blocks of a second are counted on the clock."""
    assert without_times(health_reading(one)) == without_times(health_reading(shifted(one, by_s)))


@settings(max_examples=25, deadline=None)
@given(histories(), st.permutations(["zeta", "eta", "theta"]))
def test_the_names_of_targets_change_nothing(one: History, others: list[str]) -> None:
    """All but the names themselves, in whatever order they sort."""
    names = dict(zip(TARGETS, others, strict=True))
    before, after = health_reading(one), health_reading(renamed(one, names))

    assert anonymous(before) == anonymous(after)
    assert {names[target]: row for target, row in bare(before)["targets"].items()} == bare(after)["targets"]


@settings(max_examples=25, deadline=None)
@given(histories())
def test_times_lie_within_their_ends_and_what_is_none_has_a_reason(one: History) -> None:
    """low ≤ value ≤ high, none below 0; each None field says why."""
    reading = health_reading(one)
    for name in ("detect", "drain", "readd"):
        value, low, high = (reading[f"{name}{part}_s"] for part in ("", "_low", "_high"))
        if value is None:
            assert f"{name}_s" in reading["reasons"]
        else:
            assert 0 <= low <= value <= high
    for field in ("flaps", "all_fail", "depth", "healthy_but_failing_min", "answers_under_overload", "theory"):
        assert (reading[field] is None) is (field in reading["reasons"])


@settings(max_examples=25, deadline=None)
@given(histories())
def test_looking_less_often_never_narrows_an_interval(one: History) -> None:
    """Every second look left out: what was not known before is not known now."""
    fewer = [look for number, look in enumerate(one.opinions) if number % 2 == 0]
    sparse = replace(
        one,
        opinions=tuple(
            replace(look, until_s=later.at_s) for look, later in zip(fewer, [*fewer[1:], fewer[-1]], strict=True)
        ),
    )
    dense_reading, sparse_reading = health_reading(one), health_reading(sparse)
    for dense, thin in zip(per_fault(dense_reading), per_fault(sparse_reading), strict=True):
        if dense["detect_s"] is not None and thin["detect_s"] is not None:
            assert thin["detect_high_s"] >= dense["detect_high_s"] - 1e-6
            if thin["detect_s"] - dense["detect_s"] < 0.15:  # the same ejection, not a later one
                assert thin["detect_low_s"] <= dense["detect_low_s"] + 1e-6


def per_fault(reading: dict[str, Any]) -> list[dict[str, Any]]:
    return [times for target in reading["targets"].values() for times in target["faults"].values()]


def bare(reading: dict[str, Any]) -> Any:
    """Without the sentences, which name targets."""
    if isinstance(reading, dict):
        return {key: bare(value) for key, value in reading.items() if key not in {"reasons", "reason"}}
    return reading


def anonymous(reading: dict[str, Any]) -> Any:
    faults = [
        {key: value for key, value in fault.items() if key in {"fault_id", "depth"}} for fault in reading["faults"]
    ]
    whole = {key: value for key, value in bare(reading).items() if key not in {"targets", "faults"}}
    return without_times({**whole, "faults": faults, "why": sorted(reading["reasons"])})
