"""What the conductor and a load worker say to each other: JSON lines over the worker's stdin and stdout.

To the worker: ``start`` (monotonic and wall instant of the common start), ``stop`` (seconds to drain); the end of
the stream means that the conductor is gone. From it: ``ready``, ``aggregate`` (ten a second), ``done`` or ``failed``.

With a worker on another machine the same lines go through its recruit (`load.recruit`) as frames of `load.peer`, with
more around them: ``hello`` (what it is), ``refused`` (why not), ``config``, ``beat`` both ways, ``ended``, ``bye``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from stormproof.model.experiment import ArrivalProcess

AGGREGATE_EVERY_S = 0.1
LATE_MS = 100.0  # an arrival sent later than this after its instant is late

READY = "ready"
AGGREGATE = "aggregate"
DONE = "done"
FAILED = "failed"
START = "start"
STOP = "stop"

HELLO = "hello"  # from the recruit: versions, digest of its locustfile
REFUSED = "refused"  # to it: the reason
CONFIG = "config"  # to it: a `WorkerConfig` without paths
BEAT = "beat"  # to it, and back with its clocks (`load.clock_offset`)
ENDED = "ended"  # from it: its worker's exit code and the end of its log
BYE = "bye"  # to it: all was received

BEAT_EVERY_S = 0.2
# A worker that hears nothing of its conductor for this long stops its load, which is then over within a second.
SILENCE_OF_CONDUCTOR_S = 0.9
# A conductor waits longer: the load of a worker that cannot reach it is over by then, whoever is to blame.
SILENCE_OF_WORKER_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """Everything that a worker is told before it starts; one JSON file a worker."""

    worker: int
    workers: int
    locustfile: str
    base_url: str
    timeout_s: float
    duration_s_max: float
    seed: int
    samples_folder: str
    arrivals_per_s: float | None = None
    users: int | None = None
    process: ArrivalProcess = ArrivalProcess.UNIFORM
    control_header: str | None = None  # says of each request whether it is the control group's
    control_share: float = 0.0  # of the arrivals
    parent_pid: int | None = None  # die with this process (Linux); None: only the end of stdin counts

    def to_json(self) -> bytes:
        """The config file's content."""
        return orjson.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> WorkerConfig:
        """Read back what `to_json` wrote."""
        fields = orjson.loads(data)
        return cls(**{**fields, "process": ArrivalProcess(fields["process"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """What one worker saw between two instants: intervals of a worker touch and never overlap."""

    worker: int
    from_s: float  # Unix s
    to_s: float  # Unix s
    offered: int  # arrivals due in the interval (closed model: sent)
    sent: int  # arrivals whose first request went out
    ended: int  # requests that came to an end, well or not
    ok: int  # of them, those that Locust calls a success
    bins: Mapping[int, int]  # latency of the ended requests, `load.histogram`
    settled_s: float | None = None  # Unix s: every arrival due before has ended, its rows are on disk; None: unknown

    def to_message(self) -> dict[str, Any]:
        """As a worker sends it; JSON keys are text, so bins travel as pairs."""
        fields = {name: getattr(self, name) for name in ("worker", "from_s", "to_s", "offered", "sent", "ended", "ok")}
        return {"kind": AGGREGATE, **fields, "bins": list(self.bins.items()), "settled_s": self.settled_s}

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Aggregate:
        """Read back what `to_message` made."""
        fields = {name: message[name] for name in ("worker", "from_s", "to_s", "offered", "sent", "ended", "ok")}
        bins = {int(number): int(count) for number, count in message["bins"]}
        return cls(**fields, bins=bins, settled_s=message.get("settled_s"))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTotals:
    """One worker's account of the whole load; a row of the `load.stopped` event.

    The closed model has no schedule: there offered and sent are the requests that ended, and nothing is late.
    A worker that died before it could tell has None where nobody knows.
    """

    worker: int
    offered: int  # arrivals due until the load was stopped
    sent: int  # of them, those whose first request went out
    completed: int  # arrivals whose task came to its end (closed model: requests that ended)
    late_share: float | None  # of the sent, those more than 100 ms behind their instant
    lateness_ms_p50: float | None
    lateness_ms_p99: float | None
    lateness_ms_max: float | None
    cpu_share: float | None  # of one core, from start to stop
    per_second: list[list[int]]  # [Unix second, offered by due instant, sent by sending instant]
    rows: int | None = None  # samples written: at least one a completed task; None where nobody knows
    # How well its event loop kept time (`loop_watch`); None where nobody looked.
    loop_late_share: float | None = None  # of the ticks, those more than 100 ms late
    loop_lag_ms_p99: float | None = None
    loop_lag_ms_max: float | None = None
    loop_per_second: list[list[float]] | None = None  # [Unix second, ticks, of them late, longest lag ms, CPU ms]
    # Of a worker on another machine (`clock_offset`); None of one that the conductor has started itself.
    host: str | None = None
    wall_offset_ms: float | None = None  # its wall clock minus the conductor's, before the start; no row depends on it
    clock_uncertainty_ms: float | None = None  # what was not known of its clock at the start: half a round trip
    clock_error_ms: float | None = None  # by how much the instants of its rows may be off at most, in the end

    def as_dict(self) -> dict[str, Any]:
        """Field by field, JSON-clean."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}
