"""Histories of a health check, written by hand: what the balancer held, who answered, what was broken, all from 0 s."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from stormprobes._history import REQUEST_COLUMNS, Fault, History, Opinion, Settings, View

TARGETS = ("a", "b", "c")
CHECK = Settings(interval_s=0.5, timeout_s=0.3, unhealthy_threshold=3, healthy_threshold=2)
STALE = Fault(
    fault_id="1", onset_low_s=10.0, onset_high_s=10.02, end_low_s=20.0, end_high_s=20.05, targets=("a",), silences=True
)
OFF = Fault(
    fault_id="1", onset_low_s=10.0, onset_high_s=10.02, end_low_s=20.0, end_high_s=20.05, dependency=True
)  # a dependency that all share


def looks(
    changes: Mapping[str, Sequence[float]] | None = None,
    *,
    until_s: float = 30.0,
    every_s: float = 0.1,
    flags: tuple[str, ...] = ("failed_active_health_check",),
    blind: tuple[float, float] = (0.0, 0.0),
) -> tuple[Opinion, ...]:
    """A look every *every_s*; each target starts healthy and changes at the instants of *changes*. None in *blind*."""
    instants = [number * every_s for number in range(round(until_s / every_s) + 1)]
    instants = [at_s for at_s in instants if not blind[0] <= at_s < blind[1]]

    def view(target: str, at_s: float) -> View:
        healthy = sum(change_s <= at_s for change_s in (changes or {}).get(target, ())) % 2 == 0
        return View(healthy=healthy, flags=() if healthy else flags)

    return tuple(
        Opinion(
            at_s=at_s,
            until_s=instants[number + 1] if number + 1 < len(instants) else at_s,
            targets={target: view(target, at_s) for target in TARGETS},
        )
        for number, at_s in enumerate(instants)
    )


Served = Callable[[str, float], tuple[str, bool, int] | None]


def answered(target: str, _: float) -> tuple[str, bool, int]:
    """Every target answers its requests."""
    return target, True, 200


def requests(serve: Served = answered, *, until_s: float = 30.0, per_s: int = 10, took_s: float = 0.01) -> pd.DataFrame:
    """*per_s* requests a second for each target; *serve* says who answered (""), how, or None for none sent."""
    rows = []
    for number in range(round(until_s * per_s)):
        for place, target in enumerate(TARGETS):
            sent_at = number / per_s + place * 0.001
            result = serve(target, sent_at)
            if result is not None:
                rows.append((sent_at, sent_at + took_s, *result))
    return pd.DataFrame(rows, columns=list(REQUEST_COLUMNS))


def history(
    *,
    opinions: Iterable[Opinion] | None = None,
    sent: pd.DataFrame | None = None,
    faults: Sequence[Fault] = (),
    settings: Settings | None = CHECK,
    groups: Mapping[str, tuple[str, ...]] | None = None,
) -> History:
    """A history in which each answer names its target, unless told otherwise."""
    return History(
        opinions=tuple(looks() if opinions is None else opinions),
        requests=sent,
        faults=faults,
        settings=settings,
        groups={target: (target,) for target in TARGETS} if groups is None else groups,
    )


def shifted(given: History, by_s: float) -> History:
    """The same, later."""
    from dataclasses import replace

    moved = None
    if given.requests is not None:
        moved = given.requests.assign(
            sent_at=given.requests["sent_at"] + by_s, done_at=given.requests["done_at"] + by_s
        )

    def fault(one: Fault) -> Fault:
        ends: dict[str, Any] = {
            name: None if getattr(one, name) is None else getattr(one, name) + by_s
            for name in ("end_low_s", "end_high_s")
        }
        return replace(one, onset_low_s=one.onset_low_s + by_s, onset_high_s=one.onset_high_s + by_s, **ends)

    return replace(
        given,
        opinions=tuple(replace(one, at_s=one.at_s + by_s, until_s=one.until_s + by_s) for one in given.opinions),
        requests=moved,
        faults=tuple(fault(one) for one in given.faults),
    )


def renamed(given: History, names: Mapping[str, str]) -> History:
    """The same under other names of targets."""
    from dataclasses import replace

    moved = None
    if given.requests is not None:
        moved = given.requests.assign(served_by=[names.get(name, name) for name in given.requests["served_by"]])
    return replace(
        given,
        opinions=tuple(
            replace(one, targets={names[target]: view for target, view in one.targets.items()})
            for one in given.opinions
        ),
        requests=moved,
        faults=tuple(replace(one, targets=tuple(names[target] for target in one.targets)) for one in given.faults),
        groups={names[name]: tuple(names[member] for member in members) for name, members in given.groups.items()},
    )


def without_times(reading: Mapping[str, Any]) -> Any:
    """Numbers rounded to the tenth of a millisecond: a shift of floats costs their last digits."""
    if isinstance(reading, Mapping):
        return {key: without_times(value) for key, value in reading.items()}
    if isinstance(reading, list):
        return [without_times(value) for value in reading]
    return float(np.round(reading, 4)) if isinstance(reading, float) else reading
