"""Part of the loss of a zone in AWS: its subnets get a network ACL without entries, which denies everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stormproof.faults.acl_swap import AclSwap
from stormproof.faults.api_call import ApiCall
from stormproof.faults.dead_man import Inverse

TAG = "stormproof-az-loss"  # on the ACLs that we make


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageNetwork:
    """The subnets of the zone."""

    zone: str
    subnets: list[str]
    owner: str  # the environment and zone: the tag's value
    configuration: Mapping[str, Any]
    kind: str = "az-loss"  # of the fault that it is part of: what its errors begin with

    @property
    def what(self) -> str:
        """In words."""
        return f"deny everything into and out of {len(self.subnets)} subnets: {', '.join(self.subnets)}"

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """EC2's."""
        return self._swap.api_calls

    def prior(self) -> dict[str, Any]:
        """The ACL of each subnet; a subnet without one, or an ACL of ours, are errors."""
        return {"acls": self._swap.prior()}

    def act(self, prior: Mapping[str, Any]) -> None:
        """Give the subnets an ACL without entries, one a VPC."""
        self._swap.swap(list(prior["acls"]), entries=())

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Put the former ACLs back where ours are, and delete ours."""
        self._swap.revert(prior["acls"])

    def inverse(self, prior: Mapping[str, Any]) -> list[Inverse]:
        """Put each former ACL back."""
        return self._swap.inverse(prior["acls"])

    @property
    def _swap(self) -> AclSwap:
        return AclSwap(
            subnets=self.subnets,
            tag=TAG,
            owner=self.owner,
            cut=f"zone {self.zone}",
            configuration=self.configuration,
            kind=self.kind,
        )
