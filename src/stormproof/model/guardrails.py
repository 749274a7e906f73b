"""What an environment allows, whatever a spec says: data; checked in `plan.guardrails` and `run.killswitch`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeWindow:
    """A stretch of the week, by the clock on a wall in *zone*: from *start* on each of *days* until the next *end*."""

    days: frozenset[int]  # 0 Monday … 6 Sunday: the days on which the stretch begins
    start: dt.time
    end: dt.time  # not after *start*: on the following day
    zone: dt.tzinfo
    text: str  # "Mon Tue 22:00–04:00 Europe/Berlin"

    def holds(self, instant: dt.datetime) -> bool:
        """Whether *instant* (aware) lies inside; the end itself does not."""
        local = instant.astimezone(self.zone)
        clock, today = local.time(), local.weekday()
        if self.start < self.end:
            return today in self.days and self.start <= clock < self.end
        if clock >= self.start:
            return today in self.days
        return clock < self.end and (today - 1) % 7 in self.days


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrails:
    """None, or an empty tuple, means that the environment does not restrict it."""

    faults: tuple[str, ...] | None = None  # kinds that may be injected
    allow_no_undo: tuple[str, ...] = ()  # kinds that may be injected though nothing brings back what they break
    accounts: tuple[str, ...] | None = None
    regions: tuple[str, ...] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)  # every AWS resource that is touched must carry them
    change_windows: tuple[ChangeWindow, ...] = ()
    kill_switch: str | None = None  # absolute path, or URL
    confirm: bool = False  # a person must type the exact phrase
    duration_s_max: float | None = None
    targets_max: int | None = None
    where: str = ""  # the file they come from
