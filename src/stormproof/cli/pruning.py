"""`stormproof reports …`: what the runs take, and which of them may go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from stormproof.cli.environments import runs_folder
from stormproof.cli.printing import print_json
from stormproof.cli.running import JsonOption, RunsOption, short_path
from stormproof.errors import UsageError

if TYPE_CHECKING:
    from stormproof.suite.keeping import Judged

reports = typer.Typer(help="The runs that are kept.", no_args_is_help=True)


@reports.callback()
def _root() -> None:
    """The runs that are kept."""


@reports.command("prune")
def prune(
    out: RunsOption = None,
    keep_days: Annotated[
        int | None,
        typer.Option(min=1, help="Keep those of so many days. (default: keep_days in experiments/reports.yaml)"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete them; without it they are only listed.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Say which runs are older than they are kept, and with --yes delete them. Exit code 0.

    Never one that is going on, that has something left to undo, whose evidence is within its retention, or that has a
    post-incident record.
    """
    import datetime as dt

    from stormproof.suite import keeping

    folder = runs_folder(out)
    days = keep_days or keeping.load_reports_settings().keep_days
    if days is None:
        raise UsageError(
            f"expected keep_days in {keeping.SETTINGS}, got none: nothing is ever too old", hint="--keep-days 90"
        )
    found = keeping.judged(folder, keep_days=days, now=dt.datetime.now(dt.UTC))
    if yes:
        keeping.sweep(folder)
        keeping.prune(found)
    if as_json:
        print_json(_document(found, deleted=yes))
    else:
        _print(found, deleted=yes)
    return 0


def _document(found: list[Judged], *, deleted: bool) -> dict[str, Any]:
    rows = [
        {
            "run": one.stored.run_id,
            "path": str(one.stored.run.path),
            "bytes": one.stored.size_bytes,
            "goes": not one.kept,
            "kept_because": one.kept,
        }
        for one in found
    ]
    return {"runs": rows, "deleted": deleted, "bytes": sum(row["bytes"] for row in rows if row["goes"])}


def _print(found: list[Judged], *, deleted: bool) -> None:
    from stormproof.record.stored import total_bytes
    from stormproof.suite.keeping import size_text

    word = "deleted" if deleted else "would go"
    for one in found:
        said = f"kept      {one.stored.run_id}  {one.kept}" if one.kept else f"{word:<8}  {one.stored.run_id}"
        typer.echo(f"{said}  ({size_text(one.stored.size_bytes)}, {short_path(one.stored.run.path)})")
    going = [one.stored for one in found if not one.kept]
    whole = size_text(total_bytes(one.stored for one in found))
    typer.echo(f"{len(going)} of {len(found)} runs {word}, {size_text(total_bytes(going))} of {whole}")
    if going and not deleted:
        typer.echo("nothing was deleted: --yes does it")
