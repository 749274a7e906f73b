"""The processes of instances that were launched in the place of lost ones."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stormproof.lab.topology import ShopInstance

_log = logging.getLogger("stormproof.lab")


@dataclass(slots=True, kw_only=True)
class Replacements:
    """Starts each once it has booted, at the address of the one that it replaces: the balancer has six places.

    *start* and *end* do it; the instance that they are given has the replacement's id and zone.
    """

    places: Mapping[str, ShopInstance]  # by instance id
    boot_s: float
    start: Callable[[ShopInstance], None]
    end: Callable[[str], None]
    _due: dict[str, tuple[float, ShopInstance]] = field(default_factory=dict)
    _serving: set[str] = field(default_factory=set)

    def obey(self, document: Mapping[str, Any], now: float) -> None:
        """What EC2 says of one; *now* is monotonic seconds."""
        new, lost = str(document["replacement"]), self.places[document["of"]]
        if document["state"] == "running":
            _log.info("%s boots in the place of %s", new, lost.id)
            place = ShopInstance(id=new, name=f"{lost.name}-replacement", zone=document["zone"], address=lost.address)
            self._due[new] = (now + self.boot_s, place)
            return
        self._due.pop(new, None)
        if new in self._serving:
            self._serving.discard(new)
            self.end(new)

    def turn(self, now: float) -> None:
        """Start who has booted."""
        for new, (due, place) in list(self._due.items()):
            if now >= due:
                del self._due[new]
                self._serving.add(new)
                self.start(place)
