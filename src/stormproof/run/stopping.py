"""Every stop condition of a run behind one question: is it time to stop?

Three sources, one rule: a condition is breached when it has been true for its time without a look that showed it
false. What could not be read is not evidence either way and does not count; but a condition on a probe or an alarm
that has not been readable for `BLIND_AFTER_S` stops the run, because nobody would notice what it was to guard against.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stormproof.errors import GuardrailError, InputError, UnavailableError
from stormproof.load.live import LiveSli, StopWatch
from stormproof.model.environment import Environment
from stormproof.model.hypothesis import AlarmStopCondition, Op, ProbeStopCondition, StopCondition, StopWhen
from stormproof.run.follow import Follower

ALARM_PROBE = "alarm_state"  # how `readings.jsonl` names it
ALARM, OK, INSUFFICIENT_DATA = "ALARM", "OK", "INSUFFICIENT_DATA"
BLIND_AFTER_S = 10.0

# What a probe's reading says of each quantity that a condition can be about.
_QUANTITIES: Mapping[tuple[str, str], Callable[[Mapping[str, Any]], float]] = {
    ("target_health", "healthy targets"): lambda reading: float(
        sum(bool(target["healthy"]) for target in reading["targets"].values())
    ),
}


class StopConditions:
    """All stop conditions of one run. *readings_path* is the `readings.jsonl` that the prober appends to."""

    def __init__(
        self,
        conditions: Sequence[StopWhen],
        sli: LiveSli,
        readings_path: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._levels = [StopWatch(one, sli) for one in conditions if isinstance(one, StopCondition)]
        self._readings = [
            _ReadingWatch(one, clock())
            for one in conditions
            if isinstance(one, ProbeStopCondition | AlarmStopCondition)
        ]
        self._follower = Follower(readings_path)
        self._clock = clock
        self._begun_s: float | None = None

    def breached(self, now: float) -> str | None:
        """The reason to stop, or None. *now* is Unix s; what was before the first call never counts.

        Once breached it stays so.
        """
        if self._begun_s is None:
            self._begun_s = now
        for level in self._levels:
            if reason := level.breached(now):
                return reason
        return self._breached_readings(self._begun_s) if self._readings else None

    def _breached_readings(self, begun_s: float) -> str | None:
        for row in self._follower.new_rows():
            if float(row.get("wall_s", 0.0)) >= begun_s:
                for watch in self._readings:
                    watch.take(row, self._clock())
        reasons = (watch.breached(self._clock()) for watch in self._readings)
        return next((reason for reason in reasons if reason), None)


@dataclass(slots=True)
class _ReadingWatch:
    """Holds one condition against what a probe reads."""

    condition: ProbeStopCondition | AlarmStopCondition
    _readable_mono_s: float  # when a reading was last received, by our clock
    _true_s: float = 0.0  # for how long it has been true, over readings that followed each other
    _last_true_s: float | None = None  # the prober's clock at the latest reading, if that was true
    _reason: str | None = None

    @property
    def probe(self) -> str:
        return self.condition.probe if isinstance(self.condition, ProbeStopCondition) else ALARM_PROBE

    def take(self, row: Mapping[str, Any], received_mono_s: float) -> None:
        """Take in one row of the prober's; rows of other probes are passed over."""
        if row.get("probe") != self.probe:
            return
        try:
            is_true, seen = self._look(row["reading"])
        except (KeyError, TypeError, AttributeError):  # an error row, or one without what we look for
            self._last_true_s = None
            return
        self._readable_mono_s = received_mono_s
        if is_true is None:
            self._last_true_s = None
            return
        at_s = float(row["mono_s"])
        if not is_true:
            self._true_s, self._last_true_s = 0.0, None
            return
        if self._last_true_s is not None:
            self._true_s += max(0.0, at_s - self._last_true_s)
        self._last_true_s = at_s
        if self._reason is None and self._true_s >= self.condition.for_s - 1e-9:
            lasted = f" for {self.condition.for_s:g} s" if self.condition.for_s else ""
            self._reason = f"stop condition `{self.condition.text}` was true{lasted}; last reading: {seen}"

    def breached(self, now_mono_s: float) -> str | None:
        """The reason to stop, or None."""
        blind_s = now_mono_s - self._readable_mono_s
        if self._reason is None and blind_s > BLIND_AFTER_S:
            self._reason = (
                f"stop condition `{self.condition.text}` could not be watched: no reading for {blind_s:.0f} s"
            )
        return self._reason

    def _look(self, reading: Mapping[str, Any]) -> tuple[bool | None, str]:
        """Whether the condition is true in *reading* (None: it does not say), and what was seen."""
        if isinstance(self.condition, AlarmStopCondition):
            state = str(reading["alarms"][self.condition.alarm]["state"])
            return (None if state not in (ALARM, OK) else state == ALARM), state
        value = _QUANTITIES[self.condition.probe, self.condition.quantity](reading)
        return _holds(self.condition.op, value, self.condition.bound), f"{value:g} {self.condition.quantity}"


def guarded(conditions: Sequence[StopWhen], environment: Environment) -> tuple[StopWhen, ...]:
    """*conditions*, and one for each guarding alarm of an environment in AWS: in ALARM, it ends the run at once."""
    guards = environment.cloud.alarms_guard if environment.cloud else {}
    watched = {one.alarm for one in conditions if isinstance(one, AlarmStopCondition)}
    return (
        *conditions,
        *(
            AlarmStopCondition(text=f'alarm "{name}"', alarm=name, where=f"{environment.name}: alarms.guard")
            for name in guards
            if name not in watched
        ),
    )


def alarm_names(conditions: Sequence[StopWhen]) -> tuple[str, ...]:
    """The alarms that *conditions* are about: what the prober has to poll."""
    return tuple(dict.fromkeys(one.alarm for one in conditions if isinstance(one, AlarmStopCondition)))


def check_stop_conditions(conditions: Sequence[StopWhen], environment: Environment) -> tuple[str, ...]:
    """Refuse, before the start, what could not be watched in *environment*, or says stop already.

    Only reads. Returns a sentence for each alarm that has no data: it is watched, but says nothing yet. Raises
    `InputError` for a condition that needs a balancer where there is none, and for an alarm that does not exist;
    `GuardrailError` for an alarm in state ALARM; `UnavailableError` when the alarms cannot be read.
    """
    for one in conditions:
        if isinstance(one, ProbeStopCondition) and not (environment.proxy and environment.proxy.balancer_cluster):
            expected = f"an environment with a balancer, which `{one.probe}` asks"
            raise InputError(where=one.where, what=f'"{one.text}"', expected=expected, got=repr(environment.name))
    alarms = {one.alarm: one for one in conditions if isinstance(one, AlarmStopCondition)}
    states = _alarm_states(tuple(alarms), environment) if alarms else {}
    notes = []
    for name, condition in alarms.items():
        state = states.get(name)
        if state is None:
            got = f"none in {environment.aws.region}"
            raise InputError(where=condition.where, what=f'"{condition.text}"', expected="an alarm", got=got)
        if state == ALARM:
            raise GuardrailError(
                f"{condition.where}: the alarm {name!r} is in state ALARM before the start; nothing was touched",
                hint="an experiment on a sick system proves nothing: see to the alarm first",
            )
        if state != OK:
            notes.append(f"the alarm {name!r} is in state {state}: watched, but it says nothing yet")
    return tuple(notes)


def _alarm_states(names: tuple[str, ...], environment: Environment) -> dict[str, str]:
    from botocore.exceptions import BotoCoreError, ClientError

    from stormproof.faults import aws

    configuration = environment.aws.configuration
    try:
        pages = aws.client("cloudwatch", configuration).get_paginator("describe_alarms")
        return {
            alarm["AlarmName"]: alarm["StateValue"]
            for page in pages.paginate(AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"])
            for alarm in [*page["MetricAlarms"], *page["CompositeAlarms"]]
        }
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError(f"the alarms of stop_when cannot be read: {error}") from error


def _holds(op: Op, value: float, bound: float) -> bool:
    match op:
        case Op.LE:
            return value <= bound
        case Op.LT:
            return value < bound
        case Op.GE:
            return value >= bound
        case Op.GT:
            return value > bound
