"""`load_workers:` of an environment file → `LoadListener`."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING

from stormproof.errors import SpecError
from stormproof.model.load_listener import LoadListener
from stormproof.spec.document import Location, dotted

if TYPE_CHECKING:
    from stormproof.spec.document import Document
    from stormproof.spec.fields import LoadWorkersFields

JOIN_WITHIN_S_MAX = 600.0
_AT: Location = ("load_workers",)


def listener_from(fields: LoadWorkersFields | None, document: Document) -> LoadListener | None:
    """Where the workers are awaited; None when they are started here. Raises `SpecError`.

    Without an address in the file nobody outside this machine can reach it.
    """
    if fields is None:
        return None
    if fields.join_within > JOIN_WITHIN_S_MAX:
        expected = f"at most {JOIN_WITHIN_S_MAX / 60:g}m: nobody watches over a run that waits"
        raise _wrong(document, "join_within", expected, f"{fields.join_within / 60:g}m")
    address = _split(fields.listen)
    if address is None:
        raise _wrong(document, "listen", "a port, or an IP address and a port: `10.0.0.5:7571`", f"`{fields.listen}`")
    folder = Path(document.file).resolve().parent
    token_file = folder / Path(fields.token_file).expanduser()
    return LoadListener(host=address[0], port=address[1], token_file=str(token_file), join_within_s=fields.join_within)


def _split(text: str) -> tuple[str, int] | None:
    """``port``, ``IPv4:port`` or ``[IPv6]:port`` as address and port; None for anything else."""
    head, colon, port = text.strip().rpartition(":")
    host = head.removeprefix("[").removesuffix("]") if colon else "127.0.0.1"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return None
    return (host, int(port)) if port.isascii() and port.isdigit() and 0 < int(port) < 65536 else None


def _wrong(document: Document, key: str, expected: str, got: str) -> SpecError:
    location = (*_AT, key)
    return SpecError(where=document.where(location), what=dotted(location), expected=expected, got=got)
