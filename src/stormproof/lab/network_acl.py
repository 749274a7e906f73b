"""What a network ACL means for the instances of a subnet, in the lab: everything passes, or nothing does.

EC2's own rule, in the part that the lab makes true: entries are read in the order of their numbers, the first that
matches decides, and what none matches is denied. Only entries for all addresses and for TCP or all protocols count;
ports are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_ALL_ADDRESSES = "0.0.0.0/0"
_ALL_PROTOCOLS, _TCP = "-1", "6"


@dataclass(frozen=True, slots=True, kw_only=True)
class AclEntry:
    """One entry of an ACL."""

    number: int
    egress: bool
    allows: bool
    protocol: str  # IANA's number as text; "-1" is all
    cidr: str | None  # None: an IPv6 entry


def cuts_off(entries: Iterable[AclEntry]) -> bool:
    """Whether an ACL of these entries lets TCP neither in nor, as the answers must leave too, out."""
    rows = sorted(entries, key=lambda entry: entry.number)
    return not (_passes(rows, egress=False) and _passes(rows, egress=True))


def _passes(rows: Iterable[AclEntry], *, egress: bool) -> bool:
    for row in rows:
        if row.egress is egress and row.cidr == _ALL_ADDRESSES and row.protocol in (_ALL_PROTOCOLS, _TCP):
            return row.allows
    return False
