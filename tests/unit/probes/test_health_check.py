"""The reading of a health check against histories written by hand: every field, and why it is None."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stormprobes._history import Fault
from stormprobes.health_check import health_reading
from support.health_history import OFF, STALE, answered, history, looks, requests


def dead_until_ejected(target: str, at_s: float) -> tuple[str, bool, int] | None:
    """Target a dies at 10 s: its requests fail without a name until it is ejected at 11.2, then others get them."""
    if target == "a" and 10.0 <= at_s < 11.2:
        return "", False, 503
    return None if target == "a" and 11.2 <= at_s < 21.0 else (target, True, 200)


def a_dead_target() -> dict[str, Any]:
    return health_reading(
        history(opinions=looks({"a": (11.2, 21.0)}), sent=requests(dead_until_ejected), faults=[STALE])
    )


def test_detection_lies_between_the_last_healthy_and_the_first_unhealthy_look() -> None:
    """The onset counts from the canary's last whole look; the interval has both gaps in it."""
    reading = a_dead_target()

    assert [1.2, 1.08, 1.3] == pytest.approx([reading[f"detect{part}_s"] for part in ("", "_low", "_high")])
    assert ["failed_active_health_check"] == reading["targets"]["a"]["faults"]["1"]["ejected_for"]


def test_a_target_that_is_never_ejected_has_a_lower_end_only() -> None:
    """Nobody knows how long it would have taken: longer than it was watched."""
    reading = health_reading(history(sent=requests(), faults=[STALE]))

    assert (None, None) == (reading["detect_s"], reading["detect_high_s"])
    assert pytest.approx(9.88) == reading["detect_low_s"]
    assert "a was called healthy for all of the 9.9 s that 1 was watched" == reading["reasons"]["detect_s"]


def test_one_target_out_of_two_that_is_not_detected_leaves_no_value() -> None:
    """The worst decides, and the worst is not known."""
    both = replace(STALE, targets=("a", "b"))
    reading = health_reading(history(opinions=looks({"a": (11.2, 21.0)}), faults=[both]))

    assert None is reading["detect_s"]
    assert pytest.approx(1.2) == reading["targets"]["a"]["faults"]["1"]["detect_s"]
    assert "b was called healthy" in reading["reasons"]["detect_s"]


@pytest.mark.parametrize(
    ("opinions", "reason"),
    [
        (looks({"a": (8.0,)}), "a was called unhealthy before 1"),
        (looks(blind=(9.9, 20.0)), "nobody asked the balancer while 1 was in force"),
    ],
)
def test_detection_that_cannot_be_told(opinions: Any, reason: str) -> None:
    """Unhealthy before, or nobody looked: no number."""
    reading = health_reading(history(opinions=opinions, faults=[STALE]))

    assert (None, reason) == (reading["detect_s"], reading["reasons"]["detect_s"])


def test_a_gap_between_looks_widens_the_interval() -> None:
    """Blind from 10.5 to 13: it may have been ejected at any time in between."""
    reading = health_reading(history(opinions=looks({"a": (11.2, 21.0)}, blind=(10.5, 13.0)), faults=[STALE]))

    assert [0.38, 3.1] == pytest.approx([reading["detect_low_s"], reading["detect_high_s"]])


def test_return_counts_from_the_undo_to_the_first_healthy_look() -> None:
    """From between undo and the canary's whole look, to the first look that shows healthy."""
    reading = a_dead_target()

    assert [1.0, 0.85, 1.1] == pytest.approx([reading[f"readd{part}_s"] for part in ("", "_low", "_high")])


@pytest.mark.parametrize(
    ("changes", "fault", "reason"),
    [
        ({}, STALE, "a was called healthy when 1 ended"),
        ({"a": (11.2,)}, STALE, "a was not called healthy again in the record"),
        ({"a": (11.2,)}, replace(STALE, end_low_s=None, end_high_s=None), "1 was not taken back"),
    ],
)
def test_a_return_that_was_not_seen(changes: Any, fault: Fault, reason: str) -> None:
    """Never ejected, never taken back, or the fault never ended: no number."""
    reading = health_reading(history(opinions=looks(changes), faults=[fault]))

    assert (None, reason) == (reading["readd_s"], reading["reasons"]["readd_s"])


def test_a_dead_target_drains_with_the_last_request_that_fails_without_a_name() -> None:
    """Its own requests have nobody's name: the last of them, at 11.1 s, is the end at most."""
    reading = a_dead_target()

    assert [1.11, 0.0, 1.11] == pytest.approx([reading[f"drain{part}_s"] for part in ("", "_low", "_high")], abs=0.002)


def test_a_target_that_answers_while_broken_drains_with_its_last_answer() -> None:
    """Stale credentials: it answers on until it is ejected."""

    def serve(target: str, at_s: float) -> tuple[str, bool, int] | None:
        return None if target == "a" and 11.2 <= at_s < 21.0 else (target, True, 200)

    reading = health_reading(history(opinions=looks({"a": (11.2, 21.0)}), sent=requests(serve), faults=[STALE]))

    assert [1.11, 1.08, 1.11] == pytest.approx([reading[f"drain{part}_s"] for part in ("", "_low", "_high")], abs=0.002)


def test_a_target_that_gets_requests_to_the_end_has_not_drained() -> None:
    """No value, and a lower end."""
    reading = health_reading(history(sent=requests(), faults=[STALE]))

    assert (None, None) == (reading["drain_s"], reading["drain_high_s"])
    assert pytest.approx(9.88, abs=0.01) == reading["drain_low_s"]
    assert "still got requests" in reading["reasons"]["drain_s"]


def test_a_zone_with_one_broken_target_of_two_cannot_say_which_answered() -> None:
    """Answers that name a and b together say nothing of a alone; of both together they do, as an upper end."""
    sent = requests(dead_until_ejected).replace({"served_by": {"a": "z", "b": "z"}})
    groups = {"z": ("a", "b"), "c": ("c",)}
    one = health_reading(history(sent=sent, faults=[STALE], groups=groups))
    gone = requests(lambda target, at_s: None if target != "c" and 11.2 <= at_s < 21.0 else (target, True, 200))
    gone = gone.replace({"served_by": {"a": "z", "b": "z"}})
    both = health_reading(history(sent=gone, faults=[replace(STALE, targets=("a", "b"))], groups=groups))

    assert (None, "the answers do not tell a, b apart, and not all of them are broken") == (
        one["drain_s"], one["reasons"]["drain_s"],
    )  # fmt: skip
    assert [0.0, 1.11] == pytest.approx([both["drain_low_s"], both["drain_high_s"]], abs=0.002)


@pytest.mark.parametrize(
    ("sent", "groups", "reason"),
    [
        (None, None, "no requests were recorded"),
        (requests(), {}, "no answer says that a gave it"),
        (requests(lambda *_: ("b", True, 200)), None, "a answered nothing before 1"),
    ],
)
def test_a_drain_that_cannot_be_told(sent: Any, groups: Any, reason: str) -> None:
    """No requests, no names, or no share before: no number."""
    reading = health_reading(history(sent=sent, faults=[STALE], groups=groups))

    assert (None, reason) == (reading["drain_s"], reading["reasons"]["drain_s"])


def test_changes_that_a_fault_explains_are_no_flaps() -> None:
    """Out once while it is broken and back once after: two changes, no flap."""
    reading = a_dead_target()

    assert (2, 0, 0.0) == (reading["flips"], reading["flaps"], reading["flaps_per_min"])


@pytest.mark.parametrize(
    ("changes", "faults", "flaps"),
    [
        ({"a": (11.2, 13.0, 14.0, 21.0)}, [STALE], 2),  # back and out again while it is broken
        ({"b": (11.2, 13.0)}, [STALE], 2),  # nobody broke b
        ({"a": (5.0, 6.0)}, [STALE], 2),  # before anything was broken
        ({"a": (11.0, 21.0), "b": (11.1, 21.1), "c": (11.2, 21.2)}, [OFF], 0),  # what all share: each once
        ({"a": (11.0, 12.0, 13.0, 21.0)}, [OFF], 2),
        ({"a": (11.0, 21.0)}, [], 2),
    ],
)
def test_changes_that_no_fault_explains_are_flaps(changes: Any, faults: Any, flaps: int) -> None:
    """Counted over all targets, and a minute."""
    reading = health_reading(history(opinions=looks(changes), faults=faults))

    assert (flaps, pytest.approx(flaps * 2)) == (reading["flaps"], reading["flaps_per_min"])


def test_a_fault_that_nobody_noticed_explains_no_later_change() -> None:
    """Shallow at first: the returns that it might have explained are not there for a flapping later on."""
    second = replace(OFF, fault_id="2", onset_low_s=21.0, onset_high_s=21.1, end_low_s=28.0, end_high_s=28.1)
    reading = health_reading(history(opinions=looks({"a": (22.0, 23.0, 24.0, 29.0)}), faults=[OFF, second]))

    assert (4, 2) == (reading["flips"], reading["flaps"])


def test_a_target_that_was_out_when_the_record_began_may_return_once() -> None:
    """For a reason that nobody recorded; the next time is a flap."""
    out = looks({"a": (-1.0, 5.0)})
    again = looks({"a": (-1.0, 5.0, 6.0, 7.0)})

    assert [0, 2] == [health_reading(history(opinions=one))["flaps"] for one in (out, again)]


def test_a_return_is_not_waited_for_beyond_the_next_fault() -> None:
    """What is unhealthy for a new reason says nothing of the old one."""
    later = replace(OFF, fault_id="2", onset_low_s=20.5, onset_high_s=20.6, end_low_s=25.0, end_high_s=25.1)
    reading = health_reading(history(opinions=looks({"a": (11.2, 26.0)}), faults=[STALE, later]))

    assert (None, None) == (reading["readd_s"], reading["readd_high_s"])
    assert "a was not called healthy again before the next fault" == reading["reasons"]["readd_s"]


def test_a_balancer_that_nobody_asked_has_no_flaps_and_not_none_of_them() -> None:
    """None is not zero."""
    reading = health_reading(history(opinions=[], sent=requests(), faults=[STALE]))

    assert (None, None, None) == (reading["flaps"], reading["flaps_per_min"], reading["healthy_but_failing_min"])
    assert "nobody asked the balancer" == reading["reasons"]["flaps"]


def test_minutes_in_which_the_balancer_was_wrong() -> None:
    """Healthy from 10.02 to 11.2 s though dead; unhealthy from 20.05 to 21 s though mended."""
    reading = a_dead_target()

    assert [1.2 / 60, 1.0 / 60] == pytest.approx(
        [reading["healthy_but_failing_min"], reading["unhealthy_but_fine_min"]], abs=0.1 / 60
    )


def test_a_target_that_answers_with_errors_is_failing_and_one_that_succeeds_is_fine() -> None:
    """Without any fault on record, from the answers alone."""

    def serve(target: str, at_s: float) -> tuple[str, bool, int]:
        bad = target == "a" and 10 <= at_s < 15
        return target, not bad, 500 if bad else 200

    reading = health_reading(history(opinions=looks({"b": (20.0, 23.0)}), sent=requests(serve)))

    assert [5.0, 3.0] == pytest.approx(
        [reading["targets"]["a"]["healthy_but_failing_s"], reading["targets"]["b"]["unhealthy_but_fine_s"]], abs=0.11
    )


def test_a_silent_target_among_others_is_failing_only_when_requests_fail_without_a_name() -> None:
    """A share that vanishes shows in failures; without any, it was perhaps sent nothing."""

    def serve(*, lost: bool) -> Any:
        def served(target: str, at_s: float) -> tuple[str, bool, int] | None:
            if target == "a" and 10 <= at_s < 15:
                return ("", False, 503) if lost else None
            return target, True, 200

        return served

    failing = health_reading(history(sent=requests(serve(lost=True))))["targets"]["a"]
    unknown = health_reading(history(sent=requests(serve(lost=False))))["targets"]["a"]

    assert pytest.approx(5.0, abs=0.11) == failing["healthy_but_failing_s"]
    assert [0.0, 5.0] == pytest.approx([unknown["healthy_but_failing_s"], unknown["unknown_s"]], abs=0.11)


def test_minutes_are_none_when_nothing_shows_what_the_targets_were_like() -> None:
    """No requests, no faults: no truth to hold the balancer against."""
    reading = health_reading(history())

    assert (None, None) == (reading["healthy_but_failing_min"], reading["unhealthy_but_fine_min"])
    assert pytest.approx(1.5) == reading["unknown_min"]


ALL_DOWN = {"a": (11.0, 21.0), "b": (11.1, 21.1), "c": (11.2, 21.2)}


@pytest.mark.parametrize(
    ("serve", "changes", "all_fail"),
    [
        (answered, ALL_DOWN, "open"),
        (lambda target, at_s: ("", False, 503) if 11.2 <= at_s < 21 else (target, True, 200), ALL_DOWN, "closed"),
        (answered, {"a": (11.0, 21.0), "b": (11.1, 21.1)}, None),
        (lambda target, at_s: (target, True, 200) if at_s < 11 else None, ALL_DOWN, None),
    ],
)
def test_what_the_balancer_does_when_all_fail(serve: Any, changes: Any, all_fail: str | None) -> None:
    """Open: targets are asked all the same. Closed: nobody is. None: it never came to that, or nobody asked."""
    reading = health_reading(history(opinions=looks(changes), sent=requests(serve), faults=[OFF]))

    assert all_fail == reading["all_fail"]
    assert (all_fail is None) is ("all_fail" in reading["reasons"])


@pytest.mark.parametrize(
    ("changes", "flags", "fault", "settings", "depth"),
    [
        (ALL_DOWN, ("failed_active_health_check",), OFF, True, "deep"),
        ({}, (), OFF, True, "shallow"),
        (ALL_DOWN, ("failed_active_health_check", "active_hc_timeout"), OFF, True, None),  # or merely busy
        ({}, (), OFF, False, None),  # perhaps it had no time to notice
        ({}, (), replace(OFF, end_low_s=11.0, end_high_s=11.1), True, None),
        ({}, (), STALE, True, None),  # that is no dependency
        ({"a": (5.0,), "b": (5.0,), "c": (5.0,)}, ("x",), OFF, True, None),  # down before
        ({"a": (11.0, 21.0)}, ("x",), replace(OFF, targets=("a",)), True, "deep"),  # one target's way to it
    ],
)  # fmt: skip
def test_a_check_is_deep_when_it_notices_a_broken_dependency(
    changes: Any, flags: Any, fault: Fault, settings: bool, depth: str | None
) -> None:
    """And shallow when it had the time to and did not."""
    given = history(opinions=looks(changes, flags=flags), sent=requests(), faults=[fault])
    reading = health_reading(given if settings else replace(given, settings=None))

    assert [depth, depth] == [reading["depth"], reading["faults"][0]["depth"]]
    assert (depth is None) is ("depth" in reading["reasons"])


def test_a_check_that_was_changed_meanwhile_has_no_depth_and_two_faults_that_have() -> None:
    """Shallow towards the first, deep towards the second."""
    second = replace(OFF, fault_id="2", onset_low_s=22.0, onset_high_s=22.1, end_low_s=28.0, end_high_s=28.1)
    reading = health_reading(history(opinions=looks({"a": (23.0, 29.0)}), faults=[OFF, second]))

    assert [None, "shallow", "deep"] == [reading["depth"], *(fault["depth"] for fault in reading["faults"])]


@pytest.mark.parametrize(("changes", "all_down"), [(ALL_DOWN, True), ({"a": (11.0, 21.0)}, False), ({}, False)])
def test_whether_every_target_goes_down_with_a_dependency(changes: Any, all_down: bool) -> None:
    """All at once, not one after the other."""
    reading = health_reading(history(opinions=looks(changes), faults=[OFF]))

    assert all_down is reading["all_down_with_dependency"]


def busy(target: str, at_s: float) -> tuple[str, bool, int]:
    """Target a sheds most of its requests from 10 to 18 s."""
    shed = target == "a" and 10 <= at_s < 18
    return target, not shed, 503 if shed else 200


@pytest.mark.parametrize(
    ("changes", "serve", "faults", "answers"),
    [
        ({}, busy, [], True),
        ({"a": (12.0, 19.0)}, busy, [], False),
        ({}, answered, [], None),
        ({}, busy, [STALE], None),  # a fault breaks a: not overload
        ({}, busy, [OFF], None),  # a fault breaks what all share
    ],
)
def test_whether_the_check_is_answered_under_overload(changes: Any, serve: Any, faults: Any, answers: Any) -> None:
    """A target with too much to do that stays in balancing had its check answered."""
    reading = health_reading(history(opinions=looks(changes), sent=requests(serve), faults=faults))

    assert answers is reading["answers_under_overload"]
    assert (answers is None) is ("answers_under_overload" in reading["reasons"])


def test_slow_answers_are_overload_too() -> None:
    """Slower than the check's time-out: a check that queues with the customers would have failed."""
    reading = health_reading(history(sent=requests(took_s=0.4)))

    assert True is reading["answers_under_overload"]


def test_theory_stands_beside_the_measurement() -> None:
    """Interval 0.5 s, three failures, 0.3 s: 1.0 to 1.8 s out, 0.5 to 1.3 s back."""
    theory = a_dead_target()["theory"]

    assert [1.0, 1.8, 0.5, 1.3] == pytest.approx(
        [theory[name] for name in ("eject_low_s", "eject_high_s", "readd_low_s", "readd_high_s")]
    )
    assert (True, True) == (theory["eject_agrees"], theory["readd_agrees"])


@pytest.mark.parametrize(("ejected_s", "agrees"), [(10.2, False), (12.5, False), (11.5, True)])
def test_a_balancer_that_does_not_do_what_its_settings_say(ejected_s: float, agrees: bool) -> None:
    """Too soon (the threshold is not applied) or too late."""
    reading = health_reading(history(opinions=looks({"a": (ejected_s, 21.0)}), faults=[STALE]))

    assert agrees is reading["theory"]["eject_agrees"]


def test_a_balancer_that_counts_from_the_end_of_a_check_waits_for_each_time_out() -> None:
    """u · (interval + time-out) instead of u · interval + time-out."""
    given = history(faults=[STALE])
    assert given.settings is not None
    theory = health_reading(replace(given, settings=replace(given.settings, counts_from="end")))["theory"]

    assert pytest.approx(2.4) == theory["eject_high_s"]


def test_without_settings_there_is_no_theory() -> None:
    """None, and why."""
    reading = health_reading(history(settings=None, faults=[STALE]))

    assert (None, "the balancer's settings are not known") == (reading["theory"], reading["reasons"]["theory"])
