"""`stormproof run --dry-run`: every target resolved, every state read, nothing changed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from stormproof.cli.environments import find_environment, planning_environment, running_lab
from stormproof.cli.printing import print_json
from stormproof.errors import LabError, UsageError

if TYPE_CHECKING:
    from stormproof.model.environment import Environment
    from stormproof.spec.override import Overrides


def show_dry_run(spec: Path, env: str, overrides: Overrides, *, seed: int | None, as_json: bool) -> int:
    """Print what a run would change; 0 when it could start now, else the error that it would end with."""
    import datetime as dt
    from dataclasses import replace

    from stormproof.faults import catalogue
    from stormproof.plan.dry_run import dry_run, dry_run_text
    from stormproof.plan.guardrails import phrase
    from stormproof.plan.resolve import resolve_faults
    from stormproof.run.preflight import preflight
    from stormproof.run.stopping import guarded
    from stormproof.spec.chaos import is_chaostoolkit_file
    from stormproof.spec.loader import load_experiment

    if is_chaostoolkit_file(spec):
        raise UsageError(
            "--dry-run needs an experiment of ours: what a plain Chaos Toolkit experiment does, only its code knows",
            hint="chaos run --dry activities",
        )
    experiment = load_experiment(spec, catalogue=catalogue.argument_models(), overrides=overrides.spec)
    file = find_environment(env, spec=spec, lab_overrides=overrides.lab)
    environment = planning_environment(file, seed=seed) if file.cloud else _lab_that_is_up()
    experiment = replace(experiment, stop_when=guarded(experiment.stop_when, environment))
    resolved = resolve_faults(experiment, environment)
    for note in preflight(file.guardrails, experiment, resolved, environment, now=dt.datetime.now(dt.UTC)):
        sys.stderr.write(f"note: {note}\n")
    document = dry_run(experiment, resolved, environment)
    if file.cloud:
        from stormproof.staging.environment import readings

        document["watched"] = readings(environment, now=dt.datetime.now(dt.UTC))
    if file.guardrails.confirm:
        document["confirm"] = phrase(environment, experiment)
        sys.stderr.write(f"note: a run wants the phrase `{document['confirm']}`\n")
    if as_json:
        print_json(document)
    else:
        typer.echo(dry_run_text(document))
    return 0


def _lab_that_is_up() -> Environment:
    environment = running_lab()
    if environment is None:
        raise LabError(
            "a dry run resolves every name against the lab, and starts none: no lab is up", hint="stormproof lab up"
        )
    return environment
