"""What may overlap, in what order, within which budget; what is chosen; what all of it comes to. Pure."""

from __future__ import annotations

import datetime as dt

import pytest

from stormproof.errors import UsageError
from stormproof.suite.budget import Budget, Spent, next_instant, refusal
from stormproof.suite.conflict import conflict, conflicts, in_order, next_to_start
from stormproof.suite.outcome import outcome_of
from stormproof.suite.selection import not_chosen
from stormproof.suite.settings import SuiteSettings, settings_of
from stormproof.suite.since import recovered, since
from stormproof.suite.state import Attempt, Item, SuiteState
from support.suites import entry

NOW = dt.datetime(2026, 11, 27, 3, 0, tzinfo=dt.UTC)


def test_two_on_one_workload_never_overlap() -> None:
    """What one breaks would be blamed on the other, whatever they touch."""
    one, other = entry("a", touches=("shop/i-1",)), entry("b", touches=("shop/i-2",))

    assert "both measure shop" == conflict(one, other)


def test_two_workloads_overlap_unless_they_share_what_is_touched() -> None:
    """A shared database is a reason; two systems that share nothing have none."""
    shop, search = entry("a", workload="shop", touches=("db",)), entry("b", workload="search", touches=("db", "i-9"))
    news = entry("c", workload="news", touches=("i-7",))

    assert {("a", "b"): "both touch db"} == conflicts([shop, search, news])


def test_what_breaks_least_goes_first() -> None:
    """By target-seconds, then by name."""
    entries = [entry("c", target_seconds=9.0), entry("b", target_seconds=40.0), entry("a", target_seconds=9.0)]

    assert ["a", "c", "b"] == [one.slug for one in in_order(entries)]


def test_the_next_is_the_first_that_meets_nobody() -> None:
    """It overtakes what must wait, and never makes more than *jobs* at once."""
    running = [entry("r", workload="shop")]
    waiting = [entry("a", workload="shop"), entry("b", workload="search")]

    assert "b" == getattr(next_to_start(waiting, running, jobs=2), "slug", None)
    assert next_to_start(waiting, running, jobs=1) is None
    assert next_to_start(waiting[:1], running, jobs=2) is None


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget(), ""),
        (Budget(wall_time_s=141.0, target_seconds=70.0, deadline_s=1041.0), ""),
        (Budget(wall_time_s=139.0), "the budget of wall time: a run takes about 40 s, and 39 s were left"),
        (Budget(target_seconds=69.0), "the budget of damage: a run breaks 20 target-seconds, and 19 were left"),
        (Budget(deadline_s=1039.0), "the deadline: a run takes about 40 s, and 39 s were left"),
        (Budget(deadline_s=900.0), "the deadline: a run takes about 40 s, and 0 s were left"),
    ],
)
def test_a_run_must_fit_whole(budget: Budget, expected: str) -> None:
    """40 s and 20 target-seconds, when 100 s and 50 have been spent, at 1,000."""
    assert expected == refusal(budget, Spent(wall_time_s=100.0, target_seconds=50.0), entry("a"), now_s=1000.0)


def test_a_time_of_day_is_the_next_one() -> None:
    """Later today, or tomorrow; an instant must say its zone."""
    assert dt.datetime(2026, 11, 27, 6, 0, tzinfo=dt.UTC) == next_instant("06:00", now=NOW)
    assert dt.datetime(2026, 11, 28, 2, 0, tzinfo=dt.UTC) == next_instant("02:00", now=NOW)
    for wrong in ("2026-11-27T06:00", "soon", "6"):
        with pytest.raises(ValueError, match="an instant"):
            next_instant(wrong, now=NOW)


def test_only_skip_and_tag() -> None:
    """Each narrows what is left; a slip is an error and never a silent nothing."""
    tags = {"az-loss": ["zone"], "throttling": ["aws"], "process-kill": []}

    assert {"process-kill"} == set(tags) - set(not_chosen(tags, only=["process-kill"], skip=[], tag=[]))
    assert {"az-loss"} == set(tags) - set(not_chosen(tags, only=[], skip=["throttling"], tag=["zone", "aws"]))
    for option in ({"only": ["az-los"]}, {"skip": ["az-los"]}, {"tag": ["zonee"]}):
        with pytest.raises(UsageError) as caught:
            not_chosen(tags, **{"only": [], "skip": [], "tag": [], **option})
        assert "did you mean" in (caught.value.hint or "")


def test_overrides_of_one_replace_the_general_ones_and_the_command_line_wins() -> None:
    """What the file says of an experiment stands instead of what it says of all; `--set` is put on top of either."""
    said = SuiteSettings.model_validate(
        {"set": {"timeline.fault": "10s", "load.workers": 2}, "experiments": {"b": {"set": {"timeline.steady": "6s"}}}}
    )
    given = ["timeline.recovery=9s", "b:lab.variant=naive", "a:timeline.fault=5s"]

    assert ("timeline.fault=5s", "load.workers=2", "timeline.recovery=9s") == settings_of("a", said, given, ["a", "b"])
    assert ("timeline.steady=6s", "timeline.recovery=9s", "lab.variant=naive") == settings_of(
        "b", said, given, ["a", "b"]
    )
    with pytest.raises(UsageError, match="no experiment 'c'"):
        settings_of("a", said, ["c:x=1"], ["a", "b"])


def suite_of(at: str, stopped: str = "", **outcomes: str | None) -> SuiteState:
    """A suite by hand, begun at *at*: slug → what it came to, None for not run."""
    items = []
    for slug, word in outcomes.items():
        item = Item(entry=entry(slug), left="" if word else "no time")
        if word:
            item.attempts.append(Attempt(run_id=f"{at}-{slug}", run_dir="", started_at=at, outcome=word, exit_code=70))
        items.append(item)
    return SuiteState(
        suite_id=at,
        environment="local",
        env="local",
        source="",
        command="",
        started_at=at,
        items=items,
        stopped=stopped,
    )


@pytest.mark.parametrize(
    ("outcomes", "word", "code"),
    [
        ({"a": "held", "b": "held"}, "held", 0),
        ({"a": "held", "b": "inconclusive"}, "inconclusive", 2),
        ({"a": "inconclusive", "b": "invalid"}, "invalid", 3),
        ({"a": "invalid", "b": "aborted"}, "aborted", 4),
        ({"a": "aborted", "b": "refuted", "c": "invalid"}, "refuted", 1),
        ({"a": "refuted", "b": "error"}, "error", 70),
        ({"a": "held", "b": None}, "inconclusive", 2),
    ],
)
def test_the_worst_is_by_verdict_and_never_by_number(outcomes: dict[str, str | None], word: str, code: int) -> None:
    """Refuted (1) is worse than aborted (4) and invalid (3); not run is not decided."""
    found = outcome_of(suite_of("2026", **outcomes))

    assert (word, code) == (found.word, found.exit_code)


def test_an_interrupted_suite_is_at_least_aborted() -> None:
    """All that was run held; but it was to be more."""
    assert "aborted" == outcome_of(suite_of("2026", "SIGTERM received", a="held", b=None)).word
    assert "refuted" == outcome_of(suite_of("2026", "SIGTERM received", a="refuted", b=None)).word


def test_since_when_counts_only_the_nights_in_which_it_ran() -> None:
    """Held, refuted, not run, invalid, refuted: not held since the second night, three in a row."""
    nights = [
        suite_of(f"2026-11-0{day}", a=word)
        for day, word in enumerate(("held", "refuted", None, "invalid", "refuted"), start=1)
    ]

    found = since("a", nights[-1], nights)
    assert found is not None
    assert ("2026-11-02", 3, "2026-11-01") == (found.at, found.nights, found.held_before)
    assert since("a", nights[0], []) is None
    assert ["a"] == recovered(suite_of("2026-11-06", a="held"), nights)
    assert [] == recovered(nights[0], [])
