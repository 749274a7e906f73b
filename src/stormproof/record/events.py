"""`events.jsonl`: what happened, who did it, on the wall clock and on the monotonic one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from stormproof.record.atomic import append_line, read_lines
from stormproof.record.redact import redact

# The names that other rooms rely on; docs/reference/events.md lists what each one carries.
RUN_STARTED = "run.started"
LOAD_STARTED = "load.started"
PHASE = "phase"  # phase: warmup | steady | fault | recovery | ended
FAULT_INJECTING = "fault.injecting"  # fault_id, kind, at, what
FAULT_INJECTED = "fault.injected"  # fault_id, kind, at
FAULT_FELT = "fault.felt"  # fault_id, kind, at, last_ok_at, evidence, effect
FAULT_NOT_FELT = "fault.not_felt"  # fault_id, kind, reason, evidence
FAULT_FAILED = "fault.failed"  # fault_id, kind, reason
FAULT_ENDED = "fault.ended"  # fault_id, kind, reason
FAULT_UNDOING = "fault.undoing"  # fault_id, kind, at
FAULT_UNDONE = "fault.undone"  # fault_id, kind, at
FAULT_GONE = "fault.gone"  # fault_id, kind, at, evidence
FAULT_NOT_GONE = "fault.not_gone"  # fault_id, kind, reason
DECIDED = "decided"  # at, reason, claims; the player ends the fault when it reads this
ABORT = "abort"  # reason, by: person | stop_when | limit | failure
LOAD_STOPPED = "load.stopped"  # per worker: offered, sent, completed, lateness_ms_p99, …
PROBE_READ = "probe.read"  # probe
PROBE_BLIND = "probe.blind"  # probe, reason
RUN_ENDED = "run.ended"
PEOPLE_TOLD = "people.told"  # message: begins | aborted | ended, topic
PEOPLE_NOT_TOLD = "people.not_told"  # message, topic, reason


def record_event(path: Path, event: str, *, who: str, **fields: Any) -> dict[str, Any]:
    """Append one event and return it. *who* is the process: conductor, player, load, probes."""
    row = {"event": event, "who": who, "wall_s": time.time(), "mono_s": time.monotonic(), **redact(fields)}
    append_line(path, row)
    return row


def read_events(path: Path) -> list[dict[str, Any]]:
    """All events in the order written."""
    return read_lines(path)
