"""The commands that touch something, and those that read what they left: run, abort, analyse, report."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stormproof.cli.environments import (
    experiment_environment,
    find_environment,
    refuse_aws,
    running_lab,
    runs_folder,
    writable_folder,
)
from stormproof.cli.printing import print_json, print_verdict
from stormproof.errors import StormproofError, UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stormproof.model.verdict import Verdict
    from stormproof.record.layout import RunDirectory
    from stormproof.run.people import People
    from stormproof.run.progress import Progress
    from stormproof.spec.override import Overrides

SpecArgument = Annotated[Path, typer.Argument(help="The experiment: its file or its folder.", show_default=False)]
RunArgument = Annotated[Path, typer.Argument(help="A run directory.", show_default=False)]
EnvOption = Annotated[str, typer.Option("--env", help="The environment to run in: its name, or its file.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override a value of the spec or of the environment."),
]
OutOption = Annotated[Path | None, typer.Option("--out", help="The folder to write to.", show_default=False)]
RunsOption = Annotated[
    Path | None, typer.Option("--out", help="The runs' folder, where it is not `reports`.", show_default=False)
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Repeat the random choices of an earlier run.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]

ConfirmOption = Annotated[
    str | None, typer.Option("--confirm", help="The phrase that an environment with `confirm: required` wants.")
]


def run(  # noqa: PLR0913, PLR0917 - one parameter an option
    spec: SpecArgument,
    env: EnvOption = "local",
    out: OutOption = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
    seed: SeedOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    confirm: ConfirmOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing.")] = False,
) -> int:
    """Run an experiment and give its verdict.

    Exit code 0 held, 1 refuted, 2 inconclusive, 3 invalid, 4 aborted. SPEC may also be a plain Chaos Toolkit
    experiment (JSON or YAML): it is code (it names modules and programs), so run only what you trust.
    """
    from stormproof.cli.dry_running import show_dry_run
    from stormproof.run.progress import Progress
    from stormproof.spec.chaos import is_chaostoolkit_file
    from stormproof.spec.override import split_overrides

    overrides = split_overrides(set_ or [])
    if dry_run:
        return show_dry_run(spec, env, overrides, seed=seed, as_json=as_json)
    progress = Progress(quiet=quiet)
    if is_chaostoolkit_file(spec):
        return _conclude(_run_chaostoolkit(spec, env, overrides, runs_folder(out), progress), None, as_json=as_json)
    finished, people = _run_spec(spec, env, overrides, runs_folder(out), progress, seed=seed, confirmation=confirm)
    return _conclude(finished, people, as_json=as_json)


def _run_spec(
    spec: Path,
    env: str,
    overrides: Overrides,
    out: Path,
    progress: Progress,
    *,
    seed: int | None,
    confirmation: str | None,
) -> tuple[RunDirectory, People]:
    import datetime as dt
    import secrets
    from dataclasses import replace

    from stormproof.cli.confirming import confirm
    from stormproof.faults import catalogue
    from stormproof.plan.compile import compile_experiment
    from stormproof.plan.resolve import resolve_faults
    from stormproof.run.preflight import preflight
    from stormproof.run.session import Asked, run_experiment
    from stormproof.run.stopping import guarded
    from stormproof.spec.loader import experiment_from, load_document
    from stormproof.suite.keeping import refuse_over_quota

    # Everything that can be wrong with the input is found before anything is started.
    document = load_document(spec, overrides=overrides.spec)
    experiment = experiment_from(document, catalogue=catalogue.argument_models())
    file = find_environment(env, spec=spec, lab_overrides=overrides.lab)
    if overrides.noop and file.cloud is not None and file.cloud.endpoint_url is None:
        raise UsageError("--set fault.noop=true: only where nothing is real", hint="the lab, or an emulator")
    writable_folder(out)
    refuse_over_quota(out)
    with experiment_environment(file, variant_asked="variant" in overrides.lab, seed=seed) as environment:
        experiment = replace(experiment, stop_when=guarded(experiment.stop_when, environment))
        resolved = resolve_faults(experiment, environment)
        for note in preflight(file.guardrails, experiment, resolved, environment, now=dt.datetime.now(dt.UTC)):
            progress.say(f"note     {note}")
        confirm(file.guardrails, environment, experiment, given=confirmation)
        from stormproof.model.plan import RunPlan

        drawn = secrets.randbelow(2**31) if seed is None else seed
        plan = RunPlan(
            faults=resolved,
            noop=overrides.noop,
            seed=drawn,
            experiment=compile_experiment(
                experiment, resolved, noop=overrides.noop, seed=drawn, base_url=environment.base_url
            ),
        )
        asked = Asked(
            spec_document=document.value,
            source=Path(document.file),
            overrides=overrides.as_mapping(),
            out=out,
            run_id=_chosen_run_id(experiment.slug),
        )
        return run_experiment(
            *(experiment, environment, plan, asked, progress),
            guardrails=file.guardrails,
            load_workers=file.load_workers,
        )


def _chosen_run_id(slug: str) -> str | None:
    """The id that a suite has chosen for this run, by a variable: the command that is recorded can be repeated."""
    from stormproof.record.layout import is_run_id

    chosen = os.environ.get("STORMPROOF_RUN_ID")
    if chosen is not None and not is_run_id(chosen, slug):
        raise UsageError(f"STORMPROOF_RUN_ID {chosen!r}: expected an id as a run of {slug} has")
    return chosen


def _run_chaostoolkit(spec: Path, env: str, overrides: Overrides, out: Path, progress: Progress) -> RunDirectory:
    from stormproof.plan.guardrails import check_plain
    from stormproof.run.killswitch import check_kill_switch
    from stormproof.run.session import Asked, run_plain
    from stormproof.spec.chaos import load_chaos_experiment
    from stormproof.suite.keeping import refuse_over_quota

    if overrides.as_mapping():
        raise UsageError("--set cannot change a Chaos Toolkit experiment", hint="it has `configuration` for that")
    file = find_environment(env, spec=spec, lab_overrides={})
    refuse_aws(file, "run of a plain Chaos Toolkit experiment")
    guardrails = file.guardrails
    check_plain(guardrails)
    check_kill_switch(guardrails)
    experiment = load_chaos_experiment(spec)
    writable_folder(out)
    refuse_over_quota(out)
    asked = Asked(spec_document=experiment.document, source=Path(experiment.path), overrides={}, out=out)
    return run_plain(experiment.document, running_lab(), asked, progress, guardrails=guardrails)


def _conclude(finished: RunDirectory, people: People | None, *, as_json: bool) -> int:
    """Judge, tell *people*, report, seal, print; the verdict's exit code, or 70 when something is still broken."""
    from stormproof.faults.ledger import Ledger
    from stormproof.model.verdict import EXIT_CODE
    from stormproof.record.seal import seal
    from stormproof.report.write import write_reports
    from stormproof.run.interrupt import Interrupts
    from stormproof.verdict.assess import assess
    from stormproof.verdict.document import write_verdict

    with Interrupts():  # the run is over: a signal now may not cost it its verdict
        left = [entry.fault_id for entry in Ledger(finished.ledger).outstanding()]
        try:
            verdict = assess(finished)
            write_verdict(finished.verdict, verdict)
        except Exception as error:
            _tell(people, "without a verdict", [str(error)], left=left)
            raise
        _tell(people, str(verdict.outcome), verdict.reasons, left=left)
        write_reports(finished)
        seal(finished)
        _record(finished)
        _print(verdict, finished, as_json=as_json)
    if left:
        raise StormproofError(f"NOT UNDONE: {', '.join(left)}", hint=f"stormproof undo {finished.ledger}")
    return EXIT_CODE[verdict.outcome]


def _tell(people: People | None, word: str, reasons: Sequence[str], *, left: Sequence[str]) -> None:
    if people is not None:
        people.ended(word, reasons, left=left)
        people.settle()


def _record(finished: RunDirectory) -> None:
    """Let everybody have the run who keeps something of it. That one could not is said, and changes no verdict."""
    from stormproof.evidence.settings import EvidenceSettings, load_settings
    from stormproof.suite.after import record_all, recorders

    settings: EvidenceSettings | None
    try:
        settings = load_settings(None)
    except StormproofError as error:
        sys.stderr.write(f"warning: not recorded as evidence: {error.message}\n")
        settings = None
    evidence = settings if settings is not None and settings.record_runs else None
    by = recorders(finished.path.parent.parent, evidence)
    for who, problem in record_all(finished, by).items():
        if problem:
            sys.stderr.write(f"warning: not recorded by {who}: {problem}\n")


def _print(verdict: Verdict, finished: RunDirectory, *, as_json: bool) -> None:
    from stormproof.model.verdict import EXIT_CODE
    from stormproof.verdict.document import to_document

    if as_json:
        print_json(
            {
                **to_document(verdict),
                "exit_code": EXIT_CODE[verdict.outcome],
                "run_dir": str(finished.path),
                "report": str(finished.report_html),
            }
        )
    else:
        print_verdict(verdict, report=short_path(finished.report_html))


def abort(
    run_dir: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="The run to end: its directory or its id.", show_default=False),
    ] = None,
) -> int:
    """End a run that is going on in another terminal: its faults are undone, its verdict is aborted."""
    import signal

    from stormproof.run.lock import holders

    going_on = [one for one in holders() if run_dir is None or _is_meant(run_dir, Path(one["run"]))]
    if not going_on:
        raise UnavailableError("no run is going on" if run_dir is None else f"no run is going on in {run_dir}")
    if len(going_on) > 1:
        runs = ", ".join(str(owner["run"]) for owner in going_on)
        raise UsageError(f"several runs are going on: {runs}", hint="stormproof abort RUN")
    os.kill(int(going_on[0]["pid"]), signal.SIGTERM)
    sys.stderr.write(f"asked {going_on[0]['run']} to end\n")
    return 0


def _is_meant(given: Path, run: Path) -> bool:
    return given.resolve() == run or str(given) == run.name


def analyse(
    run_dir: RunArgument,
    out: OutOption = None,
    as_json: JsonOption = False,
    cluster: Annotated[bool, typer.Option("--cluster", help="Count on dask.distributed, here by default.")] = False,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="With --cluster: a scheduler that runs already.", show_default=False),
    ] = None,
    samples: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The samples, if elsewhere: a folder or s3://…", show_default=False),
    ] = None,
) -> int:
    """Judge a finished run again, from its directory alone. The exit code is the verdict's.

    A sealed run is not written to: where the answer is not the one on record it goes to `revisions/` (or `--out`).
    More samples than fit in memory are counted part by part, and with `--cluster` on several processes or machines.
    """
    from stormproof.model.verdict import EXIT_CODE
    from stormproof.record.atomic import write_bytes
    from stormproof.record.layout import RunDirectory
    from stormproof.record.seal import next_revision, revisions
    from stormproof.verdict.document import dump_verdict

    there = RunDirectory(run_dir).require()
    _warn_of_changes(there)
    verdict = _assess_anywhere(there, cluster=cluster, scheduler=scheduler, samples=samples)
    content = dump_verdict(verdict)
    if out is not None:
        write_bytes(writable_folder(out) / there.verdict.name, content)
    elif not there.verdict.exists():
        write_bytes(there.verdict, content)
    elif there.verdict.read_bytes() != content:
        written = [path for path in (folder / there.verdict.name for folder in revisions(there)) if path.exists()]
        if not written or written[-1].read_bytes() != content:  # asked again: the same answer is kept once
            written.append(next_revision(there) / there.verdict.name)
            write_bytes(written[-1], content)
        sys.stderr.write(f"this is not the verdict on record; written to {written[-1].parent}\n")
    _print(verdict, there, as_json=as_json)
    return EXIT_CODE[verdict.outcome]


def _assess_anywhere(there: RunDirectory, *, cluster: bool, scheduler: str | None, samples: str | None) -> Verdict:
    from stormproof.record.sample_part import parts_at
    from stormproof.verdict.assess import assess

    parts = None if samples is None else parts_at(samples)
    if not cluster and scheduler is None:
        return assess(there, parts=parts)
    from stormproof.analysis.cluster import fold_on_cluster

    with fold_on_cluster(scheduler) as fold_over:
        return assess(there, parts=parts, fold_over=fold_over)


def report(run_dir: RunArgument, out: OutOption = None) -> int:
    """Write report.html, report.md and junit.xml of a finished run again, from its directory alone."""
    from stormproof.record.layout import RunDirectory
    from stormproof.record.seal import next_revision
    from stormproof.report.write import write_reports

    there = RunDirectory(run_dir).require()
    _warn_of_changes(there)
    target = next_revision(there) if there.sums.exists() and there.report_html.exists() else None
    if out is not None:
        target = writable_folder(out)
    for path in write_reports(there, out=target):
        typer.echo(short_path(path))
    return 0


def _warn_of_changes(there: RunDirectory) -> None:
    from stormproof.record.seal import broken

    for sentence in broken(there)[:10]:
        sys.stderr.write(f"warning: since this run was sealed, {sentence}\n")


def short_path(path: Path) -> str:
    """*path* as it is said: from the current folder, if it is under it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
