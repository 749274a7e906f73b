"""What this user's runs share outside any run directory: locks, and which ledgers still hold something to undo."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from stormproof.errors import UnavailableError


def state_folder() -> Path:
    """``$STORMPROOF_STATE_DIR``, else one folder per user for temporary files; ours alone, made on demand.

    Raises `UnavailableError` when somebody else's folder stands in its place.
    """
    chosen = os.environ.get("STORMPROOF_STATE_DIR")
    folder = Path(chosen) if chosen else Path(tempfile.gettempdir()) / f"stormproof-state-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise UnavailableError(f"{folder}: expected a folder of our own, got somebody else's")
    return folder


def machine_id() -> str:
    """What tells the machines apart that share a bucket: a random word, kept beside the locks, made on demand.

    Host names do not: every container may be called the same.
    """
    path = state_folder() / "machine-id"
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, secrets.token_hex(8).encode())
        os.close(descriptor)
    return path.read_text(encoding="utf-8")
