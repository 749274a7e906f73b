"""What a run was made of: how strong its faults were, how much load it had, how busy the generator was.

None of it is judged here. When a claim's number moves, these say whether the system moved, or the experiment did.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stormproof.errors import StormproofError
from stormproof.model.hypothesis import Phase
from stormproof.model.verdict import Confirmation, Verdict
from stormproof.record import events as names
from stormproof.record.events import read_events
from stormproof.record.layout import RunDirectory
from stormproof.verdict.effect_arrivals import DELAY_SHARE
from stormproof.verdict.generator import strain

if TYPE_CHECKING:
    import pandas as pd

FAULT, LOAD, GENERATOR = "fault", "load", "generator"
# Effects whose strength shows where the dependency is called. What a zone that is slow or ill loses is the workload's
# own doing, as is how often a client asks that is refused everything: of those only the time in force is known.
AT_DEPENDENCY = frozenset({"arrivals-delayed", "arrivals-rejected", "arrivals-flagged", "arrivals-refused"})
MET_MIN = 20  # calls, or answers, from which a share says something


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One number; *unit* as in findings (share, ms, s, /s, count). More of a fault's is a stronger fault."""

    kind: str
    name: str
    value: float
    unit: str


def measures_of(folder: RunDirectory, verdict: Verdict) -> tuple[Measure, ...]:
    """Everything that *folder* tells of the kind, by kind and name; what it does not tell is left out."""
    events = [row for row in read_events(folder.events) if isinstance(row.get("event"), str)]
    found = [*_of_load(events, verdict), *_of_faults(folder, events, verdict)]
    sound = {(one.kind, one.name): one for one in found if math.isfinite(one.value)}
    return tuple(sound[key] for key in sorted(sound))


def _of_load(events: list[dict[str, Any]], verdict: Verdict) -> Iterator[Measure]:
    """Requests sent a second in the fault phase, and the strain of the busiest worker there."""
    stopped: Mapping[str, Any] = next((row for row in reversed(events) if row["event"] == names.LOAD_STOPPED), {})
    workers = [one for one in stopped.get("workers") or () if isinstance(one, Mapping)]
    window = verdict.windows.get(Phase.FAULT.value)
    if not workers or window is None:
        return
    first, last = math.ceil(window[0]), math.floor(window[1])
    rows = [row for worker in workers for row in worker.get("per_second") or ()]
    if last > first and rows:
        sent = sum(row[2] for row in rows if first <= row[0] < last)
        yield Measure(kind=LOAD, name="requests sent in the fault phase", value=sent / (last - first), unit="/s")
    strained = strain(workers, window)
    cpu = [worker["cpu_share"] for worker in workers if isinstance(worker.get("cpu_share"), int | float)]
    if strained is not None:
        yield Measure(kind=GENERATOR, name="ticks of the event loop that were late", value=strained[1], unit="share")
        yield Measure(kind=GENERATOR, name="CPU of the busiest worker", value=strained[0], unit="share")
    elif cpu:
        yield Measure(kind=GENERATOR, name="CPU of the busiest worker", value=float(max(cpu)), unit="share")


def _of_faults(folder: RunDirectory, events: list[dict[str, Any]], verdict: Verdict) -> Iterator[Measure]:
    effects = {
        str(row.get("fault_id")): row["effect"]
        for row in events
        if row["event"] in {names.FAULT_INJECTING, names.FAULT_FELT} and isinstance(row.get("effect"), Mapping)
    }
    steady = verdict.windows.get(Phase.STEADY.value)
    for one in verdict.confirmations:
        effect, window = effects.get(one.fault_id, {}), _in_force(one)
        if window is None:
            continue
        yield Measure(kind=FAULT, name=f"{one.fault_id}: in force", value=window[1] - window[0], unit="s")
        try:
            if effect.get("kind") in AT_DEPENDENCY:
                yield from _at_dependency(folder, one.fault_id, effect, window)
            elif effect.get("kind") == "zone-silent" and steady is not None:
                yield from _in_zone(folder, one.fault_id, str(effect["zone"]), steady, window)
        except StormproofError:  # a part of the record is missing or foreign: then nothing is known of this
            continue


def _in_force(one: Confirmation) -> tuple[float, float] | None:
    if one.felt_at is None or one.undone_at is None or one.undone_at <= one.felt_at:
        return None
    return one.felt_at, one.undone_at


def _at_dependency(
    folder: RunDirectory, fault_id: str, effect: Mapping[str, Any], window: tuple[float, float]
) -> Iterator[Measure]:
    """Of the workload's calls of the dependency meanwhile: how many the proxy marked or failed, and the delay they met.

    Calls that came back sooner than the delay say when the workload gave up, which is its own doing and no strength.
    """
    from stormproof.record.arrivals import read_arrivals

    calls = read_arrivals(folder)
    at = calls["t_start_s"]
    ours = (calls["dependency"] == effect.get("dependency")) & ~calls["canary"].astype(bool)
    calls = calls[ours & (at >= window[0]) & (at < window[1])]
    if len(calls) < MET_MIN:
        return
    yield Measure(kind=FAULT, name=f"{fault_id}: calls that met it", value=_met_share(calls), unit="share")
    delay_ms = float(effect.get("delay_ms") or 0.0)
    waited = calls.loc[calls["duration_ms"] >= DELAY_SHARE * delay_ms, "duration_ms"]
    if delay_ms > 0 and len(waited) >= MET_MIN:
        yield Measure(kind=FAULT, name=f"{fault_id}: delay met", value=float(waited.median()), unit="ms")


def _met_share(calls: pd.DataFrame) -> float:
    flagged = calls["flags"].astype(str).str.contains("[A-Z]", regex=True)
    failed = (calls["status"] == 0) | (calls["status"] >= 400)
    return float((flagged | failed).mean())


def _in_zone(
    folder: RunDirectory, fault_id: str, zone: str, steady: tuple[float, float], window: tuple[float, float]
) -> Iterator[Measure]:
    """How much of its share of the answers the zone lost: 1 when it is silent, 0 when nothing happened to it."""
    from stormproof.record.sample_part import fit_in_memory, parts_of
    from stormproof.record.samples import read_samples

    if not fit_in_memory(parts_of(folder)):
        return
    samples = read_samples(folder)
    answered = samples[samples["status"] > 0]
    shares = []
    for start_s, end_s in (steady, window):
        inside = answered[(answered["scheduled_at"] >= start_s) & (answered["scheduled_at"] < end_s)]
        if len(inside) < MET_MIN:
            return
        shares.append(float((inside["zone"] == zone).mean()))
    if shares[0] > 0:
        lost = min(max(1 - shares[1] / shares[0], 0.0), 1.0)
        yield Measure(kind=FAULT, name=f"{fault_id}: of zone {zone}'s answers lost", value=lost, unit="share")
