"""Which faults of a plan AWS FIS injects: where only FIS can, or where the environment says so and FIS has the fault.

FIS is given `limits.duration`: should nobody of ours be left, it ends the fault by itself. The undo stops it when the
fault is over.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stormproof.faults import catalogue, composite
from stormproof.faults.fis_outage import MODE
from stormproof.faults.fis_slow import MODE as SLOW
from stormproof.plan.fis import duration_text, request_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stormproof.model.environment import Environment
    from stormproof.model.experiment import Experiment
    from stormproof.model.plan import ResolvedFault

BY_FIS = "fis"
_OUTAGE_KEPT = ("zone", "instance_ids", "urls", "target_groups", "losses")


def through_fis(
    fault: ResolvedFault, experiment: Experiment, environment: Environment, *, is_denied: bool = False
) -> ResolvedFault:
    """*fault*, or the same through FIS; of one made of others, each part. *is_denied*: see `break_with_fis`."""
    if fault.parts:
        is_denied = any(part.kind == "capacity-denied" for part in fault.parts)
        parts = [through_fis(part, experiment, environment, is_denied=is_denied) for part in fault.parts]
        return composite.composed(fault.fault_id, parts)
    cloud, limit_s = environment.cloud, experiment.limits.duration_s
    if cloud is None:
        return _of_the_lab(fault, experiment) if fault.kind == "capacity-denied" else fault
    if fault.kind == "capacity-denied" or fault.target.get("mode") == SLOW:
        request = request_for(experiment, fault, environment, duration_s=limit_s, is_denied=False)
        return _asked(fault, fault.target, request, undo=fault.undo)
    if fault.kind != "az-loss" or cloud.az_loss_by != BY_FIS:
        return fault
    target = {**{key: fault.target[key] for key in _OUTAGE_KEPT}, "mode": MODE}
    undo = "stop the FIS experiment, delete its template, and see the instances running again"
    request = request_for(experiment, fault, environment, duration_s=limit_s, is_denied=is_denied)
    return _asked(fault, target, request, undo=undo)


def _asked(
    fault: ResolvedFault, target: Mapping[str, Any], request: tuple[Mapping[str, Any], Mapping[str, Any]], *, undo: str
) -> ResolvedFault:
    whole = {**target, "request": request[0], "expected": request[1]}
    bound = catalogue.bind(fault.kind, whole, fault.configuration)
    return replace(fault, target=whole, what=bound.what, undo=undo, effect=bound.effect)


def _of_the_lab(fault: ResolvedFault, experiment: Experiment) -> ResolvedFault:
    """The request is there, as the lab's FIS is asked; only its time is the experiment's."""
    request, duration = fault.target["request"], duration_text(experiment.limits.duration_s)
    actions = {
        name: {**one, "parameters": {**one["parameters"], "duration": duration}}
        for name, one in request["actions"].items()
    }
    return replace(fault, target={**fault.target, "request": {**request, "actions": actions}})
