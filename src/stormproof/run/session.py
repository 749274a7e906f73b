"""One run from plan to finished record: the directory, the lock, the conductor, `run.json`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stormproof.faults.aws import simulated_environment
from stormproof.faults.outstanding import refuse_if_any
from stormproof.model.environment import Environment
from stormproof.model.experiment import Experiment
from stormproof.model.guardrails import Guardrails
from stormproof.model.load_listener import LoadListener
from stormproof.model.plan import RunPlan
from stormproof.record.atomic import write_json, write_text
from stormproof.record.layout import RunDirectory, new_run_id
from stormproof.record.redact import redact
from stormproof.run.conductor import Conductor
from stormproof.run.lease import environment_lease, refuse_if_open
from stormproof.run.lock import environment_lock, lock_name
from stormproof.run.metadata import About, describe_run, now_text
from stormproof.run.notice import Notice
from stormproof.run.patience import undo_s_max
from stormproof.run.people import People
from stormproof.run.plain import play_plain
from stormproof.run.progress import Progress

# Where AWS clients of a plain experiment point when no lab is up: nobody answers there.
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the caller asked for, beside the spec itself."""

    spec_document: Mapping[str, Any]  # the spec after `--set`, as plain data
    source: Path  # the file it came from
    overrides: Mapping[str, str]
    out: Path  # the folder runs go to
    run_id: str | None = None  # chosen by a suite, so that it knows the run whatever becomes of either


def run_experiment(
    experiment: Experiment,
    environment: Environment,
    plan: RunPlan,
    asked: Asked,
    progress: Progress,
    *,
    guardrails: Guardrails,
    load_workers: LoadListener | None = None,
) -> tuple[RunDirectory, People]:
    """Play *experiment* once; the run directory holds everything when this returns, except the verdict.

    With it who is to be told of that.
    """
    run_id = asked.run_id or new_run_id(experiment.slug)
    run = RunDirectory(asked.out.resolve() / experiment.slug / run_id)
    longest_s = experiment.limits.duration_s + 2 * undo_s_max(plan.faults)
    notice = Notice.of(experiment, environment, plan.faults, run, guardrails)
    people = People.of(environment, notice, ledger=run.ledger, say=progress.say)
    with (
        environment_lock(lock_name(environment), run=run.path, duration_s_max=longest_s),
        environment_lease(environment, run=run.path) as lease,
    ):
        refuse_if_any(lock_name(environment))
        refuse_if_open(environment.name, environment.aws)
        run.create()
        about = About(
            run_id=run_id,
            slug=experiment.slug,
            title=experiment.title,
            why=experiment.why,
            kind="experiment",
            seed=plan.seed,
            overrides=asked.overrides,
            reliability=experiment.reliability,
            source=asked.source,
        )
        document = describe_run(about, environment)
        write_json(run.run_json, document)
        write_text(run.spec, yaml.safe_dump(redact(dict(asked.spec_document)), sort_keys=False, allow_unicode=True))
        write_json(run.plan, redact(dict(plan.experiment)))
        write_json(run.environment, redact(dataclasses.asdict(environment)))
        progress.say(f"run      {run.path}")
        Conductor(
            experiment=experiment,
            environment=environment,
            plan=plan,
            run=run,
            progress=progress,
            process_environment=child_environment(environment),
            environment_key=lock_name(environment),
            guardrails=guardrails,
            load_workers=load_workers,
            people=people,
            lease_lost=lease.lost,
        ).conduct()
        write_json(run.run_json, {**document, "ended_at": now_text()})
    return run, people


def run_plain(
    document: Mapping[str, Any],
    environment: Environment | None,
    asked: Asked,
    progress: Progress,
    *,
    guardrails: Guardrails,
) -> RunDirectory:
    """Play a plain Chaos Toolkit experiment once, with no load and no faults of ours."""
    slug = _slug(str(document["title"]))
    run_id = new_run_id(slug)
    run = RunDirectory(asked.out.resolve() / slug / run_id).create()
    about = About(
        run_id=run_id,
        slug=slug,
        title=str(document["title"]),
        why=str(document.get("description", "")),
        kind="chaostoolkit",
        seed=0,
        overrides=asked.overrides,
        reliability=(),
        source=asked.source,
    )
    described = describe_run(about, environment)
    write_json(run.run_json, described)
    write_text(run.spec, yaml.safe_dump(redact(dict(document)), sort_keys=False, allow_unicode=True))
    # The player needs what was written, not what may be shown: its own copy lives only as long as the run.
    progress.say(f"run      {run.path}")
    play_plain(document, run, progress, process_environment=child_environment(environment), guardrails=guardrails)
    write_json(run.run_json, {**described, "ended_at": now_text()})
    return run


def child_environment(environment: Environment | None) -> dict[str, str]:
    """The process environment of a run's children: in a simulated one, nothing real can be reached with it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    if environment is None:
        return {**inherited, **simulated_environment(NOWHERE, "us-east-1"), "PYTHONUNBUFFERED": "1"}
    if environment.simulated:
        endpoint = environment.aws.endpoint_url or NOWHERE
        return {
            **inherited,
            **simulated_environment(endpoint, environment.aws.region),
            "PYTHONUNBUFFERED": "1",
        }
    return {**os.environ, "PYTHONUNBUFFERED": "1"}


def _slug(title: str) -> str:
    words = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in title.lower()).split()
    return "-".join(words)[:60].rstrip("-") or "experiment"
