"""What the environment does not allow is refused before anything is touched."""

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from stormproof.errors import GuardrailError
from stormproof.model.environment import Environment
from stormproof.model.guardrails import ChangeWindow, Guardrails
from stormproof.plan.guardrails import (
    check_change_windows,
    check_confirmation,
    check_guardrails,
    check_plain,
    phrase,
)
from stormproof.plan.resolve import resolve_faults
from support.planning import make_environment, make_experiment, make_fault

NOON = dt.datetime(2026, 3, 4, 12, 0, tzinfo=dt.UTC)  # a Wednesday
BERLIN = ZoneInfo("Europe/Berlin")


def check(carried: Mapping[str, Mapping[str, str]] | None = None, **allowed: Any) -> None:
    """Check the loss of zone a, two instances, at noon."""
    environment, experiment = make_environment(), make_experiment()

    def tags_of(_: Environment, ids: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        assert list(ids) == ["i-a1", "i-a2"]
        return carried or {}

    resolved = resolve_faults(experiment, environment)
    check_guardrails(Guardrails(**allowed), experiment, resolved, environment, now=NOON, tags_of=tags_of)


READY = {"chaos-ready": "true"}


@pytest.mark.parametrize(
    "allowed",
    [
        {},
        {"faults": ("throttling", "az-loss")},
        {"accounts": ("123456789012",), "regions": ("eu-central-1",)},
        {"targets_max": 2, "duration_s_max": 180.0},
        {"tags": READY},
    ],
)
def test_what_is_allowed_passes(allowed: dict[str, Any]) -> None:
    """The bounds themselves are inside."""
    check(carried={"i-a1": READY, "i-a2": {**READY, "Name": "shop"}}, **allowed)


@pytest.mark.parametrize(
    ("name", "allowed", "tags", "says"),
    [
        ("faults", {"faults": ("throttling",)}, {}, "'az-loss'"),
        ("faults", {"faults": ()}, {}, "allowed is none"),
        ("accounts", {"accounts": ("999999999999",)}, {}, "'123456789012'"),
        ("regions", {"regions": ("us-east-1",)}, {}, "'eu-central-1'"),
        ("max_targets", {"targets_max": 1}, {}, "2 targets"),
        ("max_duration", {"duration_s_max": 179.0}, {}, "3m"),
        ("tags", {"tags": READY}, {"i-a1": READY}, "i-a2 without it"),
        ("tags", {"tags": READY}, {"i-a1": READY, "i-a2": {"chaos-ready": "false"}}, "chaos-ready=false"),
        ("tags", {"tags": READY}, {}, "i-a1 without it"),
    ],
)
def test_what_is_not_allowed_is_refused(
    name: str, allowed: dict[str, Any], tags: dict[str, dict[str, str]], says: str
) -> None:
    """With the guardrail's name, the file it is in, what it allows and what was asked; exit code 64."""
    with pytest.raises(GuardrailError) as caught:
        check(carried=tags, where="environments/local.yaml", **allowed)

    message = str(caught.value)
    assert message.startswith(f"environments/local.yaml: guardrails.{name}: ")
    assert says in message
    assert "nothing was touched" in message
    assert caught.value.exit_code == 64


def test_the_parts_of_a_fault_are_faults_too() -> None:
    """A fault made of others does not smuggle in a kind that is not allowed."""
    parts = [{"kind": "az-loss"}, {"kind": "process-kill"}]
    fault = dataclasses.replace(make_fault(), kind="composite", target={"parts": parts})
    allowed = Guardrails(faults=("composite", "az-loss"))

    with pytest.raises(GuardrailError, match="process-kill"):
        check_guardrails(allowed, make_experiment(), (fault,), make_environment(), now=NOON)


def test_what_nothing_brings_back_is_refused_unless_it_is_allowed_by_name() -> None:
    """Also by an environment that restricts nothing else; and the hint is the line that would allow it."""
    fault = dataclasses.replace(make_fault(), kind="instance-terminate", target={})

    for allowed in ((), ("az-loss",)):
        with pytest.raises(
            GuardrailError, match=r"guardrails.allow_no_undo: allowed is .*'instance-terminate'"
        ) as error:
            check_guardrails(
                Guardrails(allow_no_undo=allowed), make_experiment(), (fault,), make_environment(), now=NOON
            )
        assert error.value.hint
        assert "`allow_no_undo: [instance-terminate]`" in error.value.hint
    allowing = Guardrails(allow_no_undo=("instance-terminate",))
    check_guardrails(allowing, make_experiment(), (fault,), make_environment(), now=NOON)


def window(start: str, end: str, *days: int, zone: dt.tzinfo = BERLIN) -> ChangeWindow:
    """A window by the clock of *zone*."""
    return ChangeWindow(
        days=frozenset(days),
        start=dt.time.fromisoformat(start),
        end=dt.time.fromisoformat(end),
        zone=zone,
        text=f"{start}–{end}",
    )


OFFICE = window("09:00", "17:00", 0, 1, 2, 3, 4)
NIGHT = window("22:00", "04:00", 4)  # Friday night
MINUTES_10 = 600.0


@pytest.mark.parametrize(
    ("windows", "local", "duration_s", "allowed"),
    [
        ([OFFICE], "2026-03-04 09:00", MINUTES_10, True),
        ([OFFICE], "2026-03-04 08:59", MINUTES_10, False),
        ([OFFICE], "2026-03-04 16:49", MINUTES_10, True),
        ([OFFICE], "2026-03-04 16:55", MINUTES_10, False),  # it could not end inside
        ([OFFICE], "2026-03-07 12:00", MINUTES_10, False),  # Saturday
        ([NIGHT], "2026-03-06 23:55", MINUTES_10, True),  # over midnight
        ([NIGHT], "2026-03-07 03:40", MINUTES_10, True),  # Saturday morning belongs to Friday night
        ([NIGHT], "2026-03-07 03:55", MINUTES_10, False),
        ([NIGHT], "2026-03-06 03:00", MINUTES_10, False),  # Friday morning belongs to Thursday night
        ([NIGHT], "2026-03-07 22:30", MINUTES_10, False),
        ([OFFICE, window("17:00", "18:00", 2)], "2026-03-04 16:55", MINUTES_10, True),  # windows that touch are one
        ([OFFICE, window("17:05", "18:00", 2)], "2026-03-04 16:55", MINUTES_10, False),  # five minutes in between
        ([window("00:00", "00:00", 2)], "2026-03-04 23:00", MINUTES_10, True),  # a whole day
        ([window("00:00", "00:00", 2)], "2026-03-05 00:00", MINUTES_10, False),
    ],
)
def test_a_run_begins_and_ends_inside_the_windows(
    windows: list[ChangeWindow], local: str, duration_s: float, allowed: bool
) -> None:
    """By the clock of the window's zone, whatever the clock of the machine says."""
    now = dt.datetime.fromisoformat(local).replace(tzinfo=BERLIN).astimezone(ZoneInfo("America/New_York"))
    guardrails = Guardrails(change_windows=tuple(windows))

    if allowed:
        check_change_windows(guardrails, now=now, duration_s_max=duration_s)
    else:
        with pytest.raises(GuardrailError, match=r"guardrails\.change_windows"):
            check_change_windows(guardrails, now=now, duration_s_max=duration_s)


@pytest.mark.parametrize(
    ("utc", "allowed"),
    [
        # 2026-03-29, Berlin: 01:59 CET is followed by 03:00 CEST. A window 01:00–03:00 lasts one hour: 00:00–01:00 UTC.
        ("2026-03-29 00:00", True),
        ("2026-03-29 00:49", True),
        ("2026-03-29 00:51", False),
        ("2026-03-29 01:00", False),
        # 2026-10-25, Berlin: 02:59 CEST is followed by 02:00 CET. The window lasts three hours: 23:00–02:00 UTC.
        ("2026-10-24 22:59", False),
        ("2026-10-24 23:00", True),
        ("2026-10-25 00:55", True),  # across the hour that comes twice
        ("2026-10-25 01:49", True),
        ("2026-10-25 01:51", False),
    ],
)
def test_summer_time_comes_and_goes_inside_a_window(utc: str, allowed: bool) -> None:
    """Instants are compared: the hour that is skipped is not there, and the one that comes twice is inside twice."""
    now = dt.datetime.fromisoformat(utc).replace(tzinfo=dt.UTC)
    guardrails = Guardrails(change_windows=(window("01:00", "03:00", 6),))

    if allowed:
        check_change_windows(guardrails, now=now, duration_s_max=MINUTES_10)
    else:
        with pytest.raises(GuardrailError):
            check_change_windows(guardrails, now=now, duration_s_max=MINUTES_10)


@pytest.mark.parametrize("given", [None, "", "local", "az-loss", "Local az-loss", "local az-loss!", "local  az-loss"])
def test_only_the_exact_phrase_confirms(given: str | None) -> None:
    """And only where it is required."""
    environment, experiment = make_environment(), make_experiment()
    with pytest.raises(GuardrailError, match="local az-loss"):
        check_confirmation(Guardrails(confirm=True), environment, experiment, given=given)

    assert phrase(environment, experiment) == "local az-loss"
    check_confirmation(Guardrails(confirm=True), environment, experiment, given="local az-loss\n")
    check_confirmation(Guardrails(), environment, experiment, given=given)


@pytest.mark.parametrize(
    "allowed",
    [
        {"faults": ("az-loss",)},
        {"accounts": ("123456789012",)},
        {"tags": READY},
        {"targets_max": 1},
        {"duration_s_max": 60.0},
        {"confirm": True},
        {"change_windows": (OFFICE,)},
    ],
)
def test_a_plain_experiment_is_refused_where_it_would_have_to_be_checked(allowed: dict[str, Any]) -> None:
    """It is code: a guardrail that it could pass unseen is none."""
    with pytest.raises(GuardrailError, match="cannot be checked"):
        check_plain(Guardrails(**allowed))

    check_plain(Guardrails())
