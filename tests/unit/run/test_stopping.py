"""When a run has to stop: what the load sees, what probes read, what alarms say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stormproof.errors import InputError
from stormproof.load.live import LiveSli
from stormproof.load.wire import Aggregate
from stormproof.run.stopping import BLIND_AFTER_S, StopConditions, alarm_names, check_stop_conditions
from stormproof.spec.hypothesis import parse_stop_condition
from support.planning import make_environment

BEGUN = 1_000.0  # Unix s


class Prober:
    """Writes `readings.jsonl` as the prober does, and keeps the time for both sides."""

    def __init__(self, path: Path) -> None:
        self.path, self.now_s = path, 0.0

    def clock(self) -> float:
        return self.now_s

    def write(self, probe: str, **fields: Any) -> None:
        row = {"probe": probe, "wall_s": BEGUN + self.now_s, "mono_s": self.now_s, **fields}
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def health(self, healthy: int) -> None:
        targets = {f"i-{number}": {"zone": "a", "healthy": number < healthy} for number in range(6)}
        self.write("target_health", reading={"targets": targets})

    def alarm(self, state: str) -> None:
        self.write("alarm_state", reading={"alarms": {"checkout-5xx": {"state": state}}})

    def failed(self, probe: str = "target_health") -> None:
        self.write(probe, error="OSError: no answer")


@pytest.fixture
def prober(tmp_path: Path) -> Prober:
    """No reading yet."""
    return Prober(tmp_path / "readings.jsonl")


def conditions(prober: Prober, *texts: str, sli: LiveSli | None = None) -> StopConditions:
    """The evaluator of *texts*, which has begun."""
    stops = StopConditions(
        [parse_stop_condition(text) for text in texts], sli or LiveSli(1), prober.path, clock=prober.clock
    )
    assert stops.breached(BEGUN) is None
    return stops


def after(stops: StopConditions, prober: Prober, *steps: Callable[[], None], every_s: float = 0.5) -> str | None:
    """What *stops* says after each of *steps*, one every half second; the last answer."""
    answer = None
    for step in steps:
        step()
        answer = stops.breached(BEGUN + prober.now_s)
        prober.now_s += every_s
    return answer


def test_a_probe_condition_is_breached_once_it_has_lasted(prober: Prober) -> None:
    """Two seconds of fewer than three healthy targets: at the reading that completes them, not before."""
    stops = conditions(prober, "healthy targets < 3 for 2s")
    low = lambda: prober.health(2)  # noqa: E731

    assert after(stops, prober, *[low] * 4) is None
    reason = after(stops, prober, low)
    assert reason is not None
    assert "healthy targets < 3 for 2s" in reason
    assert "last reading: 2 healthy targets" in reason
    assert after(stops, prober, lambda: prober.health(6)) == reason, "once breached it stays so"


def test_one_good_reading_begins_the_count_again(prober: Prober) -> None:
    """The condition has to be true without a pause."""
    stops = conditions(prober, "healthy targets < 3 for 2s")
    low, high = lambda: prober.health(2), lambda: prober.health(3)

    assert after(stops, prober, *[low] * 4, high, *[low] * 4) is None
    assert after(stops, prober, low) is not None


def test_a_failed_reading_is_no_evidence(prober: Prober) -> None:
    """The time that nobody saw does not count; neither does it begin the count again."""
    stops = conditions(prober, "healthy targets < 3 for 2s")
    low = lambda: prober.health(2)  # noqa: E731

    assert after(stops, prober, low, low, low, prober.failed, prober.failed, low, low) is None  # 1 s + 0.5 s
    assert after(stops, prober, low) is not None


def test_readings_from_before_the_start_do_not_count(prober: Prober) -> None:
    """What was before the first question is not this run's."""
    prober.now_s = -10.0
    for _ in range(10):
        prober.health(0)
        prober.now_s += 0.5
    prober.now_s = 0.0
    stops = conditions(prober, "healthy targets < 3 for 2s")

    assert after(stops, prober, lambda: prober.health(0)) is None


def test_an_alarm_stops_at_once_or_after_its_time(prober: Prober) -> None:
    """`alarm "x"` needs one reading, `for 2s` two seconds of them."""
    at_once = conditions(prober, 'alarm "checkout-5xx"')
    lasting = conditions(prober, 'alarm "checkout-5xx" for 2s')
    assert after(at_once, prober, lambda: prober.alarm("OK")) is None

    reason = after(at_once, prober, lambda: prober.alarm("ALARM"))
    assert reason is not None
    assert reason.endswith("last reading: ALARM")
    assert lasting.breached(BEGUN + prober.now_s) is None
    assert after(lasting, prober, *[lambda: prober.alarm("ALARM")] * 4) is not None


def test_an_alarm_without_data_is_neither_fine_nor_bad(prober: Prober) -> None:
    """INSUFFICIENT_DATA does not stop, and does not end a count as OK would."""
    insufficient, alarm, ok = (lambda s=state: prober.alarm(s) for state in ("INSUFFICIENT_DATA", "ALARM", "OK"))
    stops = conditions(prober, 'alarm "checkout-5xx" for 1s')
    assert after(stops, prober, *[insufficient] * 5) is None
    assert after(stops, prober, alarm, alarm, insufficient, alarm) is None
    assert after(stops, prober, alarm) is not None

    again = conditions(prober, 'alarm "checkout-5xx" for 10s')
    assert after(again, prober, *[alarm] * 15, ok, *[alarm] * 15) is None


@pytest.mark.parametrize("text", ["healthy targets < 3 for 2s", 'alarm "checkout-5xx"'])
def test_a_condition_that_cannot_be_watched_stops_the_run(prober: Prober, text: str) -> None:
    """Blind for ten seconds, whether the prober is silent or says only that it cannot see."""
    silent = conditions(prober, text)
    prober.now_s += BLIND_AFTER_S
    assert silent.breached(BEGUN + prober.now_s) is None
    prober.now_s += 0.1
    reason = silent.breached(BEGUN + prober.now_s)
    assert reason is not None
    assert "could not be watched" in reason

    failing = conditions(prober, text)
    probe = "alarm_state" if "alarm" in text else "target_health"
    steps = [lambda: prober.failed(probe)] * (int(BLIND_AFTER_S) * 2 + 2)
    assert after(failing, prober, *steps) is not None


def test_a_reading_that_lacks_the_alarm_is_not_a_reading(prober: Prober) -> None:
    """An alarm that was deleted while the run went on is one nobody watches."""
    stops = conditions(prober, 'alarm "checkout-5xx"')
    steps = [lambda: prober.write("alarm_state", reading={"alarms": {}})] * 25

    assert after(stops, prober, *steps) is not None


def test_the_load_and_the_probes_are_asked_alike(prober: Prober) -> None:
    """One question for all conditions; the first that is breached answers."""
    sli = LiveSli(1)
    stops = conditions(prober, "availability < 50% for 1s", "healthy targets < 3 for 60s", sli=sli)
    for tenth in range(30):
        at = BEGUN + tenth / 10
        bad = {"offered": 10, "sent": 10, "ended": 10, "ok": 0}
        sli.add(Aggregate(worker=0, from_s=at, to_s=at + 0.1, bins={}, **bad))
    prober.health(6)

    reason = stops.breached(BEGUN + 3)
    assert reason is not None
    assert "availability < 50% for 1s" in reason


def test_the_names_of_the_alarms_are_what_the_prober_polls() -> None:
    """Each once."""
    texts = ('alarm "a"', "availability < 50% for 1s", 'alarm "b" for 3s', 'alarm "a" for 5s')

    assert alarm_names([parse_stop_condition(text) for text in texts]) == ("a", "b")


def test_a_condition_on_a_balancer_needs_one() -> None:
    """What could never be watched is refused before the start."""
    import dataclasses

    condition = parse_stop_condition("healthy targets < 3 for 2s", where="e.yaml:7")
    bare = dataclasses.replace(make_environment(), proxy=None)

    with pytest.raises(InputError, match=r"e\.yaml:7.*balancer"):
        check_stop_conditions([condition], bare)
    assert check_stop_conditions([condition], make_environment()) == ()
