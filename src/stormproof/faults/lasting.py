"""Whether a fault that somebody else can end is still in force: asked from when it was felt until its undo begins.

FIS stops an experiment when one of its alarms fires, or an action fails. What is measured from then on is measured of
a workload that is whole, so the run is to end. The asking is a thread of the process that injects; an undo in the same
process ends it first.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

from stormproof.faults.protocol import Fault, MayEnd
from stormproof.record import events

ASK_FIRST_S, ASK_MOST_S = 1.0, 10.0  # half as long again each time: AWS allows few calls

_asked: dict[str, threading.Event] = {}  # fault_id → set once nobody wants to know any more


def watch(fault: Fault, log: Path, *, fault_id: str, kind: str) -> None:
    """Tell *log* when *fault* has ended by itself; nothing for a fault that cannot."""
    if not isinstance(fault, MayEnd):
        return
    left = _asked[fault_id] = threading.Event()
    arguments = (fault, left, log, fault_id, kind)
    threading.Thread(target=_ask, args=arguments, name="lasting", daemon=True).start()


def leave(fault_id: str) -> None:
    """Its undo begins: from now on its end is ours."""
    if (left := _asked.pop(fault_id, None)) is not None:
        left.set()


def _ask(fault: MayEnd, left: threading.Event, log: Path, fault_id: str, kind: str) -> None:
    pause_s = ASK_FIRST_S
    while not left.wait(pause_s):
        pause_s = min(pause_s * 1.5, ASK_MOST_S)
        reason = None
        with contextlib.suppress(Exception):  # who does not answer says nothing; it is asked again
            reason = fault.ended()
        if reason and not left.is_set():
            with contextlib.suppress(OSError):
                events.record_event(log, events.FAULT_ENDED, who="player", fault_id=fault_id, kind=kind, reason=reason)
            return
