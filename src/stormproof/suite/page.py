"""The summary as data, ready for print: what HTML, JUnit, JSON and the messages all say, assembled once."""

from __future__ import annotations

import datetime as dt
import os
import urllib.parse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stormproof.errors import InputError
from stormproof.model.verdict import Finding, Outcome, Verdict
from stormproof.record.layout import RunDirectory
from stormproof.report.notation import DASH, clean, count, interval, quantity, sign
from stormproof.report.page import OUTCOME_MARK, OUTCOME_MEANING
from stormproof.suite.outcome import LEFT, SuiteOutcome, outcome_of, standing
from stormproof.suite.schedule import Drawing, draw
from stormproof.suite.since import Since, since
from stormproof.suite.state import ERROR, INTERRUPTED, Attempt, Item, SuiteDirectory, SuiteState
from stormproof.verdict.document import read_verdict

CLAIMS_MAX = 20  # a row; the run's report has all
MARKS = {**{str(one): mark for one, mark in OUTCOME_MARK.items()}, ERROR: "!", LEFT: "–", INTERRUPTED: "■"}
MEANING = {
    **{str(one): text for one, text in OUTCOME_MEANING.items()},
    "held": "Every experiment was run, and every claim held.",
    "refuted": "At least one experiment was sound, and a claim of it is wrong.",
    "inconclusive": "Something was not decided, or not run.",
    "invalid": "At least one run did not test its claims.",
    "aborted": "The suite, or a run of it, was ended early; what was decided before stays decided.",
    ERROR: "At least one run came to no verdict, left something broken, or was not recorded.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRow:
    """One claim of the attempt that stands."""

    claim: str
    outcome: str
    numbers: str
    reason: str
    cause: str  # where the bad requests are, "" where nothing is named

    @property
    def sentence(self) -> str:
        """Numbers and reason."""
        return f"{self.numbers}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """One run."""

    run_id: str
    outcome: str
    started: str
    duration: str
    because: str
    reason: str
    href: str  # of its report, from the suite's folder; "" where there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRow:
    """One experiment as it is printed."""

    slug: str
    title: str
    word: str
    reasons: tuple[str, ...]
    claims: tuple[ClaimRow, ...]
    attempts: tuple[AttemptRow, ...]
    duration_s: float  # all attempts
    target_seconds: float
    settings: tuple[str, ...]
    since: Since | None
    href: str
    incident_href: str
    repeat: str
    notes: tuple[str, ...]  # run again, not run again, not recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class SuitePage:
    """One suite as it is printed. Text in here is foreign: whoever writes it out must escape it."""

    suite_id: str
    environment: str
    simulated: bool
    came_to: SuiteOutcome
    mark: str
    meaning: str
    started_iso: str
    wall_time_s: float
    key_facts: tuple[tuple[str, str], ...]
    items: tuple[ItemRow, ...]  # the worst first
    not_chosen: tuple[tuple[str, str], ...]
    drawing: Drawing | None
    trends_href: str  # "" where there is no page of trends
    command: str

    @property
    def trouble(self) -> tuple[ItemRow, ...]:
        """What did not hold."""
        return tuple(one for one in self.items if one.word != Outcome.HELD)


def assemble(folder: SuiteDirectory, state: SuiteState, earlier: Sequence[SuiteState] = ()) -> SuitePage:
    """*state* as a page, with what its runs' directories say; *earlier* suites of the environment, oldest first."""
    came_to = outcome_of(state)
    order = list(came_to.counts)
    pairs = [(item, _verdict(item.last)) for item in state.items]
    rows = [_row(folder, item, verdict, since(item.entry.slug, state, earlier)) for item, verdict in pairs]
    rows.sort(key=lambda row: (order.index(row.word), row.slug))
    return SuitePage(
        suite_id=clean(state.suite_id),
        environment=clean(state.environment),
        simulated=any(verdict is not None and verdict.simulated for _, verdict in pairs),
        came_to=came_to,
        mark=MARKS[came_to.word],
        meaning=MEANING[came_to.word],
        started_iso=clean(state.started_at),
        wall_time_s=state.spent_s,
        key_facts=_key_facts(state, came_to),
        items=tuple(rows),
        not_chosen=tuple((clean(slug), clean(why)) for slug, why in sorted(state.not_chosen.items())),
        drawing=draw(state),
        trends_href=_href(folder, folder.trends),
        command=clean(state.command, limit=2000),
    )


def as_document(folder: SuiteDirectory, state: SuiteState) -> dict[str, Any]:
    """What `suite --json` prints."""
    came_to = outcome_of(state)
    return {
        "schema_version": state.schema_version,
        "verdict": came_to.word,
        "exit_code": came_to.exit_code,
        "reason": came_to.reason,
        "counts": came_to.counts,
        "suite_id": state.suite_id,
        "environment": state.environment,
        "experiments": [
            {
                "slug": item.entry.slug,
                "verdict": standing(item),
                "reasons": list(item.last.reasons) if item.last else [item.left],
                "attempts": [asdict(one) for one in item.attempts],
                "left": item.left,
                "not_repeated": item.not_repeated,
            }
            for item in state.items
        ],
        "not_chosen": state.not_chosen,
        "wall_time_s": state.spent_s,
        "target_seconds": round(damage_of(state), 3),
        "stopped": state.stopped,
        "sessions": state.sessions,
        "told": state.told,
        "summary": str(folder.summary),
        "junit": str(folder.junit),
    }


def damage_of(state: SuiteState) -> float:
    """Target-seconds that all runs did together."""
    return sum(one.target_seconds for item in state.items for one in item.attempts)


def minutes(seconds: float) -> str:
    """A length of time for people: `34 s`, `12 min 05 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def moment(text: str) -> str:
    """An ISO instant for people."""
    return clean(text[:16].replace("T", " ") + " UTC", limit=40)


def _row(folder: SuiteDirectory, item: Item, verdict: Verdict | None, when: Since | None) -> ItemRow:
    last = item.last
    reasons = last.reasons if last else [item.left]
    run = RunDirectory(Path(last.run_dir)) if last else None
    return ItemRow(
        slug=clean(item.entry.slug),
        title=clean(item.entry.title),
        word=standing(item),
        reasons=tuple(clean(one, limit=600) for one in reasons if one),
        claims=tuple(_claim(one) for one in verdict.findings[:CLAIMS_MAX]) if verdict else (),
        attempts=tuple(_attempt(folder, one) for one in item.attempts),
        duration_s=sum(one.duration_s for one in item.attempts),
        target_seconds=sum(one.target_seconds for one in item.attempts),
        settings=tuple(clean(one) for one in item.entry.settings),
        since=when,
        href=_href(folder, run.report_html) if run else "",
        incident_href=_href(folder, run.incident) if run else "",
        repeat=clean(verdict.repeat, limit=2000) if verdict else "",
        notes=tuple(_notes(item)),
    )


def _notes(item: Item) -> list[str]:
    counted = item.counted
    notes = []
    if len(counted) > 1:
        first, then = counted[0].outcome, counted[-1].outcome
        notes.append(f"{first} at first ({clean('; '.join(counted[0].reasons[:2]), limit=400)}), {then} when repeated")
    if item.not_repeated:
        notes.append(f"not repeated: {clean(item.not_repeated)}")
    if any(one.outcome == INTERRUPTED for one in item.attempts):
        notes.append("a run of it was cut off, and is kept as it was left")
    for one in item.attempts:
        notes += [f"not recorded by {who}: {clean(problem)}" for who, problem in one.recorded.items() if problem]
    return notes


def _attempt(folder: SuiteDirectory, one: Attempt) -> AttemptRow:
    return AttemptRow(
        run_id=clean(one.run_id),
        outcome=one.outcome or INTERRUPTED,
        started=moment(one.started_at),
        duration=minutes(one.duration_s) if one.duration_s else DASH,
        because=clean(one.because),
        reason=clean("; ".join(one.reasons[:2]), limit=600),
        href=_href(folder, RunDirectory(Path(one.run_dir)).report_html),
    )


def _claim(one: Finding) -> ClaimRow:
    if one.bound is None:
        found = f"found {clean(one.found or DASH)}, wanted {clean(', '.join(one.accepted))}, n {count(one.n)}"
    else:
        found = (
            f"{quantity(one.estimate, one.unit, apart_from=(one.bound,))}, 95 % interval "
            f"{interval(one.low, one.high, one.unit, bound=one.bound)}, bound {sign(one.op)} "
            f"{quantity(one.bound, one.unit)}, n {count(one.n)}"
        )
    return ClaimRow(
        claim=clean(one.claim),
        outcome=str(one.outcome),
        numbers=found,
        reason=clean(one.reason, limit=600),
        cause=clean(one.cause.sentence, limit=600) if one.cause else "",
    )


def _verdict(attempt: Attempt | None) -> Verdict | None:
    if attempt is None:
        return None
    try:
        return read_verdict(RunDirectory(Path(attempt.run_dir)).verdict)
    except InputError:
        return None


def _href(folder: SuiteDirectory, path: Path) -> str:
    """*path* as a relative link from the summary, so that the whole of reports/ can be moved; "" if it is not there."""
    if not path.exists():
        return ""
    return urllib.parse.quote(os.path.relpath(path, folder.path.resolve()))


def _key_facts(state: SuiteState, came_to: SuiteOutcome) -> tuple[tuple[str, str], ...]:
    counts = ", ".join(f"{number} {word}" for word, number in came_to.counts.items())
    damage = f"{damage_of(state):,.0f}{f' of {state.target_seconds:,.0f}' if state.target_seconds else ''}"
    rows = [
        ("Experiments", f"{len(state.items)}: {counts}" if counts else "none"),
        ("Environment", clean(state.environment, limit=60)),
        ("Started", moment(state.started_at)),
        ("Took", minutes(state.spent_s) + (f" of {minutes(state.wall_time_s)}" if state.wall_time_s else "")),
        ("Injected", f"{damage} target-seconds"),
    ]
    if state.deadline_s is not None:
        rows.append(("Deadline", moment(dt.datetime.fromtimestamp(state.deadline_s, dt.UTC).isoformat())))
    if state.jobs > 1:
        rows.append(("At once", f"up to {state.jobs}"))
    if state.sessions > 1:
        rows.append(("Resumed", f"{state.sessions - 1} time{'s'[: state.sessions > 2]}"))
    return tuple(rows)
