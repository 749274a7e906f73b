"""`stormproof proxy config`: the side-car's configuration, from an environment file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from stormproof.cli.environments import find_environment
from stormproof.cli.printing import print_json
from stormproof.errors import UsageError

proxy = typer.Typer(help="The side-car that a workload in AWS calls its dependencies through.", no_args_is_help=True)


@proxy.callback()
def _group() -> None:
    """The side-car that a workload in AWS calls its dependencies through."""


@proxy.command("config")
def config(
    env: Annotated[str, typer.Option(help="An environment of kind aws: its name, or its file.")],
    out: Annotated[
        Path | None, typer.Option(help="The folder to write to; without, `proxy.directory` of the file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int:
    """Write what the side-car reads, and say how it is started and how the workload is told of it. Asks nobody."""
    from stormproof.proxy.sidecar import command_line, sidecar_files, workload_settings
    from stormproof.record.atomic import write_json
    from stormproof.spec.environment_file import load_environment

    path = Path(env)
    if path.suffix == ".yaml":
        file = load_environment(path.parent, path.stem)
    else:
        file = find_environment(env, spec=Path(), lab_overrides={})
    if file.cloud is None:
        raise UsageError(f"--env {env}: expected an environment of kind aws; the lab has an Envoy of its own")
    files = sidecar_files(file.cloud)
    assert file.cloud.sidecar is not None, "or there would be no files"
    folder = out or Path(file.cloud.sidecar.directory)
    try:
        (folder / "arrivals").mkdir(parents=True, exist_ok=True)
        for name, document in files.items():
            write_json(folder / name, document)
    except OSError as error:
        raise UsageError(f"{folder}: expected a folder that can be written to, got {error.strerror}") from error
    start, settings = command_line(file.cloud.sidecar), workload_settings(file.cloud)
    if as_json:
        print_json({"folder": str(folder), "files": sorted(files), "start": start, "workload": settings})
        return 0
    typer.echo(f"{len(files)} files in {folder}")
    typer.echo(f"start it as: {shlex.join(start)}")
    for name, url in settings.items():
        typer.echo(f"the workload calls {name}{'=' if name.isupper() else ' at '}{url}")
    return 0
