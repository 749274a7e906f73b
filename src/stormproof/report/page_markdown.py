"""The page as Markdown, short: for a pull request or a chat."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stormproof.report.notation import spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stormproof.report.causes import CauseStory
    from stormproof.report.effect_window import EffectWindow, Instant
    from stormproof.report.page import FindingRow, Page
    from stormproof.report.readings import ReadingTable

LINES_MAX = 5  # rows of a breakdown; the page has more
_SPECIAL = re.compile(r"([\\`*_\[\]<>|~$])")
# What means a heading, a list or a rule, but only where a line begins.
_LEADING = re.compile(r"^([-+#=]|\d+(?=[.)]\s))")
# What forges turn into links and notifications by themselves: a zero-width space after it stops them.
_LIVE = re.compile(r"(@|://|\bwww\.|#(?=\d))")


def escape(text: str) -> str:
    """*text* so that Markdown shows it as it is: one line, no mark-up, no link, nobody notified."""
    return _escaped(" ".join(text.split()))


def _escaped(line: str) -> str:
    one_line = _SPECIAL.sub(r"\\\1", line)
    return _LIVE.sub("\\1\u200b", _LEADING.sub(_harmless, one_line))


def _harmless(leading: re.Match[str]) -> str:
    return f"{leading[1]}\u200b" if leading[1].isdigit() else f"\\{leading[1]}"


def code(text: str, *, in_table: bool = False) -> str:
    """*text* as a code span, with a fence longer than any run of backticks in it."""
    one_line = " ".join(text.split())
    fence = "`" * (max((len(run) for run in re.findall(r"`+", one_line)), default=0) + 1)
    pad = " " if one_line.startswith("`") or one_line.endswith("`") else ""
    span = f"{fence}{pad}{one_line}{pad}{fence}"
    return span.replace("|", "\\|") if in_table else span


def prose(text: str) -> str:
    """*text* escaped, but for the claims in it, which our own sentences put in backticks: those are code spans."""
    parts = spans(" ".join(text.split()))
    return "".join(code(part) if quoted else _escaped(part) for part, quoted in parts)


def block(text: str) -> str:
    """*text* as a fenced block."""
    fence = "`" * max(3, max((len(run) for run in re.findall(r"`+", text)), default=0) + 1)
    return f"{fence}sh\n{text}\n{fence}"


def render_markdown(page: Page) -> str:
    """*page* as a document of a screen or two: verdict, findings, faults, what was unsound, how to repeat."""
    parts = [
        f"## {page.mark} {page.word}: {escape(page.title)}",
        f"**{prose(page.reason)}**",
        *([_bullets(prose(one) for one in page.other_reasons)] if page.other_reasons else []),
        *([escape(page.why)] if page.why else []),
        " · ".join(
            [f"{escape(name)}: {escape(text)}" for name, text in page.key_facts]
            + (["**simulated** (staging on one machine, not AWS)"] if page.simulated else [])
            + (["**this record is not as it was sealed; nothing here proves anything**"] if page.changed else [])
        ),
        "### Findings",
        _findings(page.findings) if page.findings else "No finding.",
        *([f"{page.findings_left_out} more in `verdict.json`."] if page.findings_left_out else []),
        _bullets(f"{code(one.claim)}: {prose(one.reason)}" for one in page.findings if one.reason),
        *(["### Where it went wrong", *(_cause(one) for one in page.causes)] if page.causes else []),
        "### What was broken",
        _faults(page),
        *([_effect_window(page.effect_window)] if page.effect_window else []),
        *(["### What the probes read", *(_reading(one) for one in page.readings)] if page.readings else []),
        "### Was the experiment sound",
        _checks(page),
        "### Repeat",
        block(page.repeat) if page.repeat else "The command was not recorded.",
        f"Run {code(page.run_id)}; `report.html` beside this file has the plot and the tables.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _findings(findings: Sequence[FindingRow]) -> str:
    return _table(
        ("Verdict", "Claim", "Estimate", "95 % interval", "Bound", "n"),
        (
            (
                f"**{one.outcome.value}**",
                code(one.claim, in_table=True),
                escape(one.estimate),
                escape(one.interval),
                escape(one.bound),
                one.n,
            )
            for one in findings
        ),
    )


def _faults(page: Page) -> str:
    lines = []
    for one in page.faults:
        gone = {True: "gone after the undo", False: "**not seen gone**", None: "nothing to undo"}[one.gone]
        when = ", ".join(f"{moment.name} {escape(moment.offset)}" for moment in one.moments)
        felt = "felt" if one.felt else "**not felt**"
        lines.append(f"{escape(one.what)}: {felt}, {gone}{f' ({when})' if when else ''}")
    return _bullets(lines) if lines else "No fault of ours was due or injected."


def _cause(one: CauseStory) -> str:
    """The sentence, the largest rows of the breakdown, and the worst requests."""
    breakdown = _table(
        ("Endpoint", "Zone", "Error", "Bad", "In steady"),
        (
            (
                escape(row.endpoint),
                escape(row.zone),
                escape(row.error),
                f"{row.bad} ({row.share})",
                f"{row.steady_bad} ({row.steady_share})",
            )
            for row in one.lines[:LINES_MAX]
        ),
    )
    worst = "; ".join(
        f"row {w.row} ({w.offset}, {escape(w.endpoint)}, zone {escape(w.zone)}, {w.status}, {w.latency}, "
        f"{escape(w.error)})"
        for w in one.worst
    )
    claims = _bullets(f"{code(claim)}: {escape(sentence)}" for claim, sentence in one.claims)
    return f"{claims}\n\n{breakdown}\n\nThe worst: {worst}."


def _effect_window(one: EffectWindow) -> str:
    def told(instants: Sequence[Instant]) -> str:
        return ", ".join(f"{i.how} {i.at}{f' ({i.after_call})' if i.after_call else ''}" for i in instants)

    return _bullets((f"Onset: {told(one.onset)}", f"End: {told(one.end)}", escape(one.note)))


def _reading(one: ReadingTable) -> str:
    if one.blind:
        return f"{code(one.probe)} saw nothing: {escape(one.blind)}"
    return f"{code(one.probe)}:\n\n" + _bullets(f"{escape(what)}: {escape(text)}" for what, text in one.rows)


def _checks(page: Page) -> str:
    if not page.checks:
        return "No check was recorded."
    return _bullets(
        f"{'ok' if one.ok else '**not ok**'}: {escape(one.name)}: {prose(one.reason)}" for one in page.checks
    )
