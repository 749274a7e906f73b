"""`stormproof evidence …`: records, grades, bundles, and whether they are what they were."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from stormproof.cli import bundling, publishing
from stormproof.cli.bundling import REPORTS, JsonOption, ReportsOption, SettingsOption
from stormproof.cli.printing import console, print_json
from stormproof.errors import SpecError, UsageError

evidence = typer.Typer(help="Evidence for the Well-Architected Reliability pillar.", no_args_is_help=True)

EnvOption = Annotated[
    list[str] | None, typer.Option("--env", help="An environment; several of real ones. (default: every real one)")
]
SPECS = Path("experiments")


@evidence.command("record")
def record(
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="RUN_DIR", help="Runs; without any, all under --reports.")
    ] = None,
    reports: ReportsOption = REPORTS,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> int:
    """Write a record for each finished run that has none: held, refuted, inconclusive, invalid, aborted alike."""
    from stormproof.evidence.recorder import find_runs, record_runs
    from stormproof.evidence.settings import load_settings

    given = runs or []
    done = record_runs(
        given or find_runs(reports), reports=reports, settings=load_settings(settings), even_unfinished=bool(given)
    )
    rows = [
        {
            "run_id": link.record["run_id"],
            "environment": link.record["scope"]["environment"],
            "sequence": link.sequence,
            "verdict": link.record["result"]["verdict"],
            "counts": link.record["potency"]["counts"],
            "why_not": link.record["potency"]["reasons"],
            "sha256": link.sha256,
        }
        for link in done.links
    ]
    if as_json:
        print_json({"recorded": rows, "unfinished": [str(path) for path in done.unfinished]})
        return 0
    for row in rows:
        why = "" if row["counts"] else f"  does not count: {'; '.join(row['why_not'])}"
        typer.echo(f"{row['environment']} {row['sequence']:>6}  {row['verdict']:<12} {row['run_id']}{why}")
    sys.stderr.write(f"{len(rows)} run(s) recorded, {len(done.unfinished)} not finished yet\n")
    return 0


@evidence.command("coverage")
def coverage(
    env: EnvOption = None,
    reports: ReportsOption = REPORTS,
    specs: Annotated[Path, typer.Option("--specs", help="Where the experiments are.")] = SPECS,
    settings: SettingsOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the pillar as an HTML page there, too.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="Grade as on that day. (default: now)")] = None,
    running: Annotated[
        str | None,
        typer.Option(help="What runs now: VERSION or VERSION@TOPOLOGY. (default: as in the newest run)"),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Grade the evidence for each best practice of the pillar; say what is stale, contradicted, missing, and next."""
    from stormproof.evidence.coverage import coverage as cover
    from stormproof.evidence.coverage import now_for
    from stormproof.evidence.page import render_coverage
    from stormproof.evidence.settings import load_settings
    from stormproof.record.atomic import write_text

    said = load_settings(settings)
    records = _records(reports, _chosen(reports, env))
    version, _, topology = (running or "").partition("@")
    now = now_for(records, said, at=_instant(as_of), workload_version=version or None, topology_digest=topology or None)
    document = cover(records, said, now, specified=_specified(specs), unrecorded=_unrecorded(reports))
    if out is not None:
        write_text(out, render_coverage(document))
        sys.stderr.write(f"{out}\n")
    if as_json:
        print_json(document)
    elif out is None:
        _print_coverage(document)
    return 0


evidence.command("bundle")(bundling.bundle)
evidence.command("verify")(bundling.verify)
evidence.command("anchor")(bundling.anchor)


evidence.command("publish")(publishing.publish)


def _chosen(reports: Path, env: Sequence[str] | None) -> list[str]:
    """The environments to read: those given; else every real one; else the one that there is."""
    from stormproof.evidence.chain import environments, read_links, store_of
    from stormproof.evidence.simulation import is_simulated

    there = environments(reports)
    if unknown := [name for name in env or () if name not in there]:
        raise UsageError(
            f"--env {unknown[0]}: there is no evidence of it under {reports}",
            hint=f"there is of: {', '.join(there)}" if there else "stormproof evidence record",
        )
    if env:
        return list(dict.fromkeys(env))
    links = {name: read_links(store_of(reports, name)) for name in there}
    real = [name for name, found in links.items() if found and not is_simulated(found[0].record)]
    if not real and there:
        sys.stderr.write("there is no evidence of a real environment; what follows is of an emulated one\n")
        return there[:1]
    return real


def _records(reports: Path, names: Sequence[str]) -> list[Mapping[str, Any]]:
    from stormproof.evidence.chain import read_links, store_of
    from stormproof.evidence.simulation import refuse_mixture

    records = [link.record for name in names for link in read_links(store_of(reports, name))]
    refuse_mixture(records, where="--env")
    return records


def _specified(specs: Path) -> dict[str, list[str]]:
    """Choice id → the experiments that name it; files that cannot be read are named on stderr, and left out."""
    from stormproof.spec.document import read_document
    from stormproof.spec.loader import slug_of

    found: dict[str, list[str]] = {}
    for path in sorted(specs.glob("*/experiment.yaml")):
        try:
            named = read_document(path).value.get("reliability") or []
        except SpecError as error:
            sys.stderr.write(f"left out: {error.message}\n")
            continue
        for choice_id in named if isinstance(named, list) else ():
            found.setdefault(str(choice_id), []).append(slug_of(path))
    return found


def _unrecorded(reports: Path) -> int:
    from stormproof.evidence.chain import environments, store_of
    from stormproof.evidence.recorder import find_runs

    named = {
        path.stem.partition("-")[2]
        for name in environments(reports)
        for path in store_of(reports, name).records.iterdir()
    }
    return sum(1 for path in find_runs(reports) if path.name not in named)


def _instant(text: str | None) -> dt.datetime:
    if text is None:
        return dt.datetime.now(dt.UTC)
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--as-of {text}: expected a day, as in 2026-11-25") from error
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def _print_coverage(document: Mapping[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    if document["simulated"]:
        out.print(Text("SIMULATED: of the lab, and no evidence of any real workload", style="bold red"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("", "best practice", "grade", "newest run", "age", "gap", "next"):
        table.add_column(column, justify="right" if column == "age" else "left", overflow="fold")
    for row in sorted(document["practices"], key=lambda one: one["practice"]):
        newest, word = row["newest"], row["grade"]
        marks = [name for name in ("contradicted", "stale") if row[name]]
        age = "" if newest is None or newest["age_days"] is None else f"{newest['age_days']:.0f} d"
        table.add_row(
            Text(row["practice"]),
            Text(row["title"]),
            Text(", ".join([word, *marks]), style="bold red" if row["contradicted"] else ""),
            Text(f"{newest['verdict']} {newest['run_id']}" if newest else "–"),
            Text(age),
            Text("; ".join(row["gaps"])),
            Text(row["next"]),
        )
    out.print(table)
    counts = ", ".join(f"{count} {name}" for name, count in document["summary"].items())
    runs = document["runs"]
    out.print(Text(f"\n{counts}; {runs['recorded']} runs recorded, {runs['counted']} count"))
    if runs["unrecorded"]:
        sys.stderr.write(f"{runs['unrecorded']} run(s) have no record: stormproof evidence record\n")
