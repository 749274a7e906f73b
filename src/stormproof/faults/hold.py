"""An activity that waits: the phases of a run, under `chaos run` and under our player alike.

Not a `pauses:` of Chaos Toolkit, because an interruption during an action that has one waits it out
(chaoslib 1.44), and the undo must not wait.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stormproof.record import events

__all__ = ["hold"]

LOOK_EVERY_S = 0.1


def hold(
    phase: str, seconds: float, until: str | None = None, configuration: Mapping[str, Any] | None = None
) -> dict[str, float | str]:
    """Let *phase* last for *seconds*, or until the event called *until* is on record; Ctrl-C ends it at once.

    The event is `stormproof run`'s to write, to the file that `configuration.events_path` names. Nobody writes it under
    plain `chaos run`, nor once the conductor is dead: then the phase lasts its *seconds*.
    """
    begun = time.monotonic()
    path = Path(str((configuration or {}).get("events_path", ""))) if until else None
    while (left := begun + seconds - time.monotonic()) > 0 and not _is_on_record(path, until):
        time.sleep(min(left, LOOK_EVERY_S))
    return {"phase": phase, "held_s": round(time.monotonic() - begun, 3)}


def _is_on_record(path: Path | None, until: str | None) -> bool:
    if path is None or not path.is_file():
        return False
    with contextlib.suppress(OSError):  # what cannot be read says nothing
        return any(row.get("event") == until for row in events.read_events(path))
    return False
