"""`stormproof compile`: an experiment for another player, Chaos Toolkit or AWS FIS."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stormproof.cli.environments import find_environment, planning_environment
from stormproof.cli.printing import print_json
from stormproof.cli.running import EnvOption, SeedOption, SetOption, SpecArgument
from stormproof.errors import UsageError

if TYPE_CHECKING:
    from stormproof.model.environment import Environment
    from stormproof.model.experiment import Experiment

PLAYERS = ("chaostoolkit", "fis")
FORMATS = ("json", "cloudformation")


def compile_(
    spec: SpecArgument,
    to: Annotated[str, typer.Option("--to", help="chaostoolkit, or fis for AWS Fault Injection Service.")],
    env: EnvOption = "local",
    set_: SetOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The file to write, not stdout.", show_default=False)
    ] = None,
    format_: Annotated[
        str,
        typer.Option(
            "--format", metavar="FORMAT", help="With --to fis: json (CreateExperimentTemplate), or cloudformation."
        ),
    ] = "json",
    seed: SeedOption = None,
) -> int:
    """Write the experiment for another player: for `chaos validate` and `chaos run`, or as a template of AWS FIS.

    Plain `chaos run` injects and undoes the same; it drives no load, has no watchdog and gives no verdict. Neither
    does FIS, which bounds its faults itself and stops on the environment's alarms.
    """
    from stormproof.faults import catalogue
    from stormproof.plan.fis import check_fis_has
    from stormproof.record.atomic import write_json
    from stormproof.spec.loader import load_experiment
    from stormproof.spec.override import split_overrides

    if to not in PLAYERS:
        raise UsageError(f"--to {to}: expected {' or '.join(PLAYERS)}")
    if format_ not in FORMATS or (format_ != "json" and to != "fis"):
        raise UsageError(f"--format {format_}: expected json, or with --to fis also cloudformation")
    overrides = split_overrides(set_ or [])
    experiment = load_experiment(spec, catalogue=catalogue.argument_models(), overrides=overrides.spec)
    if to == "fis":
        check_fis_has(experiment)  # before anybody's account is asked
    environment = planning_environment(find_environment(env, spec=spec, lab_overrides=overrides.lab), seed=seed)
    document = _document(experiment, environment, to=to, format_=format_, noop=overrides.noop)
    if out is None:
        print_json(document)
    else:
        write_json(out, document)
        sys.stderr.write(f"{out}: {_use(to, format_)}\n")
    return 0


def _document(experiment: Experiment, environment: Environment, *, to: str, format_: str, noop: bool) -> dict[str, Any]:
    from stormproof.plan.compile import compile_experiment
    from stormproof.plan.fis import cloudformation, compile_fis
    from stormproof.plan.resolve import resolve_faults

    resolved = resolve_faults(experiment, environment)
    if to == "chaostoolkit":
        return compile_experiment(experiment, resolved, noop=noop, seed=0, base_url=environment.base_url)
    if noop:
        raise UsageError("--set fault.noop=true: FIS has `--experiment-options actionsMode=skip-all` for that")
    request = compile_fis(experiment, resolved, environment)
    return cloudformation(request) if format_ == "cloudformation" else request


def _use(to: str, format_: str) -> str:
    if to == "chaostoolkit":
        return "for chaos validate and chaos run"
    if format_ == "cloudformation":
        return "for aws cloudformation deploy --template-file"
    return "for aws fis create-experiment-template --cli-input-json; preview with actionsMode=skip-all"
