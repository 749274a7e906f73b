"""What this user's runs share outside any run directory: locks, and which ledgers still hold something to undo."""

from __future__ import annotations

import os
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
