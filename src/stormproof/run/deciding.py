"""Ending a fault, or a run, early because of what was measured: when to look, and what to say.

What is looked at is on disk: the samples as the load workers write them, up to the instant before which every arrival
has ended. A request that hangs is not known to be good, so nothing that was due after it counts yet.
"""

from __future__ import annotations

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
COST_MAX = 0.1  # of the conductor's time: a look that takes long is not taken often


@dataclass(slots=True, kw_only=True)
class Decisions:
    """Looks at the claims while the fault lasts. Nothing is looked at where no spec asks for it."""

    experiment: Experiment
    run: RunDirectory
    live: LiveSli
    clock: Callable[[], float] = time.monotonic
    decided: list[Standing] | None = field(default=None, init=False)  # every claim, once all are decided
    stop: str | None = field(default=None, init=False)  # why the run is to stop
    _next_mono_s: float = field(default=0.0, init=False)

    def prepare(self) -> None:
        """Import what a look needs, before anything is broken: later it would hold the conductor up."""
        if self.experiment.may_end_early:
            import stormproof.verdict.so_far  # noqa: F401

    def look(self, *, fault_began_s: float) -> None:
        """Look, if it is time; *fault_began_s* (Unix s) is when the fault phase did."""
        begun_mono_s = self.clock()
        if not self.experiment.may_end_early or begun_mono_s < self._next_mono_s:
            return
        until_s = self.live.settled_until_s()
        if until_s is not None and until_s > fault_began_s:
            self._look(until_s, fault_began_s)
        took_s = self.clock() - begun_mono_s
        self._next_mono_s = self.clock() + max(LOOK_EVERY_S, took_s / COST_MAX)

    def _look(self, until_s: float, fault_began_s: float) -> None:
        from stormproof.verdict.so_far import so_far, standings, stop_reason

        try:
            seen = so_far(self.run, until_s=until_s)
            self.stop = stop_reason(seen, self.experiment.stop_when)
            found = standings(seen, self.experiment.hypotheses)
        except StormproofError:  # a file that cannot be read yet decides nothing
            return
        is_long_enough = until_s >= fault_began_s + self.experiment.timeline.fault_min_s
        if self.experiment.timeline.until_decided and self.decided is None and is_long_enough:
            undecided = [one for one in found if one.outcome is Outcome.INCONCLUSIVE]
            self.decided = None if undecided else found
