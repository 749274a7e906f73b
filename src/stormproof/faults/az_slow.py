"""An Availability Zone in grey failure: everything in it is alive and answers, late. `az-loss` with ``mode: slow``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from stormproof.faults import duty_cycle, processes
from stormproof.faults.instances import identify_lab
from stormproof.faults.protocol import Look
from stormproof.faults.slowness import look_for_slowness

LATENCY_MIN_S, LATENCY_MAX_S = 0.1, 0.6  # less is lost in noise; more would take too long to be seen gone
# How long a process runs in each cycle: long enough for the requests that have come in meanwhile, and for a dependency.
RUNNING_S_MAX = 0.25
SLOW_SHARE = 0.5  # of the latency: whoever waited as long has met it


@dataclass(frozen=True, slots=True, kw_only=True)
class AzSlow:
    """A zone's instances, bound."""

    zone: str
    instance_ids: list[str]
    urls: list[str]
    latency_s: float
    lease_s: float
    configuration: Mapping[str, Any]
    mode: str = "slow"

    gap_s: ClassVar[float] = 0.02

    @property
    def what(self) -> str:
        """In words."""
        return (
            f"let {len(self.instance_ids)} instances of zone {self.zone} answer {self.latency_s * 1000:g} ms later: "
            f"{', '.join(self.instance_ids)}"
        )

    @property
    def effect(self) -> dict[str, Any]:
        """The zone's samples come late, those of other zones do not."""
        return {"kind": "zone-slowed", "zone": self.zone, "slow_ms": SLOW_SHARE * self.latency_s * 1000}

    def identify(self) -> None:
        """The lab is the plan's; processes are known by what they serve, and by number and start time."""
        identify_lab(self.configuration)

    def prior(self) -> dict[str, Any]:
        """The process of each instance; one that is held back or paused already is an error."""
        return duty_cycle.prior(self.instance_ids, kind="az-loss")

    def act(self) -> None:
        """Start the companion that holds them back."""
        stopped_s, running_s = cycle_of(self.latency_s)
        found = {instance: processes.find(instance) for instance in self.instance_ids}
        duty_cycle.begin(found, stopped_s=stopped_s, running_s=running_s, lease_s=self.lease_s)

    def look(self) -> Look:
        """Time calls to each instance."""
        return look_for_slowness(self.urls, cycle_s=sum(cycle_of(self.latency_s)), slow_s=SLOW_SHARE * self.latency_s)

    def revert(self, prior: Mapping[str, Any]) -> None:
        """End the companion; the processes go on."""
        duty_cycle.revert(self.instance_ids, prior)


def cycle_of(latency_s: float) -> tuple[float, float]:
    """How long a process is stopped, and how long it runs, for requests to wait *latency_s* on average.

    A request that comes at any instant of a cycle of s stopped and r running waits ``s² / (2 (s + r))`` on average:
    it meets the stopped part with probability s / (s + r), and then waits for half of it. Solved for s.
    """
    running_s = min(RUNNING_S_MAX, latency_s / 2)
    return latency_s + math.sqrt(latency_s**2 + 2 * latency_s * running_s), running_s
