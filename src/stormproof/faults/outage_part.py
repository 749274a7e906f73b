"""What the loss of a zone in AWS is made of: parts that are done in order and undone in the reverse one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from stormproof.errors import FaultError
from stormproof.faults.api_call import ApiCall


class OutagePart(Protocol):
    """One part, bound. Like a fault, without looks of its own."""

    @property
    def what(self) -> str:
        """What `act` does, in words."""
        ...

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """Every operation that it may call."""
        ...

    def prior(self) -> dict[str, Any]:
        """The state that `revert` must bring back, as JSON; `FaultError` if it is broken already."""
        ...

    def act(self, prior: Mapping[str, Any]) -> None:
        """Break it, from *prior*, which was read a moment ago."""
        ...

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Bring *prior* back; harmless when it is back already. `FaultError` where somebody else changed it since."""
        ...


def wait_until(what: str, ask: Callable[[], bool], *, within_s: float, every_s: float = 2.0) -> None:
    """Return once *ask* says yes; `FaultError` after *within_s* seconds."""
    give_up_at = time.monotonic() + within_s
    while not ask():
        if time.monotonic() > give_up_at:
            raise FaultError(f"waited {within_s:g} s for {what}")
        time.sleep(min(every_s, within_s))
