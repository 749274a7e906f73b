"""What a workload in AWS calls, as faults know it: through the file's side-car. Asks nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from stormproof.model.cloud import CloudFile
from stormproof.model.environment import Instance
from stormproof.proxy.sidecar import proxied_dependencies, proxy_of
from stormproof.spec.aws_dependencies import INSTANCE


def called(file: CloudFile) -> dict[str, Any]:
    """The fields of an `Environment` that say what is called and how that is broken."""
    return {
        "proxy": proxy_of(file.sidecar) if file.sidecar else None,
        "dependencies": proxied_dependencies(file),
        "release_parameter": file.parameters.release,
    }


def with_keys(zones: Mapping[str, tuple[Instance, ...]], file: CloudFile) -> dict[str, tuple[Instance, ...]]:
    """*zones* with each instance's key parameter, where the file has a name for them."""
    name = file.parameters.key
    if name is None:
        return dict(zones)
    return {
        zone: tuple(replace(one, key_parameter=name.replace(INSTANCE, one.id)) for one in own)
        for zone, own in zones.items()
    }
