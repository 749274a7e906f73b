"""`stormproof lab up|down|status`: staging on one machine."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from stormproof.cli.printing import print_json
from stormproof.errors import LabError, UsageError

lab = typer.Typer(help="The lab: Envoy, moto and a shop in three zones, on this machine.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@lab.command("up")
def up(
    variant: Annotated[str, typer.Option(help="hardened or naive.")] = "hardened",
    as_json: JsonOption = False,
) -> int:
    """Start the lab and leave it running until `lab down`."""
    from stormproof.lab import control, variants

    if variant not in variants.VARIANTS:
        raise UsageError(f"--variant {variant}: expected one of {', '.join(variants.VARIANTS)}")
    folder = control.default_directory()
    environment = control.up(folder, variant=variant, owner=None)
    if as_json:
        print_json(control.status(folder))
    else:
        typer.echo(f"the lab is up ({environment.variant}): {environment.base_url}")
    return 0


@lab.command("down")
def down() -> int:
    """Stop the lab; no process, socket or folder of it is left."""
    from stormproof.lab import control

    control.down(control.default_directory())
    sys.stderr.write("the lab is down\n")
    return 0


@lab.command("status")
def status(as_json: JsonOption = False) -> int:
    """Say whether the lab is whole: every instance healthy, no fault in force. Exit 0 only then, else 69."""
    from stormproof.lab import control

    seen = control.status(control.default_directory())
    if as_json:
        print_json(seen)
    else:
        _describe(seen)
    return 0 if seen["whole"] else LabError.exit_code


def _describe(seen: dict[str, Any]) -> None:
    if not seen["running"]:
        typer.echo("no lab is up")
        return
    typer.echo(f"{'whole' if seen['whole'] else 'NOT WHOLE'} ({seen['variant']})")
    for instance in seen["instances"]:
        health = "healthy" if instance["healthy"] else "UNHEALTHY"
        typer.echo(f"  {instance['zone']}  {instance['id']}  {instance['state']:<8}  {health}")
    for fault in seen["faults"]:
        typer.echo(f"  fault in force: {fault['what']}")
