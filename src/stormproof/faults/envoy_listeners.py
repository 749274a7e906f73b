"""The listeners in front of the dependencies, in the file that Envoy reads them from (listener discovery).

Taking one away frees its port: whoever connects is refused by the kernel, as by a machine on which nothing listens.
Envoy goes by the difference: the other listeners and their connections do not notice.
"""

from __future__ import annotations

import contextlib
import copy
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stormproof.errors import FaultError
from stormproof.faults import call_log
from stormproof.record.atomic import write_json

_TCP_PROXY_TYPE = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerFile:
    """One listener, by name, in the file of all of them."""

    path: str
    listener: str
    calls: str = ""  # where changes are written down; "": nowhere

    def read(self) -> dict[str, Any] | None:
        """The listener as it stands in the file, None when it is not there; `FaultError` for no such file."""
        return next((one for one in self._document()["resources"] if one.get("name") == self.listener), None)

    def prior(self, *, kind: str, dependency: str) -> dict[str, Any]:
        """The listener, whole, for a ledger; `FaultError` when it is not there, or does not speak HTTP."""
        listener = self.read()
        if listener is None or _filter_names(listener) != ["http"]:
            raise FaultError(
                f"{kind}: the listener of {dependency} is not as it should be: another fault is in force",
                hint="stormproof undo --list",
            )
        return {"listener": listener}

    def replace(self, expected: Mapping[str, Any] | None, wanted: Mapping[str, Any] | None) -> None:
        """Put *wanted* where *expected* is (None: no listener); harmless when it is so already.

        Raises `FaultError` when there is something else: somebody changed it since. Two who change different listeners
        at once do not lose each other's change.
        """
        with self._locked():
            document = self._document()
            others = [one for one in document["resources"] if one.get("name") != self.listener]
            now = self.read()
            if now == wanted:
                return
            if now != expected:
                raise FaultError(
                    f"{self.path}: the listener {self.listener!r} is neither as it was nor as we made it:"
                    " somebody else changed it since; left alone"
                )
            # By name: the file is the same again, byte for byte, whatever the order of several undos.
            resources = others if wanted is None else [*others, dict(wanted)]
            ordered = sorted(resources, key=lambda one: str(one["name"]))
            write_json(Path(self.path), {**document, "resources": ordered})
        call_log.write_down(self.calls, service=call_log.ENVOY, operation="ReplaceListeners")

    def _document(self) -> dict[str, Any]:
        try:
            document: dict[str, Any] = json.loads(Path(self.path).read_bytes())
        except (OSError, json.JSONDecodeError) as error:
            raise FaultError(f"{self.path}: the file of the proxy's listeners cannot be read ({error})") from error
        return document

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One change at a time; held for milliseconds, and given back by the kernel if the holder dies."""
        # Beside the folder, not in it: Envoy watches the folder.
        lock = Path(self.path).parent.with_suffix(".lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _filter_names(listener: Mapping[str, Any]) -> list[str]:
    return [one["name"] for chain in listener["filter_chains"] for one in chain["filters"]]


def resetting(listener: Mapping[str, Any], *, cluster: str, canary_source: str) -> dict[str, Any]:
    """*listener* with the same address, that passes bytes on to *cluster* and a reset back, and speaks no HTTP.

    Its log is the former one's. A connection from *canary_source* is ours and is not logged: where no HTTP is
    read, no header can say so.
    """
    changed = copy.deepcopy(dict(listener))
    (former,) = (one for chain in listener["filter_chains"] for one in chain["filters"])

    def chain(name: str, settings: dict[str, Any], match: dict[str, Any] | None = None) -> dict[str, Any]:
        proxy = {"@type": _TCP_PROXY_TYPE, "stat_prefix": name, "cluster": cluster, **settings}
        built: dict[str, Any] = {"name": name, "filters": [{"name": "tcp", "typed_config": proxy}]}
        return built if match is None else {**built, "filter_chain_match": match}

    ours = {"source_prefix_ranges": [{"address_prefix": canary_source, "prefix_len": 32}]}
    changed["filter_chains"] = [
        chain("reset-canary", {}, ours),
        chain("reset", {"access_log": former["typed_config"]["access_log"]}),
    ]
    return changed
