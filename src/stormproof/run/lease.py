"""One run an environment, whichever machine it is started on: an object in the environment's bucket, renewed.

Beside the lock of this machine (`lock`), which knows at once when its holder is gone; of a machine elsewhere only its
silence can be known. How long ago it was heard of the bucket's clock tells, so machines need not agree on the time.
"""

from __future__ import annotations

import contextlib
import getpass
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stormproof.errors import OutstandingUndoError, UnavailableError
from stormproof.faults.aws_errors import told
from stormproof.faults.mirror import Mirror
from stormproof.model.environment import Aws, Environment
from stormproof.record.state import machine_id

NAME = "lease.json"
SUITE = "suite-lease.json"  # held beside it by a suite, whose runs take the other one, one after the other
LEASE_S = 120.0  # silent for longer, and somebody else may have it
RENEWED_EVERY_S = 20.0


class Lease:
    """What a run holds, or nothing where there is no bucket; renewed in a thread until it is given back."""

    def __init__(self, mirror: Mirror | None, ours: Mapping[str, Any], name: str) -> None:
        self._mirror, self._ours, self._name = mirror, ours, name
        self._stop = threading.Event()
        self._heard_mono_s = time.monotonic()
        self._taken_by = ""

    def lost(self) -> str | None:
        """Why this run, or suite, must end: somebody else has the environment, or may have it by now."""
        if self._mirror is None:
            return None
        if self._taken_by:
            what = "suite" if self._name == SUITE else "run"
            return f"another {what} has taken this environment's lease: {self._taken_by}"
        silent_s = time.monotonic() - self._heard_mono_s
        return f"the environment's lease could not be renewed for {silent_s:.0f} s" if silent_s > LEASE_S else None

    def keep(self) -> None:
        """Renew, in a thread; a bucket that does not answer is asked again."""
        threading.Thread(target=self._keep, name="lease", daemon=True).start()

    def give_back(self) -> None:
        """Take it away if it is ours; it ends by itself, so nobody's run is to fail because this fails."""
        self._stop.set()
        if self._mirror is None or self._taken_by:
            return
        with contextlib.suppress(UnavailableError), told("giving the environment's lease back"):
            found = self._mirror.read(self._name)
            if found is not None and found[0].document == self._ours:
                self._mirror.delete(found[0].key)

    def _keep(self) -> None:
        while not self._stop.wait(RENEWED_EVERY_S):
            with contextlib.suppress(UnavailableError), told("renewing the environment's lease"):
                self.renew()

    def renew(self) -> None:
        """Say once that we are there. Raises botocore's errors."""
        if self._mirror is None or self._stop.is_set():
            return
        found = self._mirror.read(self._name)
        if found is None or found[0].document != self._ours:
            self._taken_by = _who(found[0].document if found else {})
        elif self._mirror.put_if(self._name, self._ours, etag=found[0].etag):
            self._heard_mono_s = time.monotonic()


def refuse_if_open(name: str, account: Aws) -> None:
    """`OutstandingUndoError` when the bucket of environment *name* holds an entry that nobody has undone."""
    mirror = Mirror.of(account.configuration)
    if mirror is None:
        return
    with told("reading the ledger's bucket"):
        entries = mirror.entries()
    if entries:
        names = ", ".join(f"{one.document['run']}: {one.document['fault_id']}" for one in entries)
        raise OutstandingUndoError(
            f"environment {name!r}: faults of earlier runs are still to be undone ({names}), says"
            f" s3://{mirror.bucket}/{mirror.prefix}",
            hint=f"stormproof undo --env {name}",
        )


@contextlib.contextmanager
def environment_lease(environment: Environment, *, run: Path, name: str = NAME) -> Iterator[Lease]:
    """Hold *environment* for one run; `UnavailableError` when a run elsewhere holds it.

    Where there is no bucket nothing is held. A lease that has been silent for `LEASE_S`, or that this machine's own
    dead run has left, is taken over: the caller holds this machine's lock, so nothing runs here.
    """
    mirror = Mirror.of(environment.aws.configuration)
    ours = {"machine": machine_id(), "host": socket.gethostname(), "user": getpass.getuser(), "run": run.name}
    lease = Lease(mirror, ours, name)
    if mirror is not None:
        with told("taking the environment's lease"):
            _take(mirror, ours, environment, name)
        lease.keep()
    try:
        yield lease
    finally:
        lease.give_back()


def _take(mirror: Mirror, ours: Mapping[str, Any], environment: Environment, name: str) -> None:
    found = mirror.read(name)
    if found is not None:
        holder, silent_s = found
        if silent_s < LEASE_S and holder.document.get("machine") != ours["machine"]:
            raise _held(environment, holder.document, f"heard of {silent_s:.0f} s ago")
    if not mirror.put_if(name, ours, etag=found[0].etag if found else None):
        other = mirror.read(name)
        raise _held(environment, other[0].document if other else {}, "it has just begun")


def _held(environment: Environment, holder: Mapping[str, Any], when: str) -> UnavailableError:
    return UnavailableError(
        f"environment {environment.name!r}: a run is going on ({_who(holder)}), {when}",
        hint=f"wait for it, or end it there: stormproof abort; one that is dead is forgotten after {LEASE_S:.0f} s",
    )


def _who(holder: Mapping[str, Any]) -> str:
    return f"{holder.get('run', '?')} of {holder.get('user', '?')} on {holder.get('host', '?')}"
