"""The network of the lab's processes, cut in the way that this kernel allows us."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from stormproof.lab.borrowed import Endpoint
from stormproof.lab.partition import Partition
from stormproof.lab.standstill import Standstill
from stormproof.lab.topology import ShopInstance

_log = logging.getLogger("stormproof.lab")


@dataclass(slots=True)
class NetworkCut:
    """With filters where we may attach them, else by standing still: the first cut finds out."""

    _by: Partition | Standstill = field(default_factory=Partition)

    def keep(self, *, inside: Iterable[int], addresses: Iterable[Endpoint], outside: Iterable[int]) -> None:
        """Keep the processes *inside*, who serve *addresses*, cut off from the processes *outside*.

        Raises `OSError` when neither way is open.
        """
        inside, addresses, outside = list(inside), list(addresses), list(outside)
        try:
            self._by.keep(inside=inside, addresses=addresses, outside=outside)
        except PermissionError as error:
            if isinstance(self._by, Standstill):
                raise
            _log.info("no filter may be attached here (%s): a cut stops the processes and fills their doors", error)
            self._by.mend()
            self._by = Standstill()
            self._by.keep(inside=inside, addresses=addresses, outside=outside)

    def mend(self) -> None:
        """Give everybody the network back."""
        self._by.mend()


@dataclass(slots=True)
class CutOff:
    """Which instances are cut off: those whose subnet's ACL lets nothing pass."""

    _instances: set[str] = field(default_factory=set)
    _cut: NetworkCut = field(default_factory=NetworkCut)
    _not_because: str = ""

    def obey(self, instance_id: str, *, cut_off: bool) -> None:
        """An ACL that denies is a network that swallows; one that allows again mends it."""
        if cut_off and instance_id not in self._instances:
            _log.info("%s is cut off", instance_id)
            self._instances.add(instance_id)
        elif not cut_off and instance_id in self._instances:
            _log.info("%s is no longer cut off", instance_id)
            self._instances.discard(instance_id)
            self._cut.mend()  # of everybody: the next turn cuts those off again that still are to be

    def keep(self, instances: Iterable[ShopInstance], processes: Mapping[str, int], *, outside: Iterable[int]) -> None:
        """Cut off also what a process has opened since the last turn, or one that was started since.

        *processes*: by instance, those that run.
        """
        if not self._instances:
            return
        shops = [instance for instance in instances if instance.id in self._instances]
        try:
            self._cut.keep(
                inside=[processes[shop.id] for shop in shops if shop.id in processes],
                addresses=[(shop.address.host, shop.address.port) for shop in shops],
                outside=outside,
            )
        except OSError as error:
            # The fault is then not felt, which is what its run will say; the lab itself goes on.
            if str(error) != self._not_because:  # once, not on every turn
                self._not_because = str(error)
                _log.error("the network of %s cannot be cut: %s", sorted(self._instances), error)
