"""Where the load workers of other machines are awaited."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

# The most that the rows of a worker elsewhere may be off on the conductor's clock. Windows are seconds long and blocks
# are one: a twentieth of a second moves at most a twentieth of a block's requests.
CLOCK_ERROR_S_MAX = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadListener:
    """One address of the conductor's machine, and what proves that a worker belongs to it."""

    host: str  # an IP address of this machine
    port: int  # 0: any that is free
    token_file: str  # absolute path
    join_within_s: float = 60.0  # a worker that has not joined by then is missing

    @property
    def is_loopback(self) -> bool:
        """Whether only processes of this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def address(self) -> str:
        """``host:port``, as in `stormproof load worker --connect`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
