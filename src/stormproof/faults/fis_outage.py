"""The loss of a zone through AWS FIS: time-bounded by AWS itself, stopped by its alarms, and by us when we are done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall, reads
from stormproof.faults.fis_experiment import FisExperiment
from stormproof.faults.outage_instances import OutageInstances
from stormproof.faults.outage_look import look_at_zone
from stormproof.faults.protocol import Look

MODE = "fis"


@dataclass(frozen=True, slots=True, kw_only=True)
class FisOutage:
    """A zone that FIS takes away, bound."""

    zone: str
    instance_ids: list[str]
    urls: list[str]
    target_groups: list[str]
    losses: Mapping[str, Mapping[str, Any]]  # what the zone loses, as for our own calls
    request: Mapping[str, Any]  # of CreateExperimentTemplate, without its token
    expected: Mapping[str, Sequence[str]]  # target of the template → ARNs
    configuration: Mapping[str, Any]
    mode: str = MODE
    begun: list[str] = field(default_factory=list)

    gap_s: ClassVar[float] = 1.0
    felt_within_s: ClassVar[float] = 300.0  # FIS begins in its own time
    gone_within_s: ClassVar[float] = 600.0

    @property
    def what(self) -> str:
        """In words."""
        return f"through AWS FIS, zone {self.zone}: {self._experiment.what}"

    @property
    def effect(self) -> dict[str, Any]:
        """The zone's share of the samples goes to nothing."""
        return {"kind": "zone-silent", "zone": self.zone}

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """FIS's, of the instances' part, and of the look."""
        looks = ("sts:GetCallerIdentity", *(() if self.urls else ("elbv2:DescribeTargetHealth",)))
        return (*reads(*looks), *self._experiment.api_calls, *self._instances.api_calls)

    def identify(self) -> None:
        """The caller's account and partition are the plan's."""
        aws.identify(self.configuration)

    def prior(self) -> dict[str, Any]:
        """The state of each instance, and the tag by which the undo will know what is ours."""
        return {**self._experiment.prior(), "instances": self._instances.prior()}

    def act(self) -> None:
        """Preview it, hold what it resolves to against the plan, start it for good."""
        self._experiment.start()

    def ended(self) -> str | None:
        """Why FIS has ended it, if it has."""
        return self._experiment.ended()

    def look(self) -> Look:
        """As of every loss of a zone: FIS's own word proves nothing."""
        return look_at_zone(self.instance_ids, self.urls, self.target_groups, self.configuration)

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Stop it and see the instances running again.

        FIS starts what it has stopped; what it leaves stopped is started by us.
        """
        self._experiment.stop(prior)
        self._instances.revert(prior["instances"])

    @property
    def _experiment(self) -> FisExperiment:
        return FisExperiment(
            kind="az-loss",
            request=self.request,
            expected=self.expected,
            configuration=self.configuration,
            begun=self.begun,
        )

    @property
    def _instances(self) -> OutageInstances:
        return OutageInstances(zone=self.zone, instance_ids=self.instance_ids, configuration=self.configuration)
