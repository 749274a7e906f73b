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
from stormproof.faults.outage_network import OutageNetwork
from stormproof.faults.outage_part import wait_until
from stormproof.faults.protocol import Look

MODE = "fis"
ACLS_BACK_WITHIN_S = 60.0


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
        """FIS's, of the looks, and of the instances' undo: what stops them is FIS, in its own role."""
        looks = ["sts:GetCallerIdentity", *([] if self.urls else ["elbv2:DescribeTargetHealth"])]
        looks += ["ec2:DescribeNetworkAcls"] if self._network else []
        instances = (call for call in self._instances.api_calls if call.purpose != "inject")
        return (*reads(*looks), *self._experiment.api_calls, *instances)

    def identify(self) -> None:
        """The caller's account and partition are the plan's."""
        aws.identify(self.configuration)

    def prior(self) -> dict[str, Any]:
        """The state of each instance, the ACL of each subnet, and the tag by which the undo will know what is ours."""
        network = self._network
        acls = {"network": network.prior()} if network else {}
        return {**self._experiment.prior(), "instances": self._instances.prior(), **acls}

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
        """Stop it, see the instances running again and the subnets with the ACLs that they had.

        FIS starts what it has stopped; what it leaves stopped is started by us. ACLs are FIS's to put back: it knows
        which of them it has made.
        """
        self._experiment.stop(prior)
        self._instances.revert(prior["instances"])
        if network := self._network:
            before = prior["network"]
            wait_until(
                f"FIS to give the subnets their ACLs {before['acls']} back",
                lambda: network.prior() == before,
                within_s=ACLS_BACK_WITHIN_S,
            )

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
    def _network(self) -> OutageNetwork | None:
        own = self.losses.get("network")
        return OutageNetwork(zone=self.zone, configuration=self.configuration, **own) if own else None

    @property
    def _instances(self) -> OutageInstances:
        return OutageInstances(zone=self.zone, instance_ids=self.instance_ids, configuration=self.configuration)
