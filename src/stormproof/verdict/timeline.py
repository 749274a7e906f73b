"""What the events of a run say: phases as windows, what was seen of each fault, how the run ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stormproof.model.hypothesis import Phase
from stormproof.model.verdict import Confirmation
from stormproof.record import events as names

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """The run was ended early."""

    at_s: float  # Unix s
    by: str  # person | stop_when | limit | failure
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A run as its events tell it; windows in Unix s."""

    windows: Mapping[str, tuple[float, float]]
    steps: Mapping[str, tuple[float, float]]  # stretches of the fault phase in which all faults of a step were in force
    confirmations: tuple[Confirmation, ...]
    effects: Mapping[str, Mapping[str, Any]]  # fault_id → what the workload must show
    acted: Mapping[str, float]  # fault_id → Unix s: the instant after the act
    denied: frozenset[str]  # fault_ids that somebody looked for and did not see, or could not inject
    not_gone: frozenset[str]  # fault_ids that somebody looked for after the undo and still saw
    onset_slack_s: float  # from the last canary that saw the first fault's target whole to the first that did not
    abort: Abort | None
    decided: str | None  # why the fault was ended before its longest time: what the event says
    load_started: Event | None
    load_stopped: Event | None

    @property
    def fault_was_due(self) -> bool:
        """Whether the run came as far as a fault."""
        return bool(self.confirmations)


def read_timeline(
    events: Sequence[Event],
    *,
    last_scheduled_s: float | None = None,
    steps: Mapping[str, Sequence[str]] | None = None,
) -> Timeline:
    """The timeline of *events*; *last_scheduled_s* ends the load when no event does (the run was killed).

    *steps* maps each step of the spec to the ids of its faults.
    """
    started, stopped = _first(events, names.LOAD_STARTED), _last(events, names.LOAD_STOPPED)
    abort = _abort(_first(events, names.ABORT))
    confirmations = tuple(_confirmation(fault_id, rows) for fault_id, rows in _by_fault(events).items())
    felt = [row for row in events if row["event"] == names.FAULT_FELT]
    first_felt = min(felt, key=lambda row: float(row["at"])) if felt else None
    return Timeline(
        windows=_windows(
            steady_s=float(started["at"]) + float(started.get("warmup_s", 0.0)) if started else None,
            onset_s=min((_onset(row) for row in felt), default=None),
            end_s=_end(events, stopped, abort, last_scheduled_s),
            confirmations=confirmations,
        ),
        steps=_step_windows(events, confirmations, steps or {}, abort),
        confirmations=confirmations,
        denied=frozenset(
            str(row["fault_id"])
            for row in events
            if row["event"] in {names.FAULT_NOT_FELT, names.FAULT_FAILED}
            # an inject that the abort itself cut off did not fail
            and (abort is None or float(row["wall_s"]) < abort.at_s)
        ),
        not_gone=frozenset(
            confirmation.fault_id
            for confirmation in confirmations
            if confirmation.gone is False
            and any(row["event"] == names.FAULT_NOT_GONE for row in _by_fault(events)[confirmation.fault_id])
        ),
        acted={str(row["fault_id"]): float(row["at"]) for row in events if row["event"] == names.FAULT_INJECTED},
        effects={fault_id: _effect(rows) for fault_id, rows in _by_fault(events).items()},
        onset_slack_s=max(0.0, float(first_felt["at"]) - _onset(first_felt)) if first_felt else 0.0,
        abort=abort,
        decided=_reason(_first(events, names.DECIDED)),
        load_started=started,
        load_stopped=stopped,
    )


def _windows(
    *,
    steady_s: float | None,
    onset_s: float | None,
    end_s: float | None,
    confirmations: Sequence[Confirmation],
) -> dict[str, tuple[float, float]]:
    """Phases without gaps, cut at *end_s*: steady, fault [onset, gone], recovery [gone, end].

    Of a fault that was not felt the window falls back to [injected, undone], so that tables still show something.
    """
    if steady_s is None or end_s is None:
        return {}
    injected_s = min((c.injected_at for c in confirmations if c.injected_at is not None), default=None)
    begin_s = onset_s if onset_s is not None else injected_s
    if begin_s is None or begin_s >= end_s:
        return _drop_empty({Phase.STEADY.value: (steady_s, end_s)})
    ends = [c.gone_at if onset_s is not None and c.gone_at is not None else c.undone_at for c in confirmations]
    known = [at for at in ends if at is not None]
    # Not undone, or never seen gone: then the fault lasts to the end, and there was no recovery.
    gone_s = min(max(known), end_s) if known and len(known) == len(ends) else end_s
    return _drop_empty(
        {
            Phase.STEADY.value: (steady_s, begin_s),
            Phase.FAULT.value: (begin_s, gone_s),
            Phase.RECOVERY.value: (gone_s, end_s),
        }
    )


def _step_windows(
    events: Sequence[Event],
    confirmations: Sequence[Confirmation],
    steps: Mapping[str, Sequence[str]],
    abort: Abort | None,
) -> dict[str, tuple[float, float]]:
    """Each step from the onset of the last of its faults to the undo of the first; none where one was not felt."""
    felt = {str(row["fault_id"]): _onset(row) for row in events if row["event"] == names.FAULT_FELT}
    undone = {one.fault_id: one.undone_at for one in confirmations if one.undone_at is not None}
    windows = {}
    for step, ids in steps.items():
        ends = [undone[one] for one in ids if one in undone] + ([abort.at_s] if abort else [])
        if all(one in felt for one in ids) and ends:
            windows[step] = (max(felt[one] for one in ids), min(ends))
    return _drop_empty(windows)


def _drop_empty(windows: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    return {phase: window for phase, window in windows.items() if window[1] > window[0]}


def _end(
    events: Sequence[Event], stopped: Event | None, abort: Abort | None, last_scheduled_s: float | None
) -> float | None:
    """When load ended: whichever came first of the abort, the phase that ended it and the last worker's stop."""
    ended = [float(row["at"]) for row in events if row["event"] == names.PHASE and row.get("phase") == "ended"]
    instants = [*ended, *([abort.at_s] if abort else []), *([float(stopped["at"])] if stopped else [])]
    if instants:
        return min(instants)
    # Half open, like every window: the last request belongs to it.
    return None if last_scheduled_s is None else last_scheduled_s + 1e-3


def _confirmation(fault_id: str, rows: Sequence[Event]) -> Confirmation:
    """One fault's story: injecting → felt → undoing → gone, from outside."""
    felt, gone = _first(rows, names.FAULT_FELT), _last(rows, names.FAULT_GONE)
    not_gone = _last(rows, names.FAULT_NOT_GONE)
    injecting, undoing = _first(rows, names.FAULT_INJECTING), _first(rows, names.FAULT_UNDOING)
    undone = undoing or _first(rows, names.FAULT_UNDONE)
    is_gone: bool | None = None
    if injecting is not None:
        is_gone = gone is not None and (not_gone is None or float(gone["wall_s"]) >= float(not_gone["wall_s"]))
    return Confirmation(
        fault_id=fault_id,
        kind=str(rows[0].get("kind", "")),
        felt=felt is not None,
        gone=is_gone,
        reason=_story(rows, felt=felt is not None, gone=is_gone),
        injected_at=_at(injecting),
        felt_at=_at(felt),
        undone_at=_at(undone),
        gone_at=_at(gone) if is_gone else None,
        evidence=dict((felt or _last(rows, names.FAULT_NOT_FELT) or {}).get("evidence") or {}),
    )


def _story(rows: Sequence[Event], *, felt: bool, gone: bool | None) -> str:
    failed = _last(rows, names.FAULT_FAILED)
    not_felt, not_gone = _last(rows, names.FAULT_NOT_FELT), _last(rows, names.FAULT_NOT_GONE)
    if felt:
        first = "felt from outside"
    elif failed is not None:
        first = f"could not be injected: {failed.get('reason', 'no reason given')}"
    else:
        first = f"not felt: {not_felt.get('reason', 'no reason given')}" if not_felt else "never seen from outside"
    if gone is None:
        return first
    if gone:
        return f"{first}, undone and seen gone"
    return f"{first}, not seen gone" + (f": {not_gone.get('reason', '')}" if not_gone else "")


def _by_fault(events: Iterable[Event]) -> dict[str, list[Event]]:
    faults: dict[str, list[Event]] = {}
    for row in events:
        if str(row["event"]).startswith("fault.") and "fault_id" in row:
            faults.setdefault(str(row["fault_id"]), []).append(row)
    return faults


def _effect(rows: Sequence[Event]) -> Mapping[str, Any]:
    for name in (names.FAULT_FELT, names.FAULT_INJECTING):
        row = _first(rows, name)
        if row is not None and row.get("effect"):
            return dict(row["effect"])
    return {}


def _abort(row: Event | None) -> Abort | None:
    if row is None:
        return None
    at_s = float(row.get("at", row["wall_s"]))
    return Abort(at_s=at_s, by=str(row.get("by", "failure")), reason=str(row.get("reason", "no reason given")))


def _reason(row: Event | None) -> str | None:
    return None if row is None else str(row.get("reason", "no reason given"))


def _onset(felt: Event) -> float:
    """The last instant at which the target was still seen whole."""
    last_ok_s = felt.get("last_ok_at")
    return float(felt["at"] if last_ok_s is None else last_ok_s)


def _at(row: Event | None) -> float | None:
    return None if row is None else float(row.get("at", row["wall_s"]))


def _first(events: Iterable[Event], name: str) -> Event | None:
    return next((row for row in events if row["event"] == name), None)


def _last(events: Iterable[Event], name: str) -> Event | None:
    found = None
    for row in events:
        if row["event"] == name:
            found = row
    return found
