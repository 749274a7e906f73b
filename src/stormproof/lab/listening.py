"""Whether a part of the lab has come up: asked at its address, or of its process where several share one."""

from __future__ import annotations

import os
import socket
import subprocess
import urllib.error

from stormproof.faults.direct import open_direct
from stormproof.lab.topology import Address


def answers(address: Address) -> bool:
    """Whether the server at *address* says that it is healthy."""
    try:
        with open_direct(f"{address.url}/healthz", timeout_s=2.0) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def is_open(address: Address) -> bool:
    """Whether somebody listens at *address*."""
    with socket.socket() as probe:
        return probe.connect_ex((address.host, address.port)) == 0


def says_so(child: subprocess.Popen[bytes]) -> bool:
    """Whether a child that was started with pipes has said anything: a shop process does when it listens."""
    assert child.stdout is not None
    os.set_blocking(child.stdout.fileno(), False)
    try:
        return bool(os.read(child.stdout.fileno(), 4096))
    except BlockingIOError:
        return False
