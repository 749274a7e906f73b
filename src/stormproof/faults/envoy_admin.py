"""Envoy's admin interface, for the one Envoy that the plan names."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stormproof.errors import FaultError, IdentityError
from stormproof.faults import call_log
from stormproof.faults.direct import open_direct

TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyAdmin:
    """Reads and sets runtime values; every change checks first that this is the Envoy that was planned for."""

    url: str
    node_id: str
    calls: str = ""  # where changes are written down; "": nowhere

    def identify(self) -> None:
        """Raise `IdentityError` unless the node id at *url* is the planned one."""
        info = json.loads(self._request("GET", "/server_info"))
        found = str(info.get("node", {}).get("id", ""))
        if found != self.node_id:
            raise IdentityError(
                f"{self.url}: expected the Envoy with node id {self.node_id!r}, got {found!r}; nothing was touched",
                hint="the plan is older than the lab: plan again",
            )

    def overrides(self, keys: list[str]) -> dict[str, str | None]:
        """The admin layer's value of each key; None where the admin layer sets nothing."""
        held = self.all_overrides()
        return {key: held.get(key) for key in keys}

    def all_overrides(self) -> dict[str, str]:
        """Every key for which the admin layer has a value, in order."""
        document = json.loads(self._request("GET", "/runtime"))
        layers = list(document.get("layers", []))
        admin = next((index for index, name in enumerate(layers) if "admin" in name), None)
        if admin is None:
            return {}
        values = {key: entry.get("layer_values", []) for key, entry in document.get("entries", {}).items()}
        return {key: of[admin] for key, of in sorted(values.items()) if admin < len(of) and of[admin]}

    def listeners(self) -> dict[str, Any]:
        """The address of each listener that takes connections, by name."""
        document = json.loads(self._request("GET", "/listeners?format=json"))
        return {one["name"]: one["local_address"] for one in document.get("listener_statuses", [])}

    def set(self, values: Mapping[str, str | None]) -> None:
        """Set runtime values in the admin layer; None takes the admin layer's value away."""
        self.identify()
        query = urllib.parse.urlencode({key: "" if value is None else value for key, value in values.items()})
        self._request("POST", f"/runtime_modify?{query}")
        call_log.write_down(self.calls, service=call_log.ENVOY, operation="RuntimeModify")

    def clusters(self) -> dict[str, Any]:
        """The document behind ``/clusters?format=json``."""
        document: dict[str, Any] = json.loads(self._request("GET", "/clusters?format=json"))
        return document

    def _request(self, method: str, path: str) -> str:
        request = urllib.request.Request(self.url + path, method=method, data=b"" if method == "POST" else None)  # noqa: S310 - the URL is the environment's, checked to be http by its model
        try:
            with open_direct(request, timeout_s=TIMEOUT_S) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, OSError, TimeoutError) as error:
            raise FaultError(
                f"{self.url}{path.partition('?')[0]}: Envoy's admin interface does not answer ({error})"
            ) from error
