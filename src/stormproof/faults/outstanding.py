"""Which ledgers may still hold something to undo, wherever their runs were written.

A small file per ledger in the user's state folder, written before the first fault and taken away once all is undone.
It names the ledger and the environment; what is outstanding is always read from the ledger itself.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import orjson

from stormproof.errors import OutstandingUndoError
from stormproof.faults.ledger import Ledger
from stormproof.record.atomic import write_json
from stormproof.record.state import state_folder


def register(ledger: Path, *, environment: str) -> None:
    """Remember that *ledger* is about to hold something of *environment*; on disk when this returns."""
    write_json(_note(ledger), {"ledger": str(ledger.resolve()), "environment": environment})


def settle(ledger: Path) -> None:
    """Forget *ledger* if nothing in it is outstanding."""
    if not Ledger(ledger).outstanding():
        _note(ledger).unlink(missing_ok=True)


def remembered(environment: str | None = None) -> list[Path]:
    """The ledgers of *environment* (None: of any) that still hold something; settled ones are forgotten."""
    found = []
    for note in sorted(_folder().glob("*.json")):
        try:
            row = orjson.loads(note.read_bytes())
            ledger, of = Path(row["ledger"]), str(row["environment"])
        except (FileNotFoundError, orjson.JSONDecodeError, KeyError, TypeError):
            continue  # settled meanwhile, or torn before anything was broken
        if environment is not None and of != environment and not of.startswith(f"{environment}-"):
            continue
        if Ledger(ledger).outstanding():
            found.append(ledger)
        else:
            settle(ledger)
    return found


def refuse_if_any(environment: str) -> None:
    """`OutstandingUndoError` when an earlier run has left *environment* broken: it says what to type."""
    if ledgers := remembered(environment):
        names = ", ".join(str(ledger) for ledger in ledgers)
        raise OutstandingUndoError(
            f"environment {environment!r}: a fault of an earlier run is still to be undone ({names})",
            hint=f"stormproof undo {ledgers[0]}",
        )


def _folder() -> Path:
    folder = state_folder() / "outstanding"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _note(ledger: Path) -> Path:
    return _folder() / f"{hashlib.sha256(str(ledger.resolve()).encode()).hexdigest()[:24]}.json"
