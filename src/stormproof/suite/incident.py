"""The post-incident record of a refuted run, as Markdown for people to finish: `incident.md` in the run directory.

Drafted once, from the run's directory alone, and then people's: nothing here writes over a word of theirs. Foreign text
is redacted and escaped, so it can neither leak nor turn into mark-up, links or the marks that `retest` looks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormproof.model.verdict import Outcome
from stormproof.record.atomic import write_text
from stormproof.record.redact import redact
from stormproof.report.facts import Facts, number, read_facts
from stormproof.report.notation import clean, count, quantity
from stormproof.report.page import Page, assemble
from stormproof.report.page_markdown import code, escape, prose
from stormproof.verdict.document import read_verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stormproof.record.layout import RunDirectory

MARK = "<!-- stormproof:incident 1 {run_id} -->"
TO_BE_WRITTEN = "*To be written by the people who know.*"
RETEST = """This record is closed, by a section that is appended below, when a later run in the same environment has the
same faults in its spec and every claim that was refuted here is held. To repeat the run:"""
ROWS_MAX = 40  # of the timeline; the report has more
ENDPOINTS_MAX = 12
FILES = ("report.html", "verdict.json", "events.jsonl", "samples", "SHA256SUMS")


def draft(run: RunDirectory) -> bool:
    """Write the draft for *run* if it was refuted and has none; whether one was written."""
    if run.incident.exists():
        return False
    if read_verdict(run.verdict).outcome is not Outcome.REFUTED:
        return False
    write_text(run.incident, render(read_facts(run)))
    return True


def render(facts: Facts) -> str:
    """The draft for the run in *facts*; same facts, same text."""
    page = assemble(facts)
    sections = [
        MARK.format(run_id=page.run_id),
        f"# Post-incident record: {_say(page.title)}",
        _about(page),
        "## What happened",
        _what(page),
        "## Timeline",
        _timeline(page),
        "## Impact",
        *_impact(facts, page),
        "## Evidence",
        *_evidence(page),
        "## Contributing factors",
        TO_BE_WRITTEN,
        _bullets(
            (
                "What made it possible? (design, configuration, an assumption that no longer held)",
                "What made it worse, or last longer?",
                "What kept it from being worse?",
                "Why did nobody know before?",
            )
        ),
        "## Actions",
        TO_BE_WRITTEN,
        _table(("Action", "Owner", "Due", "Done"), [("", "", "", "")]),
        "## Re-test",
        RETEST,
        _code(page.repeat) if page.repeat else "The command was not recorded.",
    ]
    return "\n\n".join(sections) + "\n"


def refuted_claims(page: Page) -> list[str]:
    """The claims that the run refuted, as the spec wrote them."""
    return [one.claim for one in page.findings if one.outcome is Outcome.REFUTED]


def _about(page: Page) -> str:
    simulated = " It was **simulated**: staging on one machine, not AWS." if page.simulated else ""
    changed = " **The run is not as it was sealed.**" if page.changed else ""
    return (
        f"Drafted by Stormproof from run {_code(page.run_id)}, started {_say(page.started or 'at an unknown time')}."
        f"{simulated}{changed} What is marked *to be written* is for people; so is everything else that is wrong here."
    )


def _what(page: Page) -> str:
    broken = _bullets(f"Broken on purpose: {_say(one.what)}" for one in page.faults)
    claims = _table(
        ("Claim", "Came to", "Measured", "95 % interval", "Bound", "Why"),
        [
            (
                _code(one.claim, in_table=True),
                one.outcome.value,
                _say(one.estimate),
                _say(one.interval),
                _say(one.bound),
                prose(str(redact(one.reason))),
            )
            for one in page.findings
            if one.outcome is not Outcome.HELD
        ],
    )
    return "\n\n".join(part for part in (prose(str(redact(page.reason))), broken, claims) if part)


def _timeline(page: Page) -> str:
    heavy = [row for row in page.timeline if row.weight][:ROWS_MAX]
    return _table(
        ("UTC", "Since load", "Who", "What"),
        [(_say(row.clock), _say(row.offset), _say(row.who), _say(row.sentence)) for row in heavy],
    )


def _impact(facts: Facts, page: Page) -> list[str]:
    """In requests, by phase and endpoint; in users as far as the load had any."""
    if facts.tables is None:
        return ["No request was recorded, so nothing can be said in numbers.", TO_BE_WRITTEN]
    rows = facts.tables.endpoints().to_dict("records")
    failed = sum(int(row["failed"]) for row in rows if row["phase"] == "fault" and row["endpoint"] == "(all)")
    table = _table(
        ("Phase", "Endpoint", "Requests", "Failed", "p99"),
        [
            (
                _say(str(row["phase"])),
                "all" if row["endpoint"] == "(all)" else _say(str(row["endpoint"])),
                count(row["n"]),
                count(row["failed"]),
                _say(quantity(row["latency_ms_p99"], "ms")),
            )
            for row in rows[: 3 * ENDPOINTS_MAX]
        ],
    )
    worse = [(one.claim, one.cause) for one in facts.verdict.findings if one.cause is not None]
    lines = [
        f"{_code(claim)}: {count(cause.bad)} of {count(cause.n)} requests were worse than it allows,"
        f" {count(cause.steady_bad)} of {count(cause.steady_n)} in steady."
        for claim, cause in worse
    ]
    lines.append(_users(facts, failed, max([failed, *(cause.bad for _, cause in worse)])))
    recovery = [one for one in page.findings if one.claim.startswith("time to recover")]
    lines += [f"Time to recover: {_say(one.estimate)}." for one in recovery]
    kinds = [f"{_say(one.kind)}: {one.total}" for one in page.failures[:5]]
    return [table, _bullets([*lines, *(["Failed by kind, whole run: " + "; ".join(kinds)] if kinds else [])])]


def _users(facts: Facts, failed: int, worse: int) -> str:
    started = facts.named("load.started")
    users = number(started[0].get("users")) if started else None
    if users:
        each = f", {failed / users:.1f} each on average" if failed else ""
        return (
            f"Users: the load was {count(users)} users; {count(failed)} of their requests failed under the fault{each}."
        )
    return (
        f"Users: the load was a schedule and had none. {count(worse)} requests failed or were too slow under the fault,"
        " so at most as many users; how many of the real ones that would have been is to be written."
    )


def _evidence(page: Page) -> list[str]:
    files = [name for name, _ in page.files if name in FILES]
    parts = [_bullets(f"[{name}]({name})" for name in ("report.html", *files, "SHA256SUMS"))]
    for story in page.causes:
        parts += [f"{_code(claim)}: {prose(str(redact(sentence)))}" for claim, sentence in story.claims]
        parts.append(
            _table(
                ("Row of the samples", "Since load", "Endpoint", "Zone", "Status", "Latency", "Error"),
                [
                    (
                        w.row,
                        _say(w.offset),
                        _say(w.endpoint),
                        _say(w.zone),
                        _say(w.status),
                        _say(w.latency),
                        _say(w.error),
                    )
                    for w in story.worst
                ],
            )
        )
    return parts


def _say(text: str) -> str:
    return escape(clean(redact(text)))


def _code(text: str, *, in_table: bool = False) -> str:
    return code(clean(redact(text), limit=2000), in_table=in_table)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
