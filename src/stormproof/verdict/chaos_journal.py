"""A plain Chaos Toolkit experiment's journal, judged by its steady-state hypothesis.

chaoslib's own status is never the verdict: it calls a run `completed` when the steady state was not met before, when
the action failed, and when it lost the signal that was to stop it. Here the parts are read and judged:

======================================  ============
not met before, or nobody looked        invalid
an action failed, or did not end        invalid
a probe crashed instead of answering    invalid
met before, not met during or after     refuted
met before and after                    held
met before, nobody looked after         inconclusive
no steady-state hypothesis              inconclusive
interrupted                             aborted, unless already refuted or invalid
no journal (killed), or unreadable      invalid
======================================  ============
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from stormproof.model.hypothesis import Op, Unit
from stormproof.model.verdict import Check, Finding, Outcome

# journal["status"] → why that alone makes the run invalid; "" where the rest of the journal decides.
STATUS: Mapping[str, str] = {
    "completed": "",
    "failed": "",  # a steady-state probe crashed or failed fast: the states below say which
    "interrupted": "",
    "aborted": "Chaos Toolkit met an unexpected error and gave up",
}
# status of one activity → whether it was done; None stands for an activity that never ended.
ACTIVITY_STATUS: Mapping[str | None, bool] = {"succeeded": True, "failed": False, "aborted": False, None: False}

JOURNAL, STEADY, ACTIONS, ROLLBACKS, PROBES = (
    "journal written",
    "steady before",
    "every action done",
    "every rollback done",
    "probes answered",
)
METHOD = "each probe's tolerance, once"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalJudgement:
    """What a journal comes to; *why* says it where there is no finding."""

    finding: Finding | None
    checks: tuple[Check, ...]
    interrupted: bool
    why: str


def read_journal(path: Path) -> dict[str, Any] | str:
    """The journal at *path*; where there is none to read, a phrase that says why."""
    try:
        journal = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return "there is no journal: the player was killed or never started"
    except orjson.JSONDecodeError as error:
        return f"the journal is no JSON: {error}"
    return journal if isinstance(journal, dict) else f"the journal is a {type(journal).__name__}, not an object"


def judge_journal(journal: Mapping[str, Any] | str) -> JournalJudgement:
    """Judge *journal*, or the reason why there is none (see `read_journal`)."""
    if isinstance(journal, str):
        return JournalJudgement(
            finding=None, checks=(Check(name=JOURNAL, ok=False, reason=journal),), interrupted=False, why=journal
        )
    status = journal.get("status")
    interrupted = status == "interrupted"
    hypothesis = (journal.get("experiment") or {}).get("steady-state-hypothesis")
    states = journal.get("steady_states") or {}
    before = states.get("before")
    later = [state for state in (*_many(states.get("during")), states.get("after")) if state]
    checks = [
        _status_check(journal, status),
        *([_before_check(before)] if hypothesis and not (interrupted and not before) else []),
        *([] if before and not before.get("steady_state_met") else [_actions_check(journal, interrupted=interrupted)]),
        *_rollbacks_check(journal),
    ]
    finding = None
    if hypothesis:
        finding = _finding(str(hypothesis.get("title", "steady state")), later, looked_after=bool(states.get("after")))
        checks += _crash_check(later, finding)
    return JournalJudgement(
        finding=finding,
        checks=tuple(checks),
        interrupted=interrupted,
        why="The experiment has no steady-state hypothesis, so it claims nothing.",
    )


def _status_check(journal: Mapping[str, Any], status: object) -> Check:
    if (journal.get("experiment") or {}).get("dry"):
        return Check(name=JOURNAL, ok=False, reason="it was a dry run: nothing was done")
    if not isinstance(status, str) or status not in STATUS:
        return Check(name=JOURNAL, ok=False, reason=f"Chaos Toolkit ended with a status unknown here: {status!r}")
    return Check(name=JOURNAL, ok=not STATUS[status], reason=STATUS[status] or f"Chaos Toolkit ended: {status}")


def _before_check(before: Mapping[str, Any] | None) -> Check:
    if not before:
        return Check(name=STEADY, ok=False, reason="nobody looked at the steady state before the fault")
    met = bool(before.get("steady_state_met"))
    return Check(name=STEADY, ok=met, reason="met before the fault" if met else f"not met before: {_missed(before)}")


def _actions_check(journal: Mapping[str, Any], *, interrupted: bool) -> Check:
    """Failed actions of the method; one that an interruption cut off is not held against it."""
    actions = [item for item in _many(journal.get("run")) if _activity(item).get("type") == "action"]
    undone = [item for item in actions if not _is_done(item) and not (interrupted and item.get("status") is None)]
    if undone:
        return Check(name=ACTIONS, ok=False, reason=f"{_names(undone)} failed{_why(undone[0])}")
    if not actions and not interrupted:
        return Check(name=ACTIONS, ok=False, reason="the method did nothing: no action was played")
    return Check(name=ACTIONS, ok=True, reason=f"{len(actions)} of {len(actions)} done")


def _rollbacks_check(journal: Mapping[str, Any]) -> list[Check]:
    rollbacks = _many(journal.get("rollbacks"))
    if not rollbacks:
        return []
    undone = [item for item in rollbacks if not _is_done(item)]
    reason = f"{_names(undone)} failed{_why(undone[0])}" if undone else f"{len(rollbacks)} of {len(rollbacks)} done"
    return [Check(name=ROLLBACKS, ok=not undone, reason=reason)]


def _crash_check(later: Sequence[Mapping[str, Any]], finding: Finding) -> list[Check]:
    """A probe that crashed saw nothing, which is no deviation; moot when another one saw a deviation."""
    crashed = [probe for state in later for probe in _many(state.get("probes")) if not _is_done(probe)]
    if not crashed or finding.outcome is Outcome.REFUTED:
        return []
    return [Check(name=PROBES, ok=False, reason=f"{_names(crashed)} crashed{_why(crashed[0])}")]


def _finding(claim: str, later: Sequence[Mapping[str, Any]], *, looked_after: bool) -> Finding:
    probes = [probe for state in later for probe in _many(state.get("probes"))]
    answered = [probe for probe in probes if _is_done(probe)]
    within = [probe for probe in answered if probe.get("tolerance_met")]
    missed = [probe for probe in answered if not probe.get("tolerance_met")]
    crashed = len(probes) > len(answered)
    if missed:
        outcome, reason = Outcome.REFUTED, f"Met before the fault, out of tolerance since: {_names(missed)}."
    elif not looked_after or crashed or not answered:
        outcome, reason = Outcome.INCONCLUSIVE, "Nobody saw the steady state after the fault."
    else:
        outcome, reason = Outcome.HELD, f"Within tolerance before and after: {_names(within)}."
    share = len(within) / len(answered) if answered else None
    return Finding(
        claim=claim,
        outcome=outcome,
        estimate=share,
        low=share,
        high=share,
        n=len(answered),
        reason=reason,
        unit=Unit.SHARE.value,
        op=Op.GE.value,
        bound=1.0,
        method=METHOD,
    )


def _many(items: object) -> list[Mapping[str, Any]]:
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, Sequence) else []


def _activity(item: Mapping[str, Any]) -> Mapping[str, Any]:
    activity = item.get("activity")
    return activity if isinstance(activity, Mapping) else {}


def _is_done(item: Mapping[str, Any]) -> bool:
    return ACTIVITY_STATUS.get(item.get("status"), False)


def _names(items: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(str(_activity(item).get("name", "an activity")) for item in items))


def _missed(state: Mapping[str, Any]) -> str:
    return _names([probe for probe in _many(state.get("probes")) if not probe.get("tolerance_met")]) or "no probe"


def _why(item: Mapping[str, Any]) -> str:
    """The last line of the exception that chaoslib recorded."""
    lines = [str(line).strip() for line in item.get("exception") or [] if str(line).strip()]
    return f": {lines[-1].splitlines()[-1]}" if lines else ""
