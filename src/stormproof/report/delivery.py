"""Was the load delivered: offered beside sent, phase by phase and worker by worker, from `load.stopped`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stormproof.record import events as names
from stormproof.report.facts import Facts, mappings, number
from stormproof.report.notation import DASH, clean, count, quantity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WORKERS_MAX = 32  # rows; the file has all


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseDelivery:
    """The load of the whole seconds that lie in one phase."""

    phase: str
    offered: str
    sent: str
    share: str
    pace: str  # requests a second, of steady's: what a closed model was kept from sending; "" in an open one
    cpu: str  # of one core, the busiest worker
    late: str  # ticks of an event loop more than 100 ms late, the worst worker


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerDelivery:
    """One load worker, over the whole run."""

    worker: str
    offered: str
    sent: str
    completed: str
    late_share: str
    lateness_p50: str
    lateness_p99: str
    lateness_max: str
    cpu_share: str
    loop_lag_p99: str
    loop_lag_max: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """All that is known of how the load was delivered."""

    phases: tuple[PhaseDelivery, ...]
    is_closed: bool
    workers: tuple[WorkerDelivery, ...]
    workers_left_out: int
    per_second: tuple[tuple[float, float], ...]  # (Unix second, requests offered), all workers together


def delivery(facts: Facts) -> Delivery | None:
    """The delivery of the run, or None when no `load.stopped` was written."""
    from stormproof.verdict.generator import paces, strain  # numpy: docs/adr/0008

    stopped = facts.named(names.LOAD_STOPPED)
    if not stopped:
        return None
    workers = mappings(stopped[-1].get("workers"))
    seconds = _seconds(workers)
    closed = any(one.get("model") == "closed" for one in facts.named(names.LOAD_STARTED))
    pace = paces(_well_formed(workers), facts.windows) if closed else {}
    return Delivery(
        phases=tuple(
            _phase(phase, window, seconds, pace.get(phase), strain(_well_formed(workers), window))
            for phase, window in facts.windows.items()
        ),
        is_closed=closed,
        workers=tuple(_worker(one) for one in workers[:WORKERS_MAX]),
        workers_left_out=max(0, len(workers) - WORKERS_MAX),
        per_second=tuple((second, offered) for second, (offered, _) in sorted(seconds.items())),
    )


def _seconds(workers: Sequence[Mapping[str, Any]]) -> dict[float, tuple[float, float]]:
    total: dict[float, tuple[float, float]] = {}
    for worker in workers:
        rows = worker.get("per_second")
        for row in rows if isinstance(rows, list) else []:
            values = [number(cell) for cell in row] if isinstance(row, list | tuple) else []
            if len(values) >= 3 and None not in values:
                second, offered, sent = (value or 0.0 for value in values[:3])
                before = total.get(second, (0.0, 0.0))
                total[second] = (before[0] + offered, before[1] + sent)
    return total


def _well_formed(workers: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """*workers* with those lists alone that are of numbers: a report comes out of a damaged record, too."""

    def rows(one: Mapping[str, Any], key: str, size: int) -> list[list[float]]:
        found = one.get(key)
        return [
            [value or 0.0 for value in map(number, row)]
            for row in (found if isinstance(found, list) else [])
            if isinstance(row, list) and len(row) == size and None not in map(number, row)
        ]

    return [{key: rows(one, key, size) for key, size in (("per_second", 3), ("loop_per_second", 5))} for one in workers]


def _phase(
    phase: str,
    window: tuple[float, float],
    seconds: Mapping[float, tuple[float, float]],
    pace: float | None,
    strained: tuple[float, float] | None,
) -> PhaseDelivery:
    inside = [pair for second, pair in seconds.items() if math.ceil(window[0]) <= second and second + 1 <= window[1]]
    offered, sent = (sum(pair[part] for pair in inside) for part in (0, 1))
    return PhaseDelivery(
        phase=phase,
        offered=count(offered),
        sent=count(sent),
        share=quantity(sent / offered, "share") if offered else quantity(None, "share"),
        pace=quantity(pace, "share"),
        cpu=quantity(strained[0], "share") if strained else DASH,
        late=quantity(strained[1], "share") if strained else DASH,
    )


def _worker(one: Mapping[str, Any]) -> WorkerDelivery:
    def ms(key: str) -> str:
        return quantity(number(one.get(key)), "ms")

    host = one.get("host")
    return WorkerDelivery(
        worker=f"{count(number(one.get('worker')))}{f' of {clean(host, limit=60)}' if host else ''}",
        offered=count(number(one.get("offered"))),
        sent=count(number(one.get("sent"))),
        completed=count(number(one.get("completed"))),
        late_share=quantity(number(one.get("late_share")), "share"),
        lateness_p50=ms("lateness_ms_p50"),
        lateness_p99=ms("lateness_ms_p99"),
        lateness_max=ms("lateness_ms_max"),
        cpu_share=quantity(number(one.get("cpu_share")), "share"),
        loop_lag_p99=ms("loop_lag_ms_p99"),
        loop_lag_max=ms("loop_lag_ms_max"),
    )
