"""What a fault is: five small methods, and a look at the world from outside.

Add a fault by writing one module with `KIND`, `SUMMARY`, `CONFIRMED_BY`, `UNDONE_BY`, `Arguments`,
`resolve` and `bind`, which `binding` makes the three activities of, and naming it in `catalogue.KINDS`. CONTRIBUTING.md
has the page.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable


class Seen(enum.StrEnum):
    """What one look from outside showed."""

    WHOLE = "whole"
    BROKEN = "broken"  # wholly so: every target shows the fault
    PARTIAL = "partial"  # some do: neither felt nor gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look from outside; *evidence* is JSON and goes into the record as proof."""

    seen: Seen
    evidence: Mapping[str, Any] = field(default_factory=dict)


class Fault(Protocol):
    """A fault bound to real things. Instances hold data only; every method opens what it needs."""

    gap_s: ClassVar[float]  # between two looks: the resolution of onset and end

    @property
    def what(self) -> str:
        """What inject does, in words."""
        ...

    @property
    def effect(self) -> Mapping[str, Any]:
        """What the workload must show for the fault to count as felt."""
        ...

    def identify(self) -> None:
        """Raise `IdentityError` unless the things at the addresses are the things in the plan."""
        ...

    def prior(self) -> dict[str, Any]:
        """The state that undo must bring back, as JSON; `FaultError` if it is broken already."""
        ...

    def act(self) -> None:
        """Break it."""
        ...

    def look(self) -> Look:
        """Look from outside, once, within about a second; never reads our own settings."""
        ...

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Bring *prior* back; harmless when it is back already.

        Raises `FaultError` when somebody else has changed the resource since, or when it cannot be done.
        """
        ...


@runtime_checkable
class SlowToBeFelt(Protocol):
    """What a fault says in addition when something must happen first: a process that starts, a rollout that begins."""

    felt_within_s: ClassVar[float]  # from the act; longer, and it was not felt


@runtime_checkable
class SlowToGo(Protocol):
    """What a fault says in addition when its undo is not seen at once: machines start, balancers look again."""

    gone_within_s: ClassVar[float]  # from the end of the undo; longer, and it is still there


@runtime_checkable
class MayEnd(Protocol):
    """What a fault says in addition when somebody else can end it: AWS FIS, on an alarm or when its time is over."""

    def ended(self) -> str | None:
        """Why it is not in force any more; None while it is, or where nobody knows. Reads, once."""
        ...
