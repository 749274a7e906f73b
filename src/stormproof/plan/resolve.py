"""The faults of a spec bound to an environment: what exactly will be touched, and no more than allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormproof.errors import InputError
from stormproof.faults import catalogue
from stormproof.plan.closing import check_dependencies
from stormproof.plan.control import check_control
from stormproof.plan.through_fis import through_fis
from stormproof.spec.quantity import format_share

if TYPE_CHECKING:
    from stormproof.model.environment import Environment
    from stormproof.model.experiment import Experiment
    from stormproof.model.plan import ResolvedFault

PARTS = "parts"  # the key of a target under which a fault made of others keeps them, each with its `kind`
_ROUNDING = 1e-9  # a share written as 33.3333333333% of three


def resolve_faults(experiment: Experiment, environment: Environment) -> tuple[ResolvedFault, ...]:
    """Each fault with its targets, in the spec's order. Touches nothing.

    Raises `InputError` for a name that a fault or a claim uses and the environment does not know, for a fault
    without targets, and for more than `limits` allow.
    """
    check_dependencies(experiment, environment)
    resolved = tuple(
        catalogue.resolve(
            fault.kind,
            fault.arguments,
            environment,
            fault_id=fault_id,
            where=fault.where,
        )
        for fault_id, fault in zip(experiment.fault_ids, experiment.faults, strict=True)
    )
    for request, fault in zip(experiment.faults, resolved, strict=True):
        if not fault.targets:
            expected = "a fault that touches something"
            raise InputError(where=request.where, what=fault.fault_id, expected=expected, got="no targets")
    check_limits(experiment, resolved, environment)
    check_control(experiment, resolved, environment)
    return tuple(through_fis(fault, experiment, environment) for fault in resolved)


def check_limits(experiment: Experiment, faults: tuple[ResolvedFault, ...], environment: Environment) -> None:
    """`InputError` when *faults* together are more, or touch more, than the experiment's limits allow."""
    limits = experiment.limits
    targets = sorted({target for fault in faults for target in fault.targets})
    if len(targets) > limits.targets:
        raise InputError(
            where=experiment.path,
            what="limits.targets",
            expected=f"at most {limits.targets} things to be touched",
            got=f"{len(targets)}: {_shown(targets)}",
            hint="raise limits.targets if that is meant, or choose a smaller fault",
        )
    kinds = most_at_once(experiment, faults)
    if len(kinds) > limits.faults_at_once:
        raise InputError(
            where=experiment.path,
            what="limits.faults_at_once",
            expected=f"at most {limits.faults_at_once} in force together",
            got=f"{len(kinds)}: {_shown(kinds)}",
            hint=f"say `faults_at_once: {len(kinds)}` under limits if that is meant",
        )
    instances = {instance.id for zone in environment.zones.values() for instance in zone}
    touched = instances.intersection(targets)
    if touched and len(touched) / len(instances) > limits.share + _ROUNDING:
        raise InputError(
            where=experiment.path,
            what="limits.share",
            expected=f"at most {format_share(limits.share)} of the {len(instances)} instances to be touched",
            got=f"{len(touched)}, {len(touched) / len(instances):.0%}: {_shown(sorted(touched))}",
            hint="raise limits.share if that is meant, or choose a smaller fault",
        )


def most_at_once(experiment: Experiment, faults: tuple[ResolvedFault, ...]) -> list[str]:
    """The kinds in force together: all of *faults*, or those of the step that has most."""
    if not experiment.steps:
        return kinds_of(faults)
    by_id = {fault.fault_id: fault for fault in faults}
    steps = [kinds_of(tuple(by_id[one] for one in ids)) for ids in experiment.step_fault_ids.values()]
    return max(steps, key=len)


def kinds_of(faults: tuple[ResolvedFault, ...]) -> list[str]:
    """The kind of every fault, and of every part of one that is made of others, in their order."""
    kinds: list[str] = []
    for fault in faults:
        parts = fault.target.get(PARTS)
        kinds += [str(part["kind"]) for part in parts] if parts else [fault.kind]
    return kinds


def _shown(names: list[str]) -> str:
    return f"{', '.join(names[:6])}{', …' if len(names) > 6 else ''}"
