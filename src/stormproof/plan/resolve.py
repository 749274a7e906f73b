"""The faults of a spec bound to an environment: what exactly will be touched, and no more than allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormproof.errors import InputError
from stormproof.faults import catalogue

if TYPE_CHECKING:
    from stormproof.model.environment import Environment
    from stormproof.model.experiment import Experiment
    from stormproof.model.plan import ResolvedFault


def resolve_faults(experiment: Experiment, environment: Environment) -> tuple[ResolvedFault, ...]:
    """Each fault with its targets, in the spec's order. Touches nothing.

    Raises `InputError` for a name that the environment does not know, for a fault without targets, and for
    more targets than `limits.targets`.
    """
    resolved = tuple(
        catalogue.resolve(
            fault.kind,
            fault.arguments,
            environment,
            fault_id=f"{number}-{fault.kind}",
            where=fault.where,
        )
        for number, fault in enumerate(experiment.faults, start=1)
    )
    for request, fault in zip(experiment.faults, resolved, strict=True):
        if not fault.targets:
            expected = "a fault that touches something"
            raise InputError(where=request.where, what=fault.fault_id, expected=expected, got="no targets")
    check_targets(experiment, resolved)
    return resolved


def check_targets(experiment: Experiment, faults: tuple[ResolvedFault, ...]) -> None:
    """`InputError` when *faults* together touch more things than the experiment's limit allows."""
    targets = sorted({target for fault in faults for target in fault.targets})
    if len(targets) > experiment.limits.targets:
        raise InputError(
            where=experiment.path,
            what="limits.targets",
            expected=f"at most {experiment.limits.targets} things to be touched",
            got=f"{len(targets)}: {', '.join(targets[:6])}{', …' if len(targets) > 6 else ''}",
            hint="raise limits.targets if that is meant, or choose a smaller fault",
        )
