"""Ending a fault, or a run, early because of what was measured: when to look, and what to say.

What is looked at is on disk: the samples as the load workers write them, up to the instant before which every arrival
has ended. A request that hangs is not known to be good, so nothing that was due after it counts yet. A thread looks,
because the conductor has a lease to keep: on a machine that is starved an import alone has taken longer than that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stormproof.errors import StormproofError
from stormproof.model.verdict import Outcome

if TYPE_CHECKING:
    from stormproof.load.live import LiveSli
    from stormproof.model.experiment import Experiment
    from stormproof.record.layout import RunDirectory
    from stormproof.verdict.so_far import Standing

LOOK_EVERY_S = 0.5
COST_MAX = 0.1  # of the time: the load has the same machine


@dataclass(slots=True, kw_only=True)
class Decisions:
    """Looks at the claims while the fault lasts. Nothing is looked at where no spec asks for it."""

    experiment: Experiment
    run: RunDirectory
    live: LiveSli
    clock: Callable[[], float] = time.monotonic
    fault_began_s: float | None = None  # Unix s; while the fault phase lasts, the conductor's to say
    decided: list[Standing] | None = field(default=None, init=False)  # every claim, once all are decided
    stop: str | None = field(default=None, init=False)  # why the run is to stop
    failure: str | None = field(default=None, init=False)  # a defect of ours: nobody looks any more
    _closing: threading.Event = field(default_factory=threading.Event, init=False)

    def start(self) -> None:
        """Begin, before there is a lease to keep: what a look needs is imported here, and not while the fault lasts."""
        if self.experiment.may_end_early:
            import stormproof.verdict.so_far  # noqa: F401
            from stormproof.record.samples import read_samples

            read_samples(self.run)  # there are none yet; what reads them is imported inside
            threading.Thread(target=self._watch, name="decisions", daemon=True).start()

    def close(self) -> None:
        """Look no more; a look that is under way has no effect on anything."""
        self._closing.set()

    def look(self) -> float:
        """Look once; how long to wait before the next time, in seconds."""
        begun_mono_s = self.clock()
        began_s, until_s = self.fault_began_s, self.live.settled_until_s()
        if began_s is not None and until_s is not None and until_s > began_s:
            self._look(until_s, began_s)
        return max(LOOK_EVERY_S, (self.clock() - begun_mono_s) / COST_MAX)

    def _watch(self) -> None:
        try:
            pause_s = LOOK_EVERY_S
            while not self._closing.wait(pause_s):
                pause_s = self.look()
        except Exception as error:  # noqa: BLE001  # told, and the fault lasts as long as it may
            self.failure = f"{type(error).__name__}: {error}"

    def _look(self, until_s: float, began_s: float) -> None:
        from stormproof.verdict.so_far import so_far, standings, stop_reason

        try:
            seen = so_far(self.run, until_s=until_s)
            stop = stop_reason(seen, self.experiment.stop_when)
            found = standings(seen, self.experiment.hypotheses)
        except StormproofError:  # a file that cannot be read yet decides nothing
            return
        timeline = self.experiment.timeline
        undecided = any(one.outcome is Outcome.INCONCLUSIVE for one in found)
        if timeline.until_decided and not undecided and until_s >= began_s + timeline.fault_min_s:
            self.decided = self.decided or found
        self.stop = self.stop or stop
