"""Whether evidence comes from an emulated environment. Every consumer asks here; in doubt the answer is yes."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from stormproof.errors import InputError


def is_simulated(record: Mapping[str, Any]) -> bool:
    """Whether *record* is of an emulated run: unless it says, with the word false, that it is not."""
    return record.get("simulated") is not False


def signs_of_simulation(
    *, run: Mapping[str, Any], environment: Mapping[str, Any], verdict: Mapping[str, Any]
) -> list[str]:
    """Everything in a run's documents that shows an emulation, whatever the others say; empty for a real one."""
    signs = [
        f"{name} says simulated"
        for name, document in (("run.json", run), ("environment.json", environment), ("verdict.json", verdict))
        if document and document.get("simulated") is not False
    ]
    if not environment:
        signs.append("there is no environment.json, which would say where the run was")
    if run.get("variant") or environment.get("variant"):
        signs.append("it has a variant of the lab's shop")
    aws = environment.get("aws")
    endpoint = aws.get("endpoint_url") if isinstance(aws, Mapping) else None
    if endpoint and _is_local(str(endpoint)):
        signs.append("its AWS endpoint is on this machine")
    if environment.get("base_url") and _is_local(str(environment["base_url"])):
        signs.append("its workload is on this machine")
    return signs


def refuse_mixture(records: list[Mapping[str, Any]], *, where: str) -> None:
    """`InputError` when simulated and real records stand together, or a record does not say which it is."""
    unclear = [str(record.get("evidence_id")) for record in records if not isinstance(record.get("simulated"), bool)]
    if unclear:
        raise InputError(where=where, what=unclear[0], expected="simulated: true or false", got="neither")
    if len({is_simulated(record) for record in records}) > 1:
        raise InputError(
            where=where,
            what="simulated",
            expected="records that are all of a real environment, or all of an emulated one",
            got="both",
            hint="a run in the lab is no evidence of staging",
        )


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
