"""Which faults there are. An explicit table: a fault that is not named here does not exist."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from stormproof.errors import FaultError, InputError
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault

if TYPE_CHECKING:
    from pydantic import BaseModel

    from stormproof.faults.protocol import Fault

LOCAL = "local"  # among a module's ENVIRONMENTS: it can be injected in the lab
AWS = "aws"  # among a module's ENVIRONMENTS: it can be injected where `kind: aws`

KINDS: dict[str, str] = {
    "az-loss": "stormproof.faults.az_loss",
    "bad-deploy": "stormproof.faults.bad_deploy",
    "capacity-denied": "stormproof.faults.capacity_denied",
    "composite": "stormproof.faults.composite",
    "control-plane-denied": "stormproof.faults.control_plane_denied",
    "cpu-stress": "stormproof.faults.cpu_stress",
    "dependency-bad-tls": "stormproof.faults.dependency_bad_tls",
    "database-failover": "stormproof.faults.database_failover",
    "database-reboot": "stormproof.faults.database_reboot",
    "dependency-cut": "stormproof.faults.dependency_cut",
    "dependency-dns": "stormproof.faults.dependency_dns",
    "dependency-error": "stormproof.faults.dependency_error",
    "dependency-latency": "stormproof.faults.dependency_latency",
    "dependency-refuse": "stormproof.faults.dependency_refuse",
    "dependency-reset": "stormproof.faults.dependency_reset",
    "dependency-timeout": "stormproof.faults.dependency_timeout",
    "instance-stop": "stormproof.faults.instance_stop",
    "instance-terminate": "stormproof.faults.instance_terminate",
    "lambda-concurrency": "stormproof.faults.lambda_concurrency",
    "memory-pressure": "stormproof.faults.memory_pressure",
    "process-kill": "stormproof.faults.process_kill",
    "key-stale": "stormproof.faults.key_stale",
    "process-pause": "stormproof.faults.process_pause",
    "release": "stormproof.faults.release",
    "throttling": "stormproof.faults.throttling",
}


def module(kind: str) -> ModuleType:
    """The module of *kind*; `FaultError` for a kind that does not exist."""
    if kind not in KINDS:
        raise FaultError(f"there is no fault {kind!r}", hint=f"known: {', '.join(KINDS)}")
    return importlib.import_module(KINDS[kind])


def of_aws() -> list[str]:
    """The kinds that can be injected in an environment in AWS."""
    return [kind for kind in KINDS if AWS in module(kind).ENVIRONMENTS]


def has_undo(kind: str) -> bool:
    """Whether the undo of *kind* brings back what was there; a module whose undo cannot says `HAS_UNDO = False`."""
    return bool(getattr(module(kind), "HAS_UNDO", True))


def argument_models() -> dict[str, type[BaseModel]]:
    """For each kind, the model that its arguments in a spec are checked against."""
    return {kind: module(kind).Arguments for kind in KINDS}


def resolve(
    kind: str, arguments: Mapping[str, Any], environment: Environment, *, fault_id: str, where: str = ""
) -> ResolvedFault:
    """Bind a fault's *arguments* (checked already) to *environment*; `InputError` for a name it does not know."""
    one = module(kind)
    if environment.cloud is not None and AWS not in one.ENVIRONMENTS:
        raise InputError(
            where=where,
            what=f"faults: {kind}",
            expected=f"a fault that can be injected in AWS: {', '.join(of_aws())}",
            got=kind,
            hint=f"{environment.name!r} is of kind aws; this one needs the lab: --env local",
        )
    if environment.cloud is None and LOCAL not in one.ENVIRONMENTS:
        raise InputError(
            where=where,
            what=f"faults: {kind}",
            expected="a fault that can be injected in the lab",
            got=kind,
            hint="this one needs an environment of kind aws: docs/guides/staging.md",
        )
    resolved: ResolvedFault = one.resolve(
        one.Arguments.model_validate(dict(arguments)), environment, fault_id=fault_id, where=where
    )
    return resolved


def bind(kind: str, target: Mapping[str, Any], configuration: Mapping[str, Any]) -> Fault:
    """A fault from the data in a ledger."""
    fault: Fault = module(kind).bind(target, configuration)
    return fault
