"""`stormproof probe …`: one reading, of something that runs or of a record of it."""

from __future__ import annotations

import typer

from stormproof.cli import probing_health, probing_retries

probe = typer.Typer(help="Take one reading of something that runs, or of a record of it.", no_args_is_help=True)
probe.command("health")(probing_health.health)
probe.command("retries")(probing_retries.retries)
