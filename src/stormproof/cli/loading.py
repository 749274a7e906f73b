"""`stormproof load worker`: this machine's share of a load whose conductor is elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from stormproof.errors import InputError, UsageError

load = typer.Typer(help="Load from more than one machine.", no_args_is_help=True)


@load.callback()
def _root() -> None:
    """Load from more than one machine."""


@load.command("worker")
def worker(
    locustfile: Annotated[Path, typer.Argument(help="The same locustfile as the experiment's.", show_default=False)],
    connect: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the conductor listens.", show_default=False)],
    token_file: Annotated[Path, typer.Option(help="The same content as the conductor's.", show_default=False)],
    source: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Which address of this machine to call from.", show_default=False),
    ] = None,
    wait: Annotated[str, typer.Option(help="For how long to try while nobody listens.")] = "60s",
) -> int:
    """Be one load worker of a run that goes on elsewhere, from joining it to its end.

    The run's environment file has `load_workers`. The load goes where the conductor says, so give the token to nobody
    who may not choose that. Without its conductor the load ends within a second.
    """
    from stormproof.load.recruit import Posting, serve
    from stormproof.load.token import read_token

    host, port = _address(connect)
    if not locustfile.is_file():
        raise UsageError(f"{locustfile}: there is no such locustfile")
    posting = Posting(
        host=host,
        port=port,
        token=read_token(token_file),
        locustfile=locustfile.resolve(),
        source=source,
        wait_s=_seconds(wait),
    )
    serve(posting)
    sys.stderr.write("the load is over, and the conductor has all that was measured\n")
    return 0


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"--connect {text}: expected HOST:PORT", hint="the run says where it listens")
    return host, int(port)


def _seconds(text: str) -> float:
    from stormproof.spec.quantity import parse_duration

    try:
        return parse_duration(text)
    except InputError as error:
        raise UsageError(f"--wait {text}: expected {error.expected}", hint=error.hint) from error
