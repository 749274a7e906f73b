"""Which faults of a plan AWS FIS injects: where the environment says so, and FIS has the fault as the spec means it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stormproof.faults import catalogue
from stormproof.faults.fis_outage import MODE
from stormproof.plan.fis import request_for

if TYPE_CHECKING:
    from stormproof.model.environment import Environment
    from stormproof.model.experiment import Experiment
    from stormproof.model.plan import ResolvedFault

BY_FIS = "fis"


def through_fis(fault: ResolvedFault, experiment: Experiment, environment: Environment) -> ResolvedFault:
    """*fault*, or the same through FIS. FIS is given `limits.duration`; the undo stops it when the fault is over."""
    cloud = environment.cloud
    if cloud is None or fault.kind != "az-loss" or cloud.az_loss_by != BY_FIS:
        return fault
    request = request_for(experiment, fault, environment, duration_s=experiment.limits.duration_s)
    kept = {key: fault.target[key] for key in ("zone", "instance_ids", "urls", "target_groups", "losses")}
    target = {**kept, "mode": MODE, "request": request}
    bound = catalogue.bind(fault.kind, target, fault.configuration)
    undo = "stop the FIS experiment, delete its template, and see the instances running again"
    return replace(fault, target=target, what=bound.what, undo=undo, effect=bound.effect)
