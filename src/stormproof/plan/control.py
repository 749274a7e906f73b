"""Whether a control group by header can be one here: somebody routes it, and no fault reaches it.

What cannot be said of a fault speaks against it: only a fault that touches instances, and names all of them, leaves a
part of the workload alone. A dependency, a database, a role or a function is everybody's (docs/adr/0069).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stormproof.errors import InputError
from stormproof.spec.quantity import format_share

if TYPE_CHECKING:
    from stormproof.model.control import ControlRoute
    from stormproof.model.environment import Environment
    from stormproof.model.experiment import Experiment
    from stormproof.model.plan import ResolvedFault

SHARED_LOSSES = ("databases",)  # what an AZ loss in AWS may take besides that all zones use
UNLIKE = 2.5  # times the requests of an instance of the other group: then load alone may explain a difference


def check_control(experiment: Experiment, faults: tuple[ResolvedFault, ...], environment: Environment) -> None:
    """Raise `InputError` where the spec has a control group by header, and *environment* or *faults* allow none."""
    control = experiment.control_header
    if control is None:
        return
    route = environment.control_route
    if route is None or route.header != control.header:
        raise InputError(
            where=experiment.path,
            what="control.header",
            expected=f"the header by which {environment.name!r} routes, {route.header if route else 'and it has none'}",
            got=f"`{control.header}`",
            hint="the owner of a balancer says it in the environment's file: control: {header: x-…, zone: c}",
        )
    own = {one.id for one in environment.zones.get(route.zone, ())}
    others = {one.id for zone, there in environment.zones.items() if zone != route.zone for one in there}
    if not own or not others:
        raise InputError(
            where=experiment.path,
            what="control",
            expected=f"instances in zone {route.zone}, the control's, and in others",
            got=f"{len(own)} and {len(others)}",
        )
    for fault in (atom for one in faults for atom in one.atoms):
        _check_spared(fault, own, others, route, where=experiment.path)


def describe_control(experiment: Experiment, environment: Environment, seconds: Mapping[str, float]) -> dict[str, Any]:
    """The control group by header as a plan shows it: who answers it, and how many requests it gets in each phase.

    *seconds* says how long each phase is meant to last.
    """
    control, route, rate = experiment.control_header, environment.control_route, experiment.load.arrivals_per_s
    assert control is not None, "only where there is one"
    assert rate is not None, "checked with the spec"
    zone = route.zone if route else None
    counts = [len(there) for name, there in environment.zones.items() if name != zone]
    own = len(environment.zones.get(zone, ())) if zone else 0
    return {
        "header": control.header,
        "share": control.share,
        "zone": zone,
        "requests_expected": {phase: round(rate * control.share * long) for phase, long in seconds.items()},
        "per_instance_per_s": rate * control.share / own if own else None,
        "others_per_instance_per_s": rate * (1 - control.share) / sum(counts) if sum(counts) else None,
    }


def control_lines(control: Mapping[str, Any], fault: str) -> list[str]:
    """`describe_control`'s answer for a terminal; *fault* is the phase that claims are about."""
    share, header, expected = format_share(control["share"]), control["header"], control["requests_expected"][fault]
    lines = [
        f"  control: {share} of the arrivals, marked by {header}, which zone {control['zone']} alone answers",
        f"    about {expected:,} in the {fault} phase; what is not compared with it is claimed of the others only",
    ]
    own, others = control["per_instance_per_s"], control["others_per_instance_per_s"]
    if own and others:
        lines.append(f"    an instance of the control gets {own:.3g}/s, one of the others {others:.3g}/s")
        if max(own, others) > UNLIKE * min(own, others):
            even = control["share"] / own / (control["share"] / own + (1 - control["share"]) / others)
            lines.append(f"    WARNING: groups under unlike load are unlike groups; a share of {even:.0%} evens it out")
    return lines


def _check_spared(fault: ResolvedFault, own: set[str], others: set[str], route: ControlRoute, *, where: str) -> None:
    shared = [one for one in fault.targets if one not in own | others]
    losses = fault.target.get("losses", {})
    shared += [one for one in SHARED_LOSSES if one in losses]
    if shared:
        raise InputError(
            where=where,
            what="control",
            expected="faults of instances: what both groups use, neither is spared",
            got=f"{fault.fault_id}, which touches {', '.join(shared[:3])}",
            hint="leave `control` out, and compare with `x steady`",
        )
    hit = [one for one in fault.targets if one in own]
    if hit:
        raise InputError(
            where=where,
            what="control",
            expected=f"faults that leave zone {route.zone}, the control's, alone",
            got=f"{fault.fault_id}, which touches {', '.join(hit[:3])}",
        )
