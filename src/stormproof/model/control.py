"""A control group by header: a share of the arrivals that goes where no fault does."""

from __future__ import annotations

from dataclasses import dataclass

# What the header says. All requests of a run with such a group carry it.
IN_CONTROL, NOT_IN_CONTROL = "yes", "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderControl:
    """What a spec asks for: which arrivals are in the group is drawn before anything is sent."""

    header: str  # in small letters
    share: float  # of the arrivals, 0 … 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRoute:
    """How a balancer tells the groups apart: the header's `yes` goes to *zone* only, its `no` to all others."""

    header: str
    zone: str
