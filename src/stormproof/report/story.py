"""What was broken, and everything that happened, told from events.jsonl in sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stormproof.record import events as names
from stormproof.report.facts import Facts, instant, mappings, number
from stormproof.report.notation import clean, clock, count, flat, offset, quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stormproof.model.verdict import Confirmation

TIMELINE_MAX = 150  # rows; the file has all
STORIES_MAX = 10
EVIDENCE_MAX = 20  # rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One instant in the life of a fault."""

    name: str
    meaning: str
    offset: str
    clock: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultStory:
    """One fault: what it did, when, and the proof on both sides."""

    ident: str
    kind: str
    what: str
    felt: bool
    gone: bool | None
    reason: str
    moments: tuple[Moment, ...]
    felt_evidence: tuple[tuple[str, str], ...]
    gone_evidence: tuple[tuple[str, str], ...]
    effect: tuple[tuple[str, str], ...]  # what the workload itself had to show


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineRow:
    """One event as a sentence."""

    offset: str
    clock: str
    who: str
    event: str
    sentence: str
    weight: str  # "phase", "fault", "trouble" or "": how much it stands out


def fault_stories(facts: Facts) -> tuple[FaultStory, ...]:
    """One story a confirmation, in the order of the verdict."""
    return tuple(_story(facts, one) for one in facts.verdict.confirmations[:STORIES_MAX])


def timeline(facts: Facts) -> tuple[tuple[TimelineRow, ...], int]:
    """The events as rows, by time, and how many were left out; what weighs nothing is left out first."""
    zero = facts.zero_s
    rows = sorted(enumerate(facts.events), key=lambda pair: (instant(pair[1]) or 0.0, pair[0]))
    told = [_row(event, zero) for _, event in rows]
    if len(told) > TIMELINE_MAX:
        heavy = [row for row in told if row.weight]
        told = (heavy if len(heavy) >= TIMELINE_MAX // 2 else told)[:TIMELINE_MAX]
    return tuple(told), len(rows) - len(told)


def _story(facts: Facts, one: Confirmation) -> FaultStory:
    mine = {
        str(row["event"]): row
        for row in facts.named(names.FAULT_INJECTING, names.FAULT_FELT, names.FAULT_NOT_FELT, names.FAULT_GONE)
        if row.get("fault_id") == one.fault_id
    }
    injecting, felt = mine.get(names.FAULT_INJECTING, {}), mine.get(names.FAULT_FELT, {})
    shown = felt or mine.get(names.FAULT_NOT_FELT, {})
    zero = facts.zero_s
    instants = (
        (
            "last seen whole",
            "the last good answer: here the fault window opens",
            number(felt.get("last_ok_at")),
        ),
        ("injected", "the instant before the act", one.injected_at),
        ("felt", "first seen from outside", one.felt_at),
        ("undone", "the instant before the undo", one.undone_at),
        (
            "gone",
            "seen whole again: here the fault window closes" if one.felt else "seen whole from outside",
            one.gone_at,
        ),
    )
    moments = [(at, name, meaning) for name, meaning, at in instants if at is not None]
    moments.sort(key=lambda moment: moment[0])
    return FaultStory(
        ident=clean(one.fault_id),
        kind=clean(one.kind),
        what=clean(injecting.get("what") or one.kind),
        felt=one.felt,
        gone=one.gone,
        reason=clean(one.reason),
        moments=tuple(
            Moment(
                name=name,
                meaning=meaning,
                offset=offset(None if zero is None else at - zero),
                clock=clock(at),
            )
            for at, name, meaning in moments
        ),
        felt_evidence=tuple(flat(shown.get("evidence") or one.evidence or {}, limit=EVIDENCE_MAX)),
        gone_evidence=tuple(flat(mine.get(names.FAULT_GONE, {}).get("evidence") or {}, limit=EVIDENCE_MAX)),
        effect=tuple(flat(felt.get("effect") or injecting.get("effect") or {}, limit=EVIDENCE_MAX)),
    )


def _row(event: Mapping[str, Any], zero: float | None) -> TimelineRow:
    at, name = instant(event), str(event["event"])
    tell, weight = _TELL.get(name, (_any, ""))
    return TimelineRow(
        offset=offset(None if at is None or zero is None else at - zero),
        clock=clock(at),
        who=clean(event.get("who", ""), limit=40),
        event=clean(name, limit=60),
        sentence=clean(tell(event)),
        weight=weight,
    )


def _any(event: Mapping[str, Any]) -> str:
    told = {key: value for key, value in event.items() if key not in {"event", "who", "wall_s", "mono_s", "at"}}
    return "; ".join(f"{name}: {text}" if name else text for name, text in flat(told, limit=6))


def _phase(event: Mapping[str, Any]) -> str:
    planned = number(event.get("planned_s"))
    tail = f", planned for {quantity(planned, 's')}" if planned else ""
    return "the phases are over" if event.get("phase") == "ended" else f"{event.get('phase', 'a phase')} begins{tail}"


def _load_started(event: Mapping[str, Any]) -> str:
    rate, users = number(event.get("offered_per_s")), number(event.get("users"))
    pace = f"{quantity(rate, '/s')} offered" if rate else f"{count(users)} users" if users else "no stated rate"
    workers = number(event.get("workers"))
    return f"load starts: {event.get('model', 'unknown')} model, {pace}, {count(workers)} worker{'s'[: workers != 1]}"


def _load_stopped(event: Mapping[str, Any]) -> str:
    workers = mappings(event.get("workers"))
    sums = [sum(number(one.get(key)) or 0 for one in workers) for key in ("offered", "sent", "completed")]
    return "load stopped: {} offered, {} sent, {} completed".format(*map(count, sums))


def _fault(text: str) -> Callable[[Mapping[str, Any]], str]:
    def tell(event: Mapping[str, Any]) -> str:
        reason = f": {event['reason']}" if event.get("reason") else ""
        what = f" ({event['what']})" if event.get("what") else ""
        return f"{event.get('kind') or event.get('fault_id') or 'fault'} {text}{what}{reason}"

    return tell


def _abort(event: Mapping[str, Any]) -> str:
    return f"aborted by {event.get('by', 'unknown')}: {event.get('reason', 'no reason given')}"


def _ended(event: Mapping[str, Any]) -> str:
    return "run ended, everything undone" if event.get("undone") else "run ended, NOT everything is undone"


_TELL: dict[str, tuple[Callable[[Mapping[str, Any]], str], str]] = {
    names.RUN_STARTED: (lambda _: "run starts", ""),
    names.LOAD_STARTED: (_load_started, ""),
    names.PHASE: (_phase, "phase"),
    names.FAULT_INJECTING: (_fault("is about to be injected"), "fault"),
    names.FAULT_INJECTED: (_fault("injected: the call returned"), "fault"),
    names.FAULT_FELT: (_fault("felt, seen from outside"), "fault"),
    names.FAULT_NOT_FELT: (_fault("was not felt"), "trouble"),
    names.FAULT_FAILED: (_fault("failed"), "trouble"),
    names.FAULT_ENDED: (_fault("was ended by somebody else"), "trouble"),
    names.FAULT_UNDOING: (_fault("is about to be undone"), "fault"),
    names.FAULT_UNDONE: (_fault("undone: the call returned"), "fault"),
    names.FAULT_GONE: (_fault("gone, seen from outside"), "fault"),
    names.FAULT_NOT_GONE: (_fault("was not seen gone"), "trouble"),
    names.PROBE_READ: (lambda event: f"{event.get('probe', 'a probe')} has read the record", ""),
    names.PROBE_BLIND: (
        lambda event: f"{event.get('probe', 'a probe')} saw nothing: {event.get('reason', 'no reason given')}",
        "trouble",
    ),
    names.DECIDED: (lambda event: f"the fault may end: {event.get('reason', 'no reason given')}", "phase"),
    names.ABORT: (_abort, "trouble"),
    names.LOAD_STOPPED: (_load_stopped, ""),
    names.RUN_ENDED: (_ended, ""),
    names.PEOPLE_TOLD: (lambda event: f"people were told: {event.get('message', 'something')}", ""),
    names.PEOPLE_NOT_TOLD: (
        lambda event: f"people could NOT be told ({event.get('message', 'something')}): {event.get('reason', '')}",
        "trouble",
    ),
}
