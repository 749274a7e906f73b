"""Whether a part of the lab has come up: asked at its address, or of its process where several share one."""

from __future__ import annotations

import socket
import urllib.error

import psutil

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


def listens(pid: int) -> bool:
    """Whether the process has a TCP socket that listens: which of two that share a port, no connect could tell."""
    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.NoSuchProcess:
        return False
    return any(connection.status == psutil.CONN_LISTEN for connection in connections)
