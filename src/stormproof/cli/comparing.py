"""`stormproof compare`: two runs, finding by finding."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stormproof.cli.bundling import JsonOption
from stormproof.cli.printing import console, print_json, value

if TYPE_CHECKING:
    from stormproof.history.compare import ComparedFinding, Comparison

STYLE = {"better": "bold green", "worse": "bold red", "not comparable": "bold yellow", "no difference seen": ""}


def compare(
    before: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="A run.", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The one to hold against it.", show_default=False)],
    as_json: JsonOption = False,
) -> int:
    """Say what differs between two runs, claim by claim, with a 95 % interval for the difference. Exit code 0.

    Says so when they are not comparable: another experiment, spec or load, or a run that tested nothing.
    """
    from stormproof.history.compare import compare as compare_
    from stormproof.history.compare import comparison_document

    found = compare_(before, after)
    if as_json:
        print_json(comparison_document(found))
    else:
        _print(found)
    return 0


def _print(found: Comparison) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.print(Text(f"before  {found.before.run_id}  {found.before.verdict}"))
    out.print(Text(f"after   {found.after.run_id}  {found.after.verdict}"))
    if found.obstacles:
        out.print(Text("not comparable:", style=STYLE["not comparable"]))
    for reason in found.obstacles:
        out.print(Text(f"  {reason}"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("", "claim", "before", "after", "difference", "95 % interval"):
        table.add_column(column, justify="left" if column in ("", "claim", "95 % interval") else "right")
    for one in found.findings:
        table.add_row(
            Text(str(one.conclusion), style=STYLE[one.conclusion]),
            Text(one.claim),
            *(Text(_side(side)) for side in (one.before, one.after)),
            Text(_signed(one.difference, one.unit)),
            Text(_interval(one)),
        )
    out.print(table)
    for one in found.findings:
        if one.reason and not found.obstacles:
            out.print(Text(f"  {one.claim}: {one.reason}", style="dim"))
    if found.notes:
        out.print(Text("what else differs, and may be the reason:"))
    for note in found.notes:
        out.print(Text(f"  {note}"))


def _side(side: Any) -> str:
    return "–" if side is None else side.found or value(side.estimate, side.unit)


def _signed(number: float | None, unit: str) -> str:
    """A difference; of shares in percentage points."""
    if number is None:
        return "–"
    if number in (float("inf"), float("-inf")):
        return "open"
    if unit == "share":
        return f"{number * 100:+.2f} points".replace("-", "−")
    return f"{'+' if number >= 0 else '−'}{value(abs(number), unit)}"


def _interval(one: ComparedFinding) -> str:
    if one.low is None or one.high is None:
        return "–"
    return f"{_signed(one.low, one.unit)} … {_signed(one.high, one.unit)}"
