"""What the shop's processes are told at run time: which release they serve, with which key they call.

In AWS these are parameters of Systems Manager. The supervisor keeps them in a file as the control plane has them, and
a process looks at the file's time before it reads it again: a request then costs no call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stormproof.lab.topology import key_parameter, release_parameter
from stormproof.record.atomic import write_json

KEY_HEADER = "x-api-key"
CURRENT_KEY = "current"  # what the dependencies accept


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version of the shop's code, as far as health checks and dependencies go."""

    name: str  # "" for the variant's own
    fallback: bool | None  # a static answer when recommendations fail; None: as the variant has it
    deep_check: bool  # whether /healthz asks the dependency


OWN_RELEASE = Release(name="", fallback=None, deep_check=False)
# The three servers of the Well-Architected lab "Implementing Health Checks and Managing Dependencies".
RELEASES: Mapping[str, Release] = {
    "v1": Release(name="v1", fallback=False, deep_check=False),  # an error page, and a check that says 200 always
    "v2": Release(name="v2", fallback=True, deep_check=False),  # graceful degradation
    "v3": Release(name="v3", fallback=True, deep_check=True),
}


class Parameters:
    """The parameters of one instance, as the file has them now."""

    def __init__(self, *, path: Path, instance_id: str) -> None:
        self._path, self._key_name = path, key_parameter(instance_id)
        self._read_at_ns = -1
        self._held: Mapping[str, str] = {}

    def release(self) -> Release:
        """What is to be served; a name that this code does not have is the variant's own."""
        return RELEASES.get(self._now().get(release_parameter(), ""), OWN_RELEASE)

    def key(self) -> str:
        """The key to call dependencies with."""
        return self._now().get(self._key_name, CURRENT_KEY)

    def _now(self) -> Mapping[str, str]:
        try:
            changed_at_ns = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return self._held
        if changed_at_ns != self._read_at_ns:
            self._held, self._read_at_ns = read_parameters(self._path), changed_at_ns
        return self._held


def read_parameters(path: Path) -> dict[str, str]:
    """The parameters in *path*; none where there is no file."""
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return {str(name): str(value) for name, value in document.items()}


def write_parameters(path: Path, parameters: Mapping[str, str]) -> None:
    """Replace them, whole or not at all."""
    write_json(path, dict(parameters))
