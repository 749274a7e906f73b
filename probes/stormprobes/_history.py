"""What a health check is read from: a balancer's opinions, requests, and faults, on one clock (Unix s)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# Columns of `History.requests`: when it was sent and over, who served it ("" where the answer does not say; several
# targets may share one name, see `History.groups`), whether it succeeded, and its status (0: no answer).
REQUEST_COLUMNS = ("sent_at", "done_at", "served_by", "ok", "status")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the balancer held of one target at one instant."""

    healthy: bool
    flags: tuple[str, ...] = ()  # the balancer's own words for why not


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """One look at the balancer: it held this at an instant between *at_s* and *until_s*."""

    at_s: float
    until_s: float
    targets: Mapping[str, View]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that was broken, and when: each instant lies between its *low* and its *high*.

    *targets* are those of the balancer's that are broken, none for a dependency that they share. *silences* says that
    they do not answer, *dependency* that something behind them is broken and not they themselves. *end_* is None for
    one that was never taken back.
    """

    fault_id: str
    onset_low_s: float
    onset_high_s: float
    end_low_s: float | None = None
    end_high_s: float | None = None
    targets: tuple[str, ...] = ()
    silences: bool = False
    dependency: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the balancer checks; *counts_from* is whether a beat is counted from a check's start or from its end."""

    interval_s: float
    timeout_s: float
    unhealthy_threshold: int
    healthy_threshold: int
    counts_from: str = "start"

    @property
    def eject_s(self) -> tuple[float, float]:
        """From a target's end to its ejection, at least and at most: [i·(u-1), i·u + t].

        A balancer that counts from the end of a check waits for every one that times out: u·(i + t) at most.
        """
        high_s = self.interval_s * self.unhealthy_threshold + self.timeout_s
        if self.counts_from == "end":
            high_s = self.unhealthy_threshold * (self.interval_s + self.timeout_s)
        return self.interval_s * (self.unhealthy_threshold - 1), high_s

    @property
    def readd_s(self) -> tuple[float, float]:
        """From a target's recovery to its return, at least and at most: [i·(h-1), i·h + t].

        The time-out: a check that was under way when the target recovered may have to run into it first.
        """
        return self.interval_s * (self.healthy_threshold - 1), self.interval_s * self.healthy_threshold + self.timeout_s


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All of it. *groups* maps a name in `served_by` to the targets that may be meant, each in one group at most."""

    opinions: Sequence[Opinion]
    requests: pd.DataFrame | None
    faults: Sequence[Fault] = ()
    settings: Settings | None = None
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def targets(self) -> tuple[str, ...]:
        """Every target that the balancer ever spoke of, sorted."""
        return tuple(sorted({name for opinion in self.opinions for name in opinion.targets}))

    def views(self, target: str) -> list[tuple[Opinion, View]]:
        """What was held of *target*, in the order of time."""
        return [(opinion, opinion.targets[target]) for opinion in self.opinions if target in opinion.targets]

    def group_of(self, target: str) -> str | None:
        """The name under which *target* appears in `served_by`; None when it does not."""
        return next((name for name, members in self.groups.items() if target in members), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time that was measured, in seconds: its value, what it lies between, and why one of them is missing."""

    value_s: float | None
    low_s: float | None = None
    high_s: float | None = None
    reason: str = ""

    def fields(self, name: str) -> dict[str, float | None]:
        """As three keys of a reading."""
        return {
            f"{name}_s": rounded(self.value_s),
            f"{name}_low_s": rounded(self.low_s),
            f"{name}_high_s": rounded(self.high_s),
        }


def worst(spans: Sequence[Span], *, none: str) -> Span:
    """The longest of *spans*: one without a value makes the whole have none, as nobody knows how long it takes."""
    if not spans:
        return Span(value_s=None, reason=none)
    lows = [span.low_s for span in spans if span.low_s is not None]
    low_s = max(lows) if lows else None
    missing = [span for span in spans if span.value_s is None]
    if missing:
        return Span(value_s=None, low_s=low_s, reason=missing[0].reason)
    highs = [span.high_s for span in spans]
    return Span(
        value_s=max(span.value_s for span in spans if span.value_s is not None),
        low_s=low_s,
        high_s=None if any(high is None for high in highs) else max(high for high in highs if high is not None),
    )


def rounded(seconds: float | None) -> float | None:
    """To the microsecond: clocks give no more, and equal histories shall give equal readings."""
    return None if seconds is None else round(seconds, 6)
