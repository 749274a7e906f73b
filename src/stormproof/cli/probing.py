"""`stormproof probe …`: a probe at the command line. Each command stands in a module of its own."""

from __future__ import annotations

import typer

from stormproof.cli import probing_retries

probe = typer.Typer(help="Take one reading of something that runs, or of a record of it.", no_args_is_help=True)
probe.command("retries")(probing_retries.retries)
