"""`stormproof suite`: a folder of experiments, one after the other or side by side, and one word at the end."""

from __future__ import annotations

import contextlib
import datetime as dt
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stormproof.cli.environments import (
    await_whole,
    find_environment,
    is_path,
    planning_environment,
    running_lab,
    runs_folder,
    writable_folder,
)
from stormproof.cli.printing import print_json, print_suite
from stormproof.cli.running import EnvOption, JsonOption, OutOption
from stormproof.errors import GuardrailError, StormproofError, UsageError

if TYPE_CHECKING:
    from stormproof.model.environment import Environment
    from stormproof.model.experiment import Experiment
    from stormproof.run.lease import Lease
    from stormproof.run.progress import Progress
    from stormproof.spec.environment_file import EnvironmentFile
    from stormproof.suite.entry import Entry
    from stormproof.suite.settings import NotifyFields, SuiteSettings
    from stormproof.suite.state import SuiteDirectory, SuiteState

Names = list[str] | None
FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of experiments.", show_default=False)]
OnlyOption = Annotated[Names, typer.Option("--only", metavar="SLUG", help="Only this one, and others so named.")]
SkipOption = Annotated[Names, typer.Option("--skip", metavar="SLUG", help="All but this one.")]
TagOption = Annotated[Names, typer.Option("--tag", help="Only those with this tag, or another so named.")]
SuiteSetOption = Annotated[
    Names,
    typer.Option("--set", metavar="[SLUG:]PATH=VALUE", help="Override a value of every spec, or of one."),
]
SettingsOption = Annotated[
    Path | None, typer.Option("--settings", help="Overrides, budgets and who is told, as a file.", show_default=False)
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the command line says of one suite."""

    folder: Path
    env: str
    reports: Path
    only: Sequence[str]
    skip: Sequence[str]
    tag: Sequence[str]
    set_: list[str]
    settings: SuiteSettings
    wall_time_s: float | None
    target_seconds: float | None
    deadline_s: float | None
    jobs: int
    link: str


def suite(  # noqa: PLR0913, PLR0917 - one parameter an option
    folder: FolderArgument,
    env: EnvOption = "local",
    only: OnlyOption = None,
    skip: SkipOption = None,
    tag: TagOption = None,
    set_: SuiteSetOption = None,
    settings: SettingsOption = None,
    out: OutOption = None,
    wall_time: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Start no run that would end later.", show_default=False)
    ] = None,
    target_seconds: Annotated[
        float | None,
        typer.Option(min=1, help="Break no more than that: targets × seconds, all together.", show_default=False),
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option(metavar="INSTANT", help="End by then, as in 06:00 or 2026-11-27T06:00+01:00.", show_default=False),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, max=16, help="Runs at once, where nothing conflicts. (default: 1)")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the newest suite that was cut off.")] = False,
    link: Annotated[
        str | None, typer.Option(metavar="URL", help="Where people find the suite's folder.", show_default=False)
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option(metavar="VARIABLE", help="Tell the webhook in this environment variable.", show_default=False),
    ] = None,
    topic: Annotated[str | None, typer.Option(metavar="ARN", help="Tell this SNS topic.", show_default=False)] = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> int:
    """Run the experiments of a folder and give one word for all of them.

    The exit code is that of the worst: an error (64 and up), then 1 refuted, 4 aborted, 3 invalid, 2 inconclusive (or
    not run for want of time or budget), 0 held. What is invalid or inconclusive is run once more. Writes summary.html
    and junit.xml.
    """
    from stormproof.run.progress import Progress
    from stormproof.suite.settings import load_suite_settings, notify_fields
    from stormproof.suite.webhook import unusable

    said = load_suite_settings(settings)
    given = Given(
        folder=folder,
        env=env,
        reports=runs_folder(out),
        only=only or (),
        skip=skip or (),
        tag=tag or (),
        set_=set_ or [],
        settings=said,
        wall_time_s=_duration(wall_time) if wall_time else said.budget.wall_time,
        target_seconds=target_seconds or said.budget.target_seconds,
        deadline_s=_deadline(deadline),
        jobs=jobs or said.jobs,
        link=link or said.link or "",
    )
    progress = Progress(quiet=quiet)
    notify = notify_fields(said.notify, webhook=webhook, topic=topic)
    if notify.webhook is not None and (problem := unusable(notify.webhook)) is not None:
        sys.stderr.write(f"warning: nobody will be told: {problem}\n")  # now, and not only when the night is over
    there, state = _play(given, notify, progress, resume=resume)
    return _print(there, state, as_json=as_json)


def _play(given: Given, notify: NotifyFields, progress: Progress, *, resume: bool) -> tuple[SuiteDirectory, SuiteState]:
    """Everything that can be wrong with the input is found, and the environment looked at, before the first run."""
    from stormproof.evidence.settings import load_settings
    from stormproof.run.interrupt import Interrupts
    from stormproof.suite.after import recorders
    from stormproof.suite.attempt import UNDO_WITHIN_S
    from stormproof.suite.keeping import refuse_over_quota
    from stormproof.suite.lease import suite_lease
    from stormproof.suite.night import Night
    from stormproof.suite.state import FOLDER, SuiteDirectory, read_state, write_state
    from stormproof.suite.tell import tell
    from stormproof.suite.trend import write_trends
    from stormproof.suite.write import finish, write_pages

    by = recorders(given.reports, load_settings(None))
    writable_folder(given.reports)
    refuse_over_quota(given.reports)
    state = _unfinished(given) if resume else _begun(given)
    there = SuiteDirectory(given.reports / FOLDER / state.suite_id)
    # A run that a killed suite left behind holds its lease until it has undone.
    with (
        suite_lease(state.environment, suite_id=state.suite_id, within_s=UNDO_WITHIN_S if resume else 0.0) as lease,
        _lease_of_all_machines(state) as elsewhere,
    ):
        if resume:
            state = _again(read_state(there), given)
        elif (lab := running_lab()) is not None:
            await_whole(lab)  # sick before the first fault: nothing is begun
        write_state(there, state)
        progress.say(f"suite    {there.path}")
        Night(
            state=state,
            folder=there,
            reports=given.reports,
            lease=lease,
            recorders=by,
            say=progress.say,
            lease_lost=elsewhere.lost if elsewhere else lambda: None,
        ).play()
        with Interrupts():  # it is over: a signal now may not cost it its pages
            if problem := write_trends(there, state):
                progress.say(f"NO TRENDS {problem}")
            write_pages(there, state)
            for who, problem in tell(there, state, notify, reports=given.reports).items():
                progress.say(f"NOT TOLD {who}: {problem}" if problem else f"told     {who}")
            finish(there, state)
    return there, state


@contextlib.contextmanager
def _lease_of_all_machines(state: SuiteState) -> Iterator[Lease | None]:
    """Hold the environment in the bucket that keeps its ledger, where there is one; refuse what is broken there.

    A suite ends when it has lost the lease, as a run does.
    """
    from stormproof.run.lease import SUITE, environment_lease, refuse_if_open

    file = find_environment(state.env, spec=Path(state.items[0].entry.spec), lab_overrides={})
    if file.cloud is None:
        yield None
        return
    environment = planning_environment(file)
    with environment_lease(environment, run=Path(state.suite_id), name=SUITE) as lease:
        refuse_if_open(environment.name, environment.aws)
        yield lease


def _begun(given: Given) -> SuiteState:
    """A new suite: every experiment read, resolved and held against the environment's guardrails."""
    from stormproof.suite.conflict import in_order
    from stormproof.suite.selection import not_chosen, specs_in
    from stormproof.suite.settings import check_names, settings_of
    from stormproof.suite.state import Item, SuiteState, hidden, new_suite_id

    specs = specs_in(given.folder)
    slugs = sorted(specs)
    check_names(given.settings, slugs)
    left_out = not_chosen(_tags(specs), only=given.only, skip=given.skip, tag=given.tag)
    entries: list[Entry] = []
    places: dict[str, Environment] = {}
    for slug in (one for one in slugs if one not in left_out):
        settings = settings_of(slug, given.settings, given.set_, slugs)
        try:
            entries.append(_entry(specs[slug], settings, given.env, places))
        except StormproofError as error:
            error.message = f"{slug}: {error.message}"
            raise
    if not entries:
        raise UsageError(f"no experiment of {given.folder} is left by --only, --skip and --tag together")
    now = dt.datetime.now(dt.UTC)
    return SuiteState(
        suite_id=new_suite_id(_name(given.env), now=now),
        environment=_name(given.env),
        env=given.env,
        source=str(given.folder),
        command=shlex.join(["stormproof", *(hidden(one) for one in sys.argv[1:])]),
        started_at=now.isoformat(timespec="milliseconds"),
        items=[Item(entry=entry) for entry in in_order(entries)],
        not_chosen=left_out,
        jobs=given.jobs,
        repeat=given.settings.repeat,
        wall_time_s=given.wall_time_s,
        target_seconds=given.target_seconds,
        deadline_s=given.deadline_s,
        link=given.link,
    )


def _tags(specs: Mapping[str, Path]) -> dict[str, list[str]]:
    from stormproof.spec.document import read_document

    found = {}
    for slug, path in specs.items():
        tags = read_document(path).value.get("tags")
        found[slug] = [str(one) for one in tags] if isinstance(tags, list) else []
    return found


def _name(env: str) -> str:
    return Path(env).stem if is_path(env) else env


def _entry(spec: Path, settings: Sequence[str], env: str, places: dict[str, Environment]) -> Entry:
    """The experiment in *spec* as part of a suite; *places* are the environments found so far, by file and variant."""
    from stormproof.faults import catalogue
    from stormproof.plan.resolve import resolve_faults
    from stormproof.run.preflight import preflight
    from stormproof.run.stopping import guarded
    from stormproof.spec.loader import load_experiment
    from stormproof.spec.override import split_overrides
    from stormproof.suite.entry import entry_of

    overrides = split_overrides(settings)
    file = find_environment(env, spec=spec, lab_overrides=overrides.lab)
    if file.guardrails.confirm:
        raise GuardrailError(
            f"environment {env!r} wants a person to type a phrase before each run; a suite has nobody to type it",
            hint="an environment file for the nights, reviewed, with other guardrails in the place of `confirm`",
        )
    experiment = load_experiment(spec, catalogue=catalogue.argument_models(), overrides=overrides.spec)
    place = f"{file.path}:{file.variant}"
    environment = places.get(place) or planning_environment(file, say=False)
    places[place] = environment
    experiment = replace(experiment, stop_when=guarded(experiment.stop_when, environment))
    resolved = resolve_faults(experiment, environment)
    preflight(file.guardrails, experiment, resolved, environment, now=dt.datetime.now(dt.UTC))
    workload = _workload(file, environment, experiment, variant_asked="variant" in overrides.lab)
    return entry_of(experiment, resolved, settings=settings, workload=workload)


def _workload(file: EnvironmentFile, environment: Environment, experiment: Experiment, *, variant_asked: bool) -> str:
    """What the run's load will go to: of a lab the one that is up, if the run will use it, else one of its own."""
    if file.cloud is not None:
        return environment.base_url
    lab = running_lab()
    if lab is not None and (not variant_asked or lab.variant == file.variant):
        return lab.base_url
    return f"a lab of its own ({experiment.slug})"


def _unfinished(given: Given) -> SuiteState:
    from stormproof.suite.night import is_finished
    from stormproof.suite.state import suites

    for option, values in (("--only", given.only), ("--skip", given.skip), ("--tag", given.tag), ("--set", given.set_)):
        if values:
            raise UsageError(f"{option}: a suite that is resumed is what it was", hint="leave it out, or begin anew")
    left = [one for one in suites(given.reports, _name(given.env)) if not is_finished(one)]
    if not left:
        raise UsageError(f"--resume: no suite of {given.env!r} under {given.reports} was cut off")
    return left[-1]


def _again(state: SuiteState, given: Given) -> SuiteState:
    """*state* for another session. Raises `UsageError` when it would not be the same suite any more."""
    from stormproof.record.redact import REDACTED
    from stormproof.suite.entry import digest_of

    for item in state.items:
        spec = Path(item.entry.spec)
        if not spec.is_file() or digest_of(spec) != item.entry.spec_sha256:
            raise UsageError(f"{spec}: not what it was when the suite began", hint="begin a new suite")
        if any(REDACTED in one for one in item.entry.settings):
            raise UsageError(f"{item.entry.slug}: a --set held a secret, which was not kept", hint="begin a new suite")
    state.sessions += 1
    if state.stopped:  # what was told was that it was cut off
        state.told = {}
    state.ended_at = None
    state.deadline_s = given.deadline_s or state.deadline_s
    state.wall_time_s = given.wall_time_s or state.wall_time_s
    state.target_seconds = given.target_seconds or state.target_seconds
    state.link = given.link or state.link
    return state


def _print(there: SuiteDirectory, state: SuiteState, *, as_json: bool) -> int:
    from stormproof.suite.outcome import outcome_of
    from stormproof.suite.page import as_document

    came_to = outcome_of(state)
    if as_json:
        print_json(as_document(there, state))
    else:
        print_suite(state, came_to, summary=str(there.summary))
    return came_to.exit_code


def _duration(text: str) -> float:
    from stormproof.errors import InputError
    from stormproof.spec.quantity import parse_positive_duration

    try:
        return parse_positive_duration(text)
    except InputError as error:
        raise UsageError(f"--wall-time {text}: expected {error.expected}") from error


def _deadline(text: str | None) -> float | None:
    from stormproof.suite.budget import next_instant

    if text is None:
        return None
    now = dt.datetime.now().astimezone()
    try:
        found = next_instant(text, now=now)
    except ValueError as error:
        raise UsageError(f"--deadline {text}: expected {error}") from error
    if found <= now:
        raise UsageError(f"--deadline {text}: expected an instant to come")
    return found.timestamp()
