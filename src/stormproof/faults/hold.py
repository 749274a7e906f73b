"""An activity that waits: the phases of a run, under `chaos run` and under our player alike.

Not a `pauses:` of Chaos Toolkit, because an interruption during an action that has one waits it out
(chaoslib 1.44), and the undo must not wait.
"""

from __future__ import annotations

import time

__all__ = ["hold"]


def hold(phase: str, seconds: float) -> dict[str, float | str]:
    """Let *phase* last for *seconds*; Ctrl-C ends it at once."""
    begun = time.monotonic()
    while (left := begun + seconds - time.monotonic()) > 0:
        time.sleep(min(left, 0.25))
    return {"phase": phase, "held_s": round(time.monotonic() - begun, 3)}
