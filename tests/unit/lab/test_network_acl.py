"""What the lab takes a network ACL to mean."""

import dataclasses

import pytest

from stormproof.lab.network_acl import AclEntry, cuts_off

ALLOW_IN = AclEntry(number=100, egress=False, allows=True, protocol="-1", cidr="0.0.0.0/0")
ALLOW_OUT = dataclasses.replace(ALLOW_IN, egress=True)
DENY_IN = dataclasses.replace(ALLOW_IN, number=50, allows=False)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([ALLOW_IN, ALLOW_OUT], False),
        ([], True),
        ([ALLOW_IN], True),
        ([ALLOW_OUT], True),
        ([ALLOW_IN, ALLOW_OUT, DENY_IN], True),
        ([ALLOW_IN, ALLOW_OUT, dataclasses.replace(DENY_IN, number=200)], False),
        ([ALLOW_IN, ALLOW_OUT, dataclasses.replace(DENY_IN, protocol="17")], False),
        ([ALLOW_IN, ALLOW_OUT, dataclasses.replace(DENY_IN, cidr="10.0.0.0/8")], False),
        ([ALLOW_IN, ALLOW_OUT, dataclasses.replace(DENY_IN, cidr=None)], False),
    ],
    ids=[
        "both directions allowed", "no entries", "answers cannot leave", "nothing gets in", "an earlier deny wins",
        "a later deny does not", "another protocol's deny", "a deny for some addresses", "a deny for IPv6",
    ],
)  # fmt: skip
def test_the_first_entry_that_matches_decides(entries: list[AclEntry], expected: bool) -> None:
    """Entries count in the order of their numbers, and what none of them matches is denied."""
    assert cuts_off(entries) is expected
