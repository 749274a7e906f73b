"""The shop's builds, and where the one that is wanted stands: small, and real enough to be released and rolled back."""

from __future__ import annotations

from dataclasses import dataclass

# In SSM: what is wanted (anybody may set it), and what the deployment says of itself (JSON; only it writes there).
WANTED_PARAMETER = "/deployment/shop/wanted"
STATUS_PARAMETER = "/deployment/shop/status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One build of the shop."""

    name: str
    # What its health page and its other pages answer whatever is asked; None: what they should.
    health_status: int | None = None
    pages_status: int | None = None


FIRST = Build(name="1.0.0")
# Starts and listens like any other: only who asks whether it is well, or uses it, finds out.
BROKEN = Build(name="1.1.0-broken", health_status=503, pages_status=500)

BUILDS = {build.name: build for build in (FIRST, BROKEN)}
