"""The network of the lab's processes, cut in the way that this kernel allows us."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from stormproof.lab.borrowed import Endpoint
from stormproof.lab.partition import Partition
from stormproof.lab.standstill import Standstill

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
