"""A zone in AWS whose network is slow, through FIS: everything in it is alive and answers, late.

Systems Manager lets each instance of the zone delay what it sends to the environment's zones (``tc``), its own among
them: answers to the balancer, and calls to what it depends on. That is the network, and not the process as in the lab:
an answer over a kept connection is late by *latency*, one over a new connection by twice that. Health checks pass
unless they are in more of a hurry. FIS, Systems Manager and the instance itself each end it when its time is over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall, reads
from stormproof.faults.fis_experiment import FisExperiment
from stormproof.faults.protocol import Look
from stormproof.faults.slowness import look_for_slowness

MODE = "fis-slow"
SLOW_SHARE = 0.5  # of the latency: whoever waited as long has met it
CALLS_OVER_S = 0.6  # the calls of a look are spread over this time


@dataclass(frozen=True, slots=True, kw_only=True)
class FisSlow:
    """A zone whose instances FIS makes slow, bound."""

    zone: str
    instance_ids: list[str]
    urls: list[str]
    latency_s: float
    request: Mapping[str, Any]  # of CreateExperimentTemplate, without its token
    expected: Mapping[str, Sequence[str]]  # target of the template → ARNs
    configuration: Mapping[str, Any]
    mode: str = MODE
    begun: list[str] = field(default_factory=list)

    gap_s: ClassVar[float] = 0.5
    felt_within_s: ClassVar[float] = 300.0  # Systems Manager may have to install what it needs
    gone_within_s: ClassVar[float] = 300.0

    @property
    def what(self) -> str:
        """In words."""
        return (
            f"through AWS FIS, let {len(self.instance_ids)} instances of zone {self.zone} send"
            f" {self.latency_s * 1000:g} ms later: {self._experiment.what}"
        )

    @property
    def effect(self) -> dict[str, Any]:
        """The zone's samples come late, those of other zones do not."""
        return {"kind": "zone-slowed", "zone": self.zone, "slow_ms": SLOW_SHARE * self.latency_s * 1000}

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """FIS's; a look calls the instances themselves."""
        return (*reads("sts:GetCallerIdentity"), *self._experiment.api_calls)

    def identify(self) -> None:
        """The caller's account and partition are the plan's."""
        aws.identify(self.configuration)

    def prior(self) -> dict[str, Any]:
        """The tag by which the undo will know what is ours."""
        return self._experiment.prior()

    def act(self) -> None:
        """Preview it, hold what it resolves to against the plan, start it for good."""
        self._experiment.start()

    def ended(self) -> str | None:
        """Why FIS has ended it, if it has."""
        return self._experiment.ended()

    def look(self) -> Look:
        """Time calls to each instance."""
        return look_for_slowness(self.urls, cycle_s=CALLS_OVER_S, slow_s=SLOW_SHARE * self.latency_s)

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Stop it: Systems Manager then takes the delay away."""
        self._experiment.stop(prior)

    @property
    def _experiment(self) -> FisExperiment:
        return FisExperiment(
            kind="az-loss",
            request=self.request,
            expected=self.expected,
            configuration=self.configuration,
            begun=self.begun,
        )
