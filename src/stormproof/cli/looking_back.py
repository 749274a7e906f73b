"""`stormproof history …`: what the experiments came to, night after night."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from stormproof.cli.bundling import REPORTS, JsonOption
from stormproof.cli.printing import STYLE, console, print_json, value
from stormproof.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stormproof.history.drift import TrackDrift
    from stormproof.history.series import Track
    from stormproof.model.verdict import Outcome

MARKS = {"held": "✓", "refuted": "✗", "inconclusive": "?", "invalid": "∅", "aborted": "■"}
STRIP = 30  # runs in a line of the terminal


class _ShowUnlessNamed(TyperGroup):
    """`stormproof history az-loss` is `stormproof history show az-loss`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `show` first unless a command, or the help, is asked for."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["show", *args]
        return super().parse_args(ctx, args)


history = typer.Typer(
    help="What every run found, night after night; `history [SLUG]` is `history show [SLUG]`.", cls=_ShowUnlessNamed
)

ReportsOption = Annotated[Path, typer.Option("--reports", help="Where the runs are, and `history.sqlite`.")]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url", help="The database instead: sqlite:///FILE or postgresql://… (default: $STORMPROOF_HISTORY_URL)"
    ),
]
EnvOption = Annotated[str | None, typer.Option("--env", help="Only of this environment.")]
LastOption = Annotated[int, typer.Option("--last", min=1, max=3650, help="How many nights back.")]
HtmlOption = Annotated[Path | None, typer.Option("--html", help="Write the page for people there, too.")]


@history.command("show")
def show(
    slug: Annotated[str | None, typer.Argument(help="An experiment; without one, all.", show_default=False)] = None,
    env: EnvOption = None,
    reports: ReportsOption = REPORTS,
    url: UrlOption = None,
    last: LastOption = 60,
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show what each experiment came to, the newest run last; of one experiment, every claim. Exit code 0."""
    from stormproof.history.document import history_document

    found = _tracks(slug, env, reports, url)
    if html is not None:
        _write_page(html, found, last, reports, url)
    if as_json:
        print_json(history_document(found, last=last))
    elif slug is not None:
        for track in found:
            _print_track(track, last)
    elif html is None:
        _print_overview(found)
    return 0


@history.command("drift")
def drift(
    slug: Annotated[str | None, typer.Argument(help="An experiment; without one, all.", show_default=False)] = None,
    env: EnvOption = None,
    reports: ReportsOption = REPORTS,
    url: UrlOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 69 when something moved tonight.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Say what moved on the newest night, whose change it was, and what moved before. Exit 0, unless --strict."""
    from stormproof.history.document import drift_document
    from stormproof.history.drift import drift_of

    found = [drift_of(track) for track in _current(_tracks(slug, env, reports, url))]
    if as_json:
        print_json(drift_document(found))
    else:
        _print_drift(found)
    return UnavailableError.exit_code if strict and any(one.tonight for one in found) else 0


@history.command("import")
def import_(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR…", help="Run directories, or folders of them.")],
    reports: ReportsOption = REPORTS,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> int:
    """Put the runs in and below each DIR into the history; those that are there already are left alone."""
    from stormproof.history.recorder import record, run_directories

    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder}: expected a folder, got nothing there")
    paths = list(dict.fromkeys(path for folder in folders for path in run_directories(folder)))
    done = record(paths, reports=reports, url=url, skip_unfinished=True)
    counted = {word: sum(one == word for _, one in done.done) for word in ("added", "changed", "known")}
    if as_json:
        left = [{"path": str(path), "reason": reason} for path, reason in done.left_out]
        print_json(counted | {"runs": dict(done.done), "left_out": left})
        return 0
    for path, reason in done.left_out:
        sys.stderr.write(f"left out: {path}: {reason}\n")
    typer.echo(", ".join(f"{count} {word}" for word, count in counted.items()))
    return 0


def _tracks(slug: str | None, env: str | None, reports: Path, url: str | None) -> list[Track]:
    from stormproof.history.query import read_history
    from stormproof.history.series import tracks

    found = tracks(read_history(reports, url=url, slug=slug, environment=env))
    if slug is not None and not found:
        known = sorted({one.slug for one in tracks(read_history(reports, url=url, environment=env))})
        raise UsageError(
            f"history {slug}: there is no run of it",
            hint=f"there is of: {', '.join(known)}" if known else "stormproof history import reports/",
        )
    return found


def _current(found: Sequence[Track]) -> list[Track]:
    """Of each experiment and place the newest conditions only: what is no longer run does not move."""
    return list({(one.slug, one.environment, one.variant): one for one in reversed(found)}.values())[::-1]


def _print_drift(found: Sequence[TrackDrift]) -> None:
    from rich.text import Text

    from stormproof.history.wording import notes, shouts

    out, loud = console(), shouts(found)
    out.print(Text(f"{len(loud)} moved tonight" if loud else "nothing moved tonight", style="bold"))
    for line in loud:
        out.print(Text(f"  {line}", style="red"))
    for one in found:
        for watched in (*one.claims, *one.measures):
            for _, said in notes(watched):
                out.print(Text(f"{one.track.name}: {watched.name}", style="dim"))
                out.print(Text(f"  {said}"))
    missing = max((watched.waiting for one in found for watched in one.claims), default=0)
    if missing:
        out.print(Text(f"not everything is watched yet: up to {missing} more nights are needed", style="dim"))


def _write_page(html: Path, found: Sequence[Track], last: int, reports: Path, url: str | None) -> None:
    from stormproof.history.database import database_url, shown
    from stormproof.history.page import render_trends
    from stormproof.record.atomic import write_text

    write_text(html, render_trends(found, last=last, made_of=shown(database_url(reports, url))))
    sys.stderr.write(f"{html}\n")


def _print_overview(found: Sequence[Track]) -> None:
    from rich.table import Table
    from rich.text import Text

    if not found:
        sys.stderr.write("no runs yet: stormproof history import reports/\n")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("", "experiment", "environment", "newest run", "runs, the newest last"):
        table.add_column(column, overflow="fold")
    for track in found:
        newest = track.runs[-1]
        strip = Text()
        for run in track.runs[-STRIP:]:
            strip.append(MARKS[run.verdict], style=STYLE[run.verdict])
        where = ", ".join(part for part in (track.environment, track.variant) if part)
        table.add_row(_word(newest.verdict), Text(track.slug), Text(where), Text(newest.run_id), strip)
    console().print(table)


def _print_track(track: Track, last: int) -> None:
    from rich.table import Table
    from rich.text import Text

    from stormproof.history.series import finding_on

    out = console()
    out.print(Text(f"\n{track.name}: {track.title}", style="bold"))
    for number, claim in enumerate(track.claims, start=1):
        out.print(Text(f"  {number}  {claim}"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("", "run", *(str(number) for number in range(1, len(track.claims) + 1))):
        table.add_column(column, justify="right" if column.isdigit() else "left", overflow="fold")
    for run in track.runs[-last:]:
        cells = []
        for claim in track.claims:
            one = finding_on(run, claim)
            text = "" if one is None else one.found or value(one.estimate, one.unit)
            cells.append(Text(text, style="" if one is None else STYLE[one.verdict]))
        table.add_row(_word(run.verdict), Text(run.run_id), *cells)
    out.print(table)


def _word(outcome: Outcome) -> Any:
    from rich.text import Text

    return Text(str(outcome), style=STYLE[outcome])
