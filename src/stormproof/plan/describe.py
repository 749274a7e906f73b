"""What a run would do, before it does anything: `stormproof plan`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from stormproof.model.hypothesis import Claim, Hypothesis, Metric, Phase, ReadingHypothesis
from stormproof.plan.closing import closing_probes
from stormproof.plan.control import control_lines, describe_control
from stormproof.plan.power import Power, by_chance, is_undecidable, power_of
from stormproof.plan.resolve import check_limits, most_at_once
from stormproof.spec.hypothesis_text import format_hypothesis, format_stop_condition
from stormproof.spec.quantity import format_duration, format_rate, format_share

if TYPE_CHECKING:
    from stormproof.model.cloud import Cloud
    from stormproof.model.environment import Environment
    from stormproof.model.experiment import Experiment
    from stormproof.model.plan import ResolvedFault


def describe(experiment: Experiment, resolved: tuple[ResolvedFault, ...], environment: Environment) -> dict[str, Any]:
    """The plan as data: load, timeline, what would be touched and how it is undone, what each claim needs.

    Raises `InputError` when the faults are more, or touch more, than `limits` allow.
    """
    check_limits(experiment, resolved, environment)
    load = experiment.load
    phases: dict[str, float] = {
        Phase.STEADY: experiment.timeline.steady_s,
        Phase.FAULT: experiment.timeline.fault_s,
        Phase.RECOVERY: experiment.timeline.recovery_s,
    }
    stretches = phases | {step.name: step.duration_s for step in experiment.steps}
    return {
        "slug": experiment.slug,
        "title": experiment.title,
        "why": experiment.why,
        "environment": {
            "name": environment.name,
            "simulated": environment.simulated,
            "variant": environment.variant,
            "base_url": environment.base_url,
            "account": environment.aws.account,
            "region": environment.aws.region,
            **({"cloud": _cloud(environment.cloud, environment)} if environment.cloud else {}),
        },
        "load": {
            "model": "open" if load.arrivals_per_s is not None else "closed",
            "arrivals_per_s": load.arrivals_per_s,
            "users": load.users,
            "workers": load.workers,
            "timeout_s": load.timeout_s,
            "delivered_share_min": load.delivered_share_min,
            "warmup_s": load.warmup_s,
        },
        "timeline": [
            {"phase": str(phase), "seconds": seconds, "requests_expected": _expected(experiment, seconds)}
            for phase, seconds in phases.items()
        ],
        "fault_ends": _fault_ends(experiment),
        "steps": [
            {
                "name": step.name,
                "seconds": step.duration_s,
                "requests_expected": _expected(experiment, step.duration_s),
                "faults": list(experiment.step_fault_ids[step.name]),
            }
            for step in experiment.steps
        ],
        "faults": [_fault(fault) for fault in resolved],
        "hypotheses": [_claim(one, experiment, stretches) for one in experiment.hypotheses],
        "control": _control(experiment, environment, phases),
        "closing_probes": list(closing_probes(experiment)),
        "told": _told(environment),
        "stop_when": [format_stop_condition(one) for one in experiment.stop_when],
        "limits": asdict(experiment.limits),
        "faults_at_once": len(most_at_once(experiment, resolved)),
        "targets": sorted({target for fault in resolved for target in fault.targets}),
        "reliability": list(experiment.reliability),
    }


def _told(environment: Environment) -> dict[str, Any] | None:
    """Who hears of a run, and when."""
    topic = environment.cloud.topic_arn if environment.cloud else None
    return {"topic": topic, "when": ["begins", "aborted", "ended"]} if topic else None


def _control(experiment: Experiment, environment: Environment, phases: dict[str, float]) -> dict[str, Any] | None:
    if experiment.control_header is not None:
        return describe_control(experiment, environment, phases)
    return {"zone": experiment.control_zone} if experiment.control_zone else None


def _fault_ends(experiment: Experiment) -> dict[str, Any]:
    """When the fault is taken back: after its time, or earlier, and which claims stand in the way of that."""
    if not experiment.timeline.until_decided:
        return {"until_decided": False}
    about = [one for one in experiment.hypotheses if one.depends_on_fault]
    late = [one.text for one in about if not one.can_be_decided_early]
    return {
        "until_decided": True,
        "at_least_s": experiment.timeline.fault_min_s,
        "at_most_s": experiment.timeline.fault_s,
        "not_before_its_end": late,
    }


def _cloud(cloud: Cloud, environment: Environment) -> dict[str, Any]:
    return {
        "tags": dict(cloud.tags),
        "zones": {
            name: {
                "id": zone.az_id,
                "name": zone.az_name,
                "instances": [one.id for one in environment.zones.get(name, ())],
                "subnets": list(zone.subnets),
            }
            for name, zone in cloud.zones.items()
        },
        "auto_scaling_groups": [one.name for one in cloud.scaling_groups],
        "database_clusters": {one.name: {"writer": one.writer, "members": dict(one.members)} for one in cloud.clusters},
        "cache_groups": {
            one.name: {"primary": one.primary, "members": dict(one.members)} for one in cloud.cache_groups
        },
        "load_balancers": dict(cloud.load_balancers),
        "target_groups": dict(cloud.target_groups),
    }


def _cloud_lines(cloud: dict[str, Any]) -> list[str]:
    """What was found by its tags: whoever reads the plan sees what was left out."""
    tags = ", ".join(f"{key}={value}" for key, value in cloud["tags"].items())
    return [
        f"  tags      {tags}",
        *(
            f"  zone {name:<4} {zone['name']} ({zone['id']}): {', '.join(zone['instances']) or 'no instance'};"
            f" {', '.join(zone['subnets']) or 'no subnet'}"
            for name, zone in cloud["zones"].items()
        ),
        *(f"  group     {name}" for name in cloud["auto_scaling_groups"]),
        *(f"  cluster   {name}, written by {row['writer']}" for name, row in cloud["database_clusters"].items()),
        *(f"  cache     {name}, led by {row['primary'] or '?'}" for name, row in cloud["cache_groups"].items()),
    ]


def _fault(fault: ResolvedFault) -> dict[str, Any]:
    row = {
        "fault_id": fault.fault_id,
        "kind": fault.kind,
        "what": fault.what,
        "targets": list(fault.targets),
        "undo": fault.undo,
        "effect": dict(fault.effect),
    }
    parts = [{"at_s": part.at_s, **_fault(part)} for part in fault.parts]
    return {**row, "parts": parts} if parts else row


def describe_text(plan: dict[str, Any]) -> str:
    """`describe`'s answer for a terminal: plain lines, no colours."""
    environment, load = plan["environment"], plan["load"]
    kind = "simulated" if environment["simulated"] else "real"
    variant = f", variant {environment['variant']}" if environment["variant"] else ""
    drive = format_rate(load["arrivals_per_s"]) if load["model"] == "open" else f"{load['users']} users"
    lines = [
        plan["title"],
        f"  where     {environment['name']} ({kind}{variant}), {environment['base_url']}",
        *(_cloud_lines(environment["cloud"]) if environment.get("cloud") else []),
        (
            f"  load      {drive}, {load['model']} model, {load['workers']} worker(s), "
            f"{format_duration(load['warmup_s'])} warm-up; "
            f"invalid below {format_share(load['delivered_share_min'])} sent"
        ),
        "  timeline  " + " → ".join(_phase_text(row) for row in plan["timeline"]),
        *_until_decided(plan["fault_ends"]),
        *(f"  step      {_step_text(row)}" for row in plan["steps"]),
        "",
        "would be touched, and how it is undone:",
    ]
    for fault in plan["faults"]:
        for one in fault.get("parts", [fault]):
            after = f"after {format_duration(one['at_s'])}, " if one.get("at_s") else ""
            lines += [f"  {one['fault_id']}: {after}{one['what']}", f"    undo: {one['undo']}"]
    limit = plan["limits"]
    lines += [
        (
            f"  {len(plan['targets'])} of at most {limit['targets']} targets, "
            f"at most {format_share(limit['share'])} of the instances, "
            f"{plan['faults_at_once']} of at most {limit['faults_at_once']} fault(s) at once, "
            f"at most {format_duration(limit['duration_s'])}"
        ),
        "",
        "would be judged:",
    ]
    if plan["control"] and "header" in plan["control"]:
        lines += control_lines(plan["control"], Phase.FAULT)
    elif plan["control"]:
        lines.append(f"  control: the requests that zone {plan['control']['zone']} answers, in the same seconds")
    for claim in plan["hypotheses"]:
        lines += [f"  {claim['claim']}", f"    {claim['note']}"] if claim["note"] else [f"  {claim['claim']}"]
    if undecided := sum(not claim["can_be_decided"] for claim in plan["hypotheses"]):
        claims = f"{undecided} of {len(plan['hypotheses'])} claims"
        lines.append(f"  WARNING: {claims} cannot be decided as planned; a longer phase or a higher rate can")
    if plan["told"]:
        lines += ["", f"would be told when it begins, is aborted and has ended: {plan['told']['topic']}"]
    if plan["stop_when"]:
        lines += ["", "would end the run early:", *(f"  {text}" for text in plan["stop_when"])]
    return "\n".join(lines)


def _until_decided(ends: dict[str, Any]) -> list[str]:
    if not ends["until_decided"]:
        return []
    most = format_duration(ends["at_most_s"])
    late = ends["not_before_its_end"]
    if late:
        why = f"{len(late)} claim(s) can only be decided at its end: {'; '.join(late)}"
        return [f"  until     decided, but the fault will last its {most}: {why}"]
    least = format_duration(ends["at_least_s"])
    return [
        f"  until     decided: the fault lasts {least} to {most}, and ends once every claim about it is decided",
        "            (to be looked at all along, a claim needs about a third more requests than is said below)",
    ]


def _step_text(row: dict[str, Any]) -> str:
    return f"{_phase_text({**row, 'phase': row['name']})}: {', '.join(row['faults'])}"


def _phase_text(row: dict[str, Any]) -> str:
    requests = "" if row["requests_expected"] is None else f" (about {row['requests_expected']:,} requests)"
    return f"{row['phase']} {format_duration(row['seconds'])}{requests}"


def _claim(hypothesis: Claim, experiment: Experiment, stretches: dict[str, float]) -> dict[str, Any]:
    if isinstance(hypothesis, ReadingHypothesis):
        return {
            "claim": format_hypothesis(hypothesis),
            "requests_needed": None,
            "requests_expected": None,
            "expected_is_upper_end": False,
            "seconds_needed": None,
            "held_with_at_most": None,
            "share_refuted": None,
            "ratio_refuted": None,
            "can_be_decided": True,
            "note": f"read by {hypothesis.probe} when the load has ended",
        }
    share = experiment.control_header.share if experiment.control_header else 0.0
    expected = _expected(experiment, stretches[hypothesis.window] * (1 - share)) if hypothesis.phase else None
    is_part = hypothesis.endpoint is not None or hypothesis.zone is not None
    power = power_of(
        hypothesis,
        rate_per_s=experiment.load.arrivals_per_s,
        stretches_s=stretches,
        claims_by_chance=by_chance(experiment.hypotheses),
        control_share=share,
    )
    return {
        "claim": format_hypothesis(hypothesis),
        "requests_needed": power.requests_needed,
        "requests_expected": expected,
        "expected_is_upper_end": is_part,  # the locustfile decides what share an endpoint or a zone gets
        "seconds_needed": power.seconds_needed,
        "held_with_at_most": power.bad_max,
        "share_refuted": power.share_seen,
        "ratio_refuted": power.ratio_seen,
        "can_be_decided": not power.warning,
        "note": _note(hypothesis, power, expected, is_part=is_part),
    }


def _note(hypothesis: Hypothesis, power: Power, expected: int | None, *, is_part: bool) -> str:
    if is_undecidable(hypothesis):
        return "can be refuted, but no number of requests can make it held"
    if power.requests_needed is None:
        return _seen(hypothesis, power) or power.warning
    good = "requests" if hypothesis.metric is Metric.LATENCY_QUANTILE else "requests without an error"
    each = " in each phase" if hypothesis.relative_to_steady else " in each group" if hypothesis.control_header else ""
    need = f"needs {power.requests_needed:,} {good}{each} to be held"
    if expected is None:
        return need
    about = f"at most {expected:,}" if is_part else f"about {expected:,}"
    rest = power.warning or ("" if is_part else _seen(hypothesis, power))
    return f"{need}; {about} are expected" + (f": {rest}" if rest else "")


def _seen(hypothesis: Hypothesis, power: Power) -> str:
    """What the claim would see at the planned rate and length; "" where nobody can say."""
    if power.ratio_seen is not None:
        assumed = "if p99 is twice the median and the level does not drift"
        return f"a true {power.ratio_seen:.3g}x is refuted 4 times in 5, {assumed}"
    if power.share_seen is None:
        return ""
    bad = "take longer" if hypothesis.metric is Metric.LATENCY_QUANTILE else "fail"
    if hypothesis.control_header is not None:
        return f"refuted 4 times in 5 if {power.share_seen:.2%} {bad}, and none of the control's"
    held = f"held if at most {power.bad_max:,} {bad}, " if power.bad_max is not None else ""
    return f"{held}refuted 4 times in 5 if {power.share_seen:.2%} {bad}"


def _expected(experiment: Experiment, seconds: float) -> int | None:
    """Requests in *seconds* of an open model; a closed model sends as fast as it is answered."""
    rate = experiment.load.arrivals_per_s
    return None if rate is None else round(rate * seconds)
