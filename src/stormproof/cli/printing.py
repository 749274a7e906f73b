"""What goes to stdout: one JSON document, or a table for people; logs and progress go to stderr."""

from __future__ import annotations

import io
import math
import os
import sys
from typing import TYPE_CHECKING, Any

from stormproof.model.verdict import Finding, Outcome, Verdict

if TYPE_CHECKING:
    from rich.console import Console

    from stormproof.suite.outcome import SuiteOutcome
    from stormproof.suite.state import SuiteState

PIPE_WIDTH = 160

STYLE = {
    Outcome.HELD: "bold green",
    Outcome.REFUTED: "bold red",
    Outcome.INCONCLUSIVE: "bold yellow",
    Outcome.INVALID: "bold magenta",
    Outcome.ABORTED: "bold cyan",
}


def print_json(document: Any) -> None:
    """*document* as the one JSON document on stdout."""
    from stormproof.record.atomic import dump_json

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # JSON is, whatever the terminal is
    sys.stdout.write(dump_json(document).decode())
    sys.stdout.flush()


def console() -> Console:
    """The terminal, or whatever stdout is: without colour where it is none.

    A file, a log or `less` has no 80 columns: what is none gets the width that a table wants, unless COLUMNS says one.
    """
    from rich.console import Console

    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else PIPE_WIDTH
    return Console(highlight=False, soft_wrap=True, width=width)


def print_verdict(verdict: Verdict, *, report: str) -> None:
    """Verdict first, its reasons, then a row a finding."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.print()
    out.print(Text(str(verdict.outcome), style=STYLE[verdict.outcome]), Text(verdict.title))
    for reason in verdict.reasons:
        out.print(Text(f"  {reason}"))
    if verdict.findings:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for column in ("", "claim", "estimate", "95 % interval", "n"):
            table.add_column(column, justify="right" if column in ("estimate", "n") else "left", overflow="fold")
        for finding in verdict.findings:
            table.add_row(
                Text(str(finding.outcome), style=STYLE[finding.outcome]),
                Text(finding.claim),
                finding.found or value(finding.estimate, finding.unit),
                _interval(finding),
                f"{finding.n:,}",
            )
        out.print()
        out.print(table)
    for finding in verdict.findings:
        if finding.outcome is not Outcome.HELD:
            out.print(Text(f"  {finding.claim}: {finding.reason}", style="dim"))
    out.print()
    out.print(Text(f"report  {report}"))
    out.print(Text(f"repeat  {verdict.repeat}"))


def print_suite(state: SuiteState, came_to: SuiteOutcome, *, summary: str) -> None:
    """The worst first and why, then a row an experiment."""
    from rich.table import Table
    from rich.text import Text

    from stormproof.suite.outcome import standing

    def style(word: str) -> str:
        return STYLE[Outcome(word)] if word in set(Outcome) else "bold red"

    out = console()
    out.print()
    out.print(Text(came_to.word, style=style(came_to.word)), Text(came_to.reason))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("", "experiment", "runs", "took", "why"):
        table.add_column(column, justify="right" if column in ("runs", "took") else "left", overflow="fold")
    for item in state.items:
        word, last = standing(item), item.last
        reasons = (last.reasons if last else [item.left]) if word != Outcome.HELD else []
        table.add_row(
            Text(word, style=style(word)),
            Text(item.entry.slug),
            Text(str(len(item.attempts))),
            Text(f"{sum(one.duration_s for one in item.attempts):.0f} s"),
            Text("; ".join(reasons[:1])),
        )
    out.print()
    out.print(table)
    out.print()
    out.print(Text(f"summary  {summary}"))


def value(number: float | None, unit: str) -> str:
    """*number* in *unit*, for people: shares in percent, at a precision that shows what matters."""
    if number is None:
        return "–"
    formats = {
        "share": f"{number:.2%}",
        "ms": f"{number:.0f} ms" if number >= 10 else f"{number:.1f} ms",
        "s": f"{number:.1f} s",
        "/s": f"{number:.1f}/s",
        "count": f"{number:.0f}",
        "ratio": f"{number:.2f}x",
    }
    return formats.get(unit, f"{number:g}")


def _interval(finding: Finding) -> str:
    if finding.confidence is not None:
        return f"confidence {finding.confidence:.2f}"
    if finding.low is None and finding.high is None:
        return "–"
    unbounded = finding.high is None or math.isinf(finding.high)
    high = "not reached" if unbounded else value(finding.high, finding.unit)
    return f"{value(finding.low, finding.unit)} … {high}"
