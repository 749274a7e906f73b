"""One run an environment, whichever machine it is started on: an object in the environment's bucket, with an end.

Beside the lock of this machine (`lock`), which knows at once when its holder is gone; of a machine elsewhere only the
end can be known. Its age is told by the bucket's clock, so machines need not agree on the time.
"""

from __future__ import annotations

import contextlib
import getpass
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stormproof.errors import OutstandingUndoError, UnavailableError
from stormproof.faults.aws_errors import told
from stormproof.faults.mirror import Mirror
from stormproof.model.environment import Environment
from stormproof.record.state import machine_id

NAME = "lease.json"
SUITE = "suite-lease.json"  # held beside it by a suite, whose runs take the other one, one after the other


def refuse_if_open(environment: Environment) -> None:
    """`OutstandingUndoError` when the environment's bucket holds an entry that nobody has undone."""
    mirror = Mirror.of(environment.aws.configuration)
    if mirror is None:
        return
    with told("reading the ledger's bucket"):
        entries = mirror.entries()
    if entries:
        names = ", ".join(f"{one.document['run']}: {one.document['fault_id']}" for one in entries)
        raise OutstandingUndoError(
            f"environment {environment.name!r}: faults of earlier runs are still to be undone ({names}), says"
            f" s3://{mirror.bucket}/{mirror.prefix}",
            hint=f"stormproof undo --env {environment.name}",
        )


@contextlib.contextmanager
def environment_lease(
    environment: Environment, *, run: Path, duration_s_max: float, name: str = NAME
) -> Iterator[None]:
    """Hold *environment* for one run; `UnavailableError` when a run holds it, here or on another machine.

    Where there is no bucket nothing is held. One whose end has passed, or that this machine's own dead run has left,
    is taken over. The caller holds this machine's lock, so nothing runs here.
    """
    mirror = Mirror.of(environment.aws.configuration)
    if mirror is None:
        yield
        return
    ours = {
        "machine": machine_id(),
        "host": socket.gethostname(),
        "user": getpass.getuser(),
        "run": run.name,
        "duration_s": duration_s_max,
    }
    with told("taking the environment's lease"):
        _take(mirror, ours, environment, name)
    try:
        yield
    finally:
        with contextlib.suppress(UnavailableError), told("giving the environment's lease back"):
            found = mirror.read(name)  # it ends by itself; nobody's run is to fail because this fails
            if found is not None and found[0].document == ours:
                mirror.delete(found[0].key)


def _take(mirror: Mirror, ours: Mapping[str, Any], environment: Environment, name: str) -> None:
    found = mirror.read(name)
    if found is not None:
        lease, age_s = found
        left_s = float(lease.document["duration_s"]) - age_s
        if left_s > 0 and lease.document.get("machine") != ours["machine"]:
            raise _held(environment, lease.document, f"for {left_s:.0f} s more at most")
    if not mirror.put_if(name, ours, etag=found[0].etag if found else None):
        other = mirror.read(name)
        raise _held(environment, other[0].document if other else {}, "it has just begun")


def _held(environment: Environment, holder: Mapping[str, Any], how_long: str) -> UnavailableError:
    who = f"{holder.get('run', '?')} of {holder.get('user', '?')} on {holder.get('host', '?')}"
    return UnavailableError(
        f"environment {environment.name!r}: a run is going on ({who}), {how_long}",
        hint="wait for it, or end it there: stormproof abort",
    )
