"""Small histories written by hand: each says one thing about a client, and the reading must say it too."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stormprobes.retry_with_jitter import identify_retries
from support.retry_traces import FOLDER

LATE_S = (0.0012, 0.0015, 0.0019, 0.0014, 0.0023, 0.0016)  # what a client adds to each wait


def history(
    waits_s: list[float],
    *,
    calls: int = 40,
    outcome: str = "503",
    last: str | None = None,
    retry_after_s: float = np.nan,
) -> pd.DataFrame:
    """*calls* calls, one each 50 ms, each tried after each of *waits_s*; the last try ends with *last*."""
    rows = []
    for call in range(calls):
        t = 10.0 + 0.05 * call
        for attempt in range(1, len(waits_s) + 2):
            ends = attempt == len(waits_s) + 1
            rows.append(("c", f"op{call}", attempt, t, t + 0.002, last if ends and last else outcome, retry_after_s))
            if not ends:
                t += 0.002 + waits_s[attempt - 1] + LATE_S[(call + attempt) % len(LATE_S)]
    return pd.DataFrame(rows, columns=["client", "op", "attempt", "t_start_s", "t_end_s", "outcome", "retry_after_s"])


@pytest.mark.parametrize(
    ("waits_s", "family", "base_s"),
    [
        ([0.0, 0.0, 0.0], "immediate", None),
        ([0.2, 0.2, 0.2, 0.2], "fixed", 0.2),
        ([0.1, 0.2, 0.4, 0.8], "exponential", 0.1),
        ([0.1, 0.15, 0.225, 0.3375, 0.506], "exponential", 0.1),
        ([0.05, 0.15, 0.25, 0.35], "linear", 0.05),
        ([0.1, 0.4, 0.9, 1.6], "quadratic", 0.1),
        ([0.1, 0.1, 0.2, 0.3, 0.5, 0.8], "fibonacci", 0.1),
        ([0.0, 0.1, 0.2, 0.4, 0.8], "exponential", 0.1),
    ],
)
def test_families_without_jitter(waits_s: list[float], family: str, base_s: float | None) -> None:
    """The waits of a textbook family are told, with base, attempts and the absence of jitter."""
    reading = identify_retries(history(waits_s))

    assert (family, "none", len(waits_s) + 1) == (reading["family"], reading["jitter"], reading["attempts_max"])
    assert base_s is None or reading["base_s"] == pytest.approx(base_s, rel=0.05)
    assert 0.9 <= min(reading["confidence"][key] for key in ("family", "jitter", "attempts_max"))


def test_a_client_that_never_retries() -> None:
    """Failures and no second try: no retries, and no family but none."""
    reading = identify_retries(history([]))

    assert (False, 1, "none", "none") == tuple(reading[k] for k in ("retries", "attempts_max", "family", "jitter"))
    assert 1.0 == reading["amplification"]
    assert reading["base_s"] is None


def test_nothing_failed_and_so_nothing_is_known() -> None:
    """Without a failure nobody had a reason to retry: no confidence in anything about retries."""
    reading = identify_retries(history([], outcome="200"))

    assert "other" == reading["family"]
    assert 0.0 == reading["confidence"]["retries"] == reading["confidence"]["family"]


def test_one_retry_has_no_family() -> None:
    """One wait of 0.3 s may be fixed, or the first of any family: other, with the candidates."""
    reading = identify_retries(history([0.3]))

    assert "other" == reading["family"]
    assert reading["multiplier"] is None
    assert {"fixed", "exponential", "linear"} <= {one["family"] for one in reading["candidates"]}
    assert reading["base_s"] == pytest.approx(0.3, rel=0.05)


def test_two_retries_leave_doubt() -> None:
    """0.2 and 0.4 s are ×2, and are +0.2: the likelier is named, not confidently, and the other is a candidate."""
    reading = identify_retries(history([0.2, 0.4]))

    assert "exponential" == reading["family"]
    assert reading["confidence"]["family"] < 0.9
    assert "linear" in {one["family"] for one in reading["candidates"]}


def test_a_cap_at_the_second_wait_leaves_doubt_about_the_growth() -> None:
    """30, 75 and 75 ms, cut at 75: ×2.5 or more, four times, or plus 45 ms. All are candidates, and none is sure."""
    reading = identify_retries(history([0.03, 0.075, 0.075]))

    assert reading["confidence"]["family"] < 0.9
    assert {"exponential", "quadratic"} <= {one["family"] for one in reading["candidates"]}


def test_a_cap_that_is_reached_is_told_and_one_that_is_not_is_none() -> None:
    """Waits of 0.1, 0.2, 0.4, 0.5, 0.5 have a cap of 0.5; waits of 0.1, 0.2, 0.4 have none to see."""
    capped = identify_retries(history([0.1, 0.2, 0.4, 0.5, 0.5]))

    assert capped["cap_s"] == pytest.approx(0.5, rel=0.05)
    assert identify_retries(history([0.1, 0.2, 0.4]))["cap_s"] is None


@pytest.mark.parametrize(
    ("waits_s", "expected"), [([2.0, 2.0, 2.0], True), ([0.1, 0.2, 0.4], False), ([3.0, 3.0, 3.0], True)]
)
def test_retry_after(waits_s: list[float], expected: bool) -> None:
    """The server asks for 2 s: exactly 2 and exactly one more is obeyed, earlier is not."""
    reading = identify_retries(history(waits_s, outcome="429", retry_after_s=2.0))

    assert reading["honours_retry_after"] is expected


def test_waits_of_the_servers_choice_say_nothing_about_the_client() -> None:
    """When every wait is an obeyed Retry-After, the client's own back-off is other."""
    reading = identify_retries(history([2.0, 2.0, 2.0], outcome="429", retry_after_s=2.0))

    assert ("other", None) == (reading["family"], reading["base_s"])


def test_attempts_are_a_lower_bound_when_every_call_ends_well() -> None:
    """Calls that succeed at the third try say nothing about a fourth."""
    reading = identify_retries(history([0.1, 0.2], last="200"))

    assert 3 == reading["attempts_max"]
    assert reading["attempts_is_lower_bound"]
    assert reading["confidence"]["attempts_max"] < 0.5


def test_a_budget_shows_when_retries_stop_while_failures_go_on() -> None:
    """Forty calls are tried three times, the next sixty once: there is a budget; attempts are of the time before."""
    early, late = history([0.1, 0.2], calls=40), history([], calls=60)
    late = late.assign(op="late" + late["op"], t_start_s=late["t_start_s"] + 5, t_end_s=late["t_end_s"] + 5)
    reading = identify_retries(pd.concat([early, late]))

    assert reading["budget"] is True
    assert 3 == reading["attempts_max"]
    assert identify_retries(early)["budget"] is None


def some_processes(tries: list[list[int]], *, late_s: list[float]) -> pd.DataFrame:
    """A process each: its calls, 0.1 s apart, get so many tries, 50 ms apart; the first begins *late_s* late."""
    rows = []
    for process, (of_calls, since_s) in enumerate(zip(tries, late_s, strict=True)):
        for call, most in enumerate(of_calls):
            start = 1.0 + since_s + 0.1 * call + 0.003 * process
            rows += [
                (f"p{process}", f"p{process}-{call}", nth, at := start + (nth - 1) * 0.0532, at + 0.002, "503")
                for nth in range(1, most + 1)
            ]
    return pd.DataFrame(rows, columns=["client", "op", "attempt", "t_start_s", "t_end_s", "outcome"])


def test_budgets_of_processes_that_begin_one_after_the_other() -> None:
    """Six processes retry their first four calls and no more, each when the one before has long stopped: a budget."""
    alike = [[3, 3, 3, 3, *[1] * 16]] * 6
    reading = identify_retries(some_processes(alike, late_s=[0.0, 0.8, 1.6, 2.4, 3.2, 4.0]))

    assert reading["budget"] is True
    assert 0.9 <= reading["confidence"]["budget"]


@pytest.mark.parametrize(
    "tries",
    [
        [[3] * 20] * 3 + [[1] * 20] * 3,  # three processes retry, three do not
        [[3, 1, 1] * 7] * 6,  # now and then, from the beginning to the end
        [[3] * 10 + [1] * 3] * 6,  # the record ends before the last calls come back
    ],
)
def test_calls_without_a_retry_are_no_budget_unless_a_process_changes(tries: list[list[int]]) -> None:
    """What differs between processes, comes and goes, or is cut off by the end of the record is no budget."""
    reading = identify_retries(some_processes(tries, late_s=[0.0, 0.8, 1.6, 2.4, 3.2, 4.0]))

    assert reading["budget"] is None


@pytest.mark.parametrize(("others_s", "told"), [(0.2, True), (0.27, False)])
def test_a_process_that_stalls_is_no_other_client(others_s: float, told: bool) -> None:
    """Of six processes that wait 0.2 s one is late three times in ten, by 0.1 s: one client. One that always waits
    0.27 s is another."""
    rng = np.random.default_rng(5)
    frame = history([0.2] * 4, calls=120)
    number = frame["op"].str[2:].astype(int) % 6
    late_s = np.where((number == 0) & (frame["attempt"] > 1), others_s - 0.2, 0.0)
    late_s += np.where((number == 0) & (frame["attempt"] > 1) & (rng.random(len(frame)) < 0.3), 0.1, 0.0)
    late_s = pd.Series(late_s).groupby(frame["op"]).cumsum()
    frame = frame.assign(
        client="p" + number.astype(str), t_start_s=frame["t_start_s"] + late_s, t_end_s=frame["t_end_s"] + late_s
    )
    reading = identify_retries(frame)

    assert told is (reading["confidence"]["attempts_max"] > 0.9)
    assert told is (reading["detail"]["notes"] == [])


def test_a_uniform_that_begins_just_above_nothing_is_full_jitter() -> None:
    """Draws of U(0, c) of which the least happens to be 2.5 % of c: nobody writes c ± 95 %, and full is sure."""
    rng = np.random.default_rng(2)
    even = 0.025 + 0.975 * (np.arange(115) + 0.5) / 115
    waits_s = np.stack([2.0**nth * rng.permutation(even) for nth in range(3)], axis=1)
    rows = []
    for call, of_call in enumerate(waits_s):
        at = np.concatenate([[0.0], np.cumsum(of_call + 0.0035)]) + 0.05 * call
        rows += [("c", f"op{call}", nth + 1, t, t + 0.002, "503") for nth, t in enumerate(at)]
    reading = identify_retries(
        pd.DataFrame(rows, columns=["client", "op", "attempt", "t_start_s", "t_end_s", "outcome"])
    )

    assert ("exponential", "full") == (reading["family"], reading["jitter"])
    assert 0.9 <= reading["confidence"]["jitter"]


def test_waits_of_a_busy_machine_are_no_sure_jitter() -> None:
    """A client that tries again at once, where "at once" takes 1 to 16 ms: not surely a rule with random waits."""
    rng = np.random.default_rng(11)
    rows = []
    for call in range(60):
        at = np.concatenate([[0.0], np.cumsum(0.002 + rng.uniform(0.0015, [0.014, 0.015, 0.018]))]) + 0.08 * call
        rows += [("c", f"op{call}", nth + 1, t, t + 0.001, "503") for nth, t in enumerate(at)]
    reading = identify_retries(
        pd.DataFrame(rows, columns=["client", "op", "attempt", "t_start_s", "t_end_s", "outcome"])
    )

    assert 4 == reading["attempts_max"]
    assert max(reading["confidence"][key] for key in ("family", "jitter", "base_s")) < 0.9
    assert 0.9 <= reading["confidence"]["attempts_max"]


def test_late_waits_before_one_retry_do_not_stretch_the_rule() -> None:
    """A recorded fleet, U(0, 1 s · 2ⁿ), that was slow to begin: some first waits of up to 1.26 s, all others within
    their ends. The base is 1 s and not the 1.16 s that would let them in."""
    reading = identify_retries(pd.read_parquet(FOLDER / "busy-fleet.parquet"))

    assert ("exponential", "full", 4) == (reading["family"], reading["jitter"], reading["attempts_max"])
    assert reading["base_s"] == pytest.approx(1.0, rel=0.05)
    assert reading["multiplier"] == pytest.approx(2.0, rel=0.05)


def test_a_breaker_shows_as_lone_calls_at_regular_intervals() -> None:
    """Five failures, silence, and one call a second that fails: a breaker that probes."""
    quick = [(f"op{i}", 1.0 + 0.02 * i) for i in range(6)]
    lone = [(f"probe{i}", 2.2 + 1.0 * i) for i in range(8)]
    frame = pd.DataFrame(
        [("c", op, 1, t, t + 0.002, "503") for op, t in [*quick, *lone]],
        columns=["client", "op", "attempt", "t_start_s", "t_end_s", "outcome"],
    )
    reading = identify_retries(frame)

    assert reading["breaker"] is True
    assert reading["detail"]["breaker_probe_every_s"] == pytest.approx(1.0, rel=0.05)


def test_a_deadline_that_cuts_the_last_wait_is_no_maximum() -> None:
    """Waits of 0.3 s whose last is cut to 0.1 s: a deadline, and the number of attempts is not sure."""
    reading = identify_retries(history([0.1, 0.2, 0.3, 0.3, 0.3, 0.1]))

    assert ("exponential", "none") == (reading["family"], reading["jitter"])
    assert reading["attempts_is_lower_bound"]
    assert reading["detail"]["deadline_s"] == pytest.approx(1.32, abs=0.05)


@pytest.mark.parametrize(("spread_s", "low", "high"), [(0.0, 0.9, 1.0), (4.0, 0.0, 0.2)])
def test_synchrony_of_a_fleet(spread_s: float, low: float, high: float) -> None:
    """A hundred clients that fail at once come back at once without jitter, and do not when they wait for up to 4 s."""
    rng = np.random.default_rng(4)
    rows = []
    for client in range(100):
        at = 5.002 + (0.5 if spread_s == 0 else rng.random() * spread_s)
        rows += [(f"c{client}", f"o{client}", 1, 4.0 * rng.random(), 5.0, "503")]
        rows += [(f"c{client}", f"o{client}", 2, at, at + 0.002, "200")]
    frame = pd.DataFrame(rows, columns=["client", "op", "attempt", "t_start_s", "t_end_s", "outcome"])

    assert low <= identify_retries(frame)["synchrony"] <= high


def test_calls_that_are_not_whole_do_not_make_waits() -> None:
    """Where the second try is missing, the time from the first to the third is no wait."""
    frame = history([0.1, 0.2, 0.4])
    reading = identify_retries(frame[frame["attempt"] != 2])

    assert all(one["base_s"] != pytest.approx(0.3, rel=0.1) for one in reading["candidates"])
    assert reading["confidence"]["attempts_max"] < 0.9
