"""The durable list of what must be undone, written before each fault.

One JSON line a step, appended and fsynced: ``intent`` before the act, then ``acted``, ``undoing``, ``undone`` or
``undo-failed``. An entry is outstanding from its intent on, whether or not the act returned: a call that died
half-way may have happened. The file is data (kind, arguments, endpoints, prior state), replayed by installed code.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stormproof.errors import FaultError
from stormproof.record.atomic import append_line, read_lines

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One fault as the ledger knows it."""

    fault_id: str
    kind: str
    target: Mapping[str, Any]
    configuration: Mapping[str, Any]
    prior: Mapping[str, Any]
    written_at: float  # Unix s
    state: str  # intent | acted | undoing | undone | undo-failed
    reason: str = ""

    @property
    def outstanding(self) -> bool:
        """Whether this may still be broken."""
        return self.state != "undone"


@dataclass(frozen=True, slots=True)
class Ledger:
    """A ledger file. Several processes may hold one; `locked` says whose turn it is to undo."""

    path: Path

    def intend(
        self,
        fault_id: str,
        *,
        kind: str,
        target: Mapping[str, Any],
        configuration: Mapping[str, Any],
        prior: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Write down what is about to be broken and how it was; on disk when this returns. Returns what was written.

        Raises `FaultError` if it could not be written whole: then nothing may be broken.
        """
        row = {
            "schema_version": SCHEMA_VERSION,
            "step": "intent",
            "fault_id": fault_id,
            "kind": kind,
            "target": dict(target),
            "configuration": dict(configuration),
            "prior": dict(prior),
            "wall_s": time.time(),
            "pid": os.getpid(),
        }
        try:
            append_line(self.path, row, sync=True)
        except OSError as error:
            raise FaultError(
                f"{self.path}: the undo of {fault_id} could not be written ({error}); nothing was broken"
            ) from error
        return row

    def note(self, fault_id: str, step: str, *, reason: str = "") -> None:
        """Record how far a fault has come: acted, undoing, undone, undo-failed."""
        append_line(
            self.path,
            {"step": step, "fault_id": fault_id, "wall_s": time.time(), "pid": os.getpid(), "reason": reason},
            sync=True,
        )

    def entries(self) -> tuple[Entry, ...]:
        """All entries in the order they were intended, each in its latest state; torn lines are passed over."""
        intents: dict[str, dict[str, Any]] = {}
        steps: dict[str, tuple[str, str]] = {}
        for row in read_lines(self.path):
            fault_id = str(row.get("fault_id", ""))
            if row.get("step") == "intent":
                intents[fault_id] = row
                steps[fault_id] = ("intent", "")
            elif fault_id in intents:
                steps[fault_id] = (str(row.get("step")), str(row.get("reason", "")))
        return tuple(
            Entry(
                fault_id=fault_id,
                kind=row["kind"],
                target=row["target"],
                configuration=row["configuration"],
                prior=row["prior"],
                written_at=row["wall_s"],
                state=steps[fault_id][0],
                reason=steps[fault_id][1],
            )
            for fault_id, row in intents.items()
        )

    def outstanding(self) -> tuple[Entry, ...]:
        """What is still to be undone, last broken first."""
        return tuple(entry for entry in reversed(self.entries()) if entry.outstanding)

    @contextlib.contextmanager
    def locked(self, *, deadline_s: float = 30.0) -> Iterator[None]:
        """Hold the right to undo; the kernel gives it back when the holder dies, however it dies."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)  # no file of its own: the disk may be full
        try:
            give_up_at = time.monotonic() + deadline_s
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > give_up_at:
                        raise FaultError(
                            f"{self.path}: another process has been undoing for {deadline_s:g} s"
                        ) from None
                    time.sleep(0.02)
            yield
        finally:
            os.close(descriptor)
