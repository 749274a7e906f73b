"""What a run would do, before it does anything: `stormproof plan`."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from stormproof.model.hypothesis import Hypothesis, Metric, Op, Phase
from stormproof.plan.resolve import check_limits, most_at_once
from stormproof.spec.hypothesis import format_hypothesis, format_stop_condition
from stormproof.spec.quantity import format_duration, format_rate, format_share

if TYPE_CHECKING:
    from stormproof.model.environment import Environment
    from stormproof.model.experiment import Experiment
    from stormproof.model.plan import ResolvedFault

_TAIL = 0.025  # beyond each end of a 95 % two-sided interval


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
        "steps": [
            {
                "name": step.name,
                "seconds": step.duration_s,
                "requests_expected": _expected(experiment, step.duration_s),
                "faults": list(experiment.step_fault_ids[step.name]),
            }
            for step in experiment.steps
        ],
        "faults": [
            {
                "fault_id": fault.fault_id,
                "kind": fault.kind,
                "what": fault.what,
                "targets": list(fault.targets),
                "undo": fault.undo,
                "effect": dict(fault.effect),
            }
            for fault in resolved
        ],
        "hypotheses": [_claim(one, experiment, stretches) for one in experiment.hypotheses],
        "stop_when": [format_stop_condition(one) for one in experiment.stop_when],
        "limits": asdict(experiment.limits),
        "faults_at_once": len(most_at_once(experiment, resolved)),
        "targets": sorted({target for fault in resolved for target in fault.targets}),
        "reliability": list(experiment.reliability),
    }


def requests_needed(hypothesis: Hypothesis) -> int | None:
    """How many requests without a bad one it takes for *hypothesis* to be held; None where no number can say.

    Shares: the smallest n whose Clopper–Pearson 95 % two-sided interval, for 0 bad of n, clears the bound:
    ln(0.025) / ln(share). Percentiles: the smallest n whose order statistics bound the quantile q on both
    sides: ln(0.025) / ln(max(q, 1 - q)); below it there is no estimate. Other metrics: None.
    """
    if hypothesis.metric is Metric.LATENCY_QUANTILE:
        quantile = hypothesis.quantile or 0.5
        return _run_length(max(quantile, 1 - quantile))
    if hypothesis.relative_to_steady:
        return None
    if hypothesis.metric is Metric.AVAILABILITY and hypothesis.op in (Op.GE, Op.GT):
        return _run_length(hypothesis.bound)
    if hypothesis.metric is Metric.ERROR_RATE and hypothesis.op in (Op.LE, Op.LT):
        return _run_length(1 - hypothesis.bound)
    return None


def is_undecidable(hypothesis: Hypothesis) -> bool:
    """Whether no number of requests can make the claim held: a share bound of exactly all or none."""
    if hypothesis.relative_to_steady:
        return False
    all_good = hypothesis.metric is Metric.AVAILABILITY and hypothesis.op is Op.GE and hypothesis.bound >= 1
    none_bad = hypothesis.metric is Metric.ERROR_RATE and hypothesis.op is Op.LE and hypothesis.bound <= 0
    return all_good or none_bad


def describe_text(plan: dict[str, Any]) -> str:
    """`describe`'s answer for a terminal: plain lines, no colours."""
    environment, load = plan["environment"], plan["load"]
    kind = "simulated" if environment["simulated"] else "real"
    variant = f", variant {environment['variant']}" if environment["variant"] else ""
    drive = format_rate(load["arrivals_per_s"]) if load["model"] == "open" else f"{load['users']} users"
    lines = [
        plan["title"],
        f"  where     {environment['name']} ({kind}{variant}), {environment['base_url']}",
        (
            f"  load      {drive}, {load['model']} model, {load['workers']} worker(s), "
            f"{format_duration(load['warmup_s'])} warm-up; "
            f"invalid below {format_share(load['delivered_share_min'])} sent"
        ),
        "  timeline  " + " → ".join(_phase_text(row) for row in plan["timeline"]),
        *(f"  step      {_step_text(row)}" for row in plan["steps"]),
        "",
        "would be touched, and how it is undone:",
    ]
    for fault in plan["faults"]:
        lines += [f"  {fault['fault_id']}: {fault['what']}", f"    undo: {fault['undo']}"]
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
    for claim in plan["hypotheses"]:
        lines += [f"  {claim['claim']}", f"    {claim['note']}"] if claim["note"] else [f"  {claim['claim']}"]
    if plan["stop_when"]:
        lines += ["", "would end the run early:", *(f"  {text}" for text in plan["stop_when"])]
    return "\n".join(lines)


def _step_text(row: dict[str, Any]) -> str:
    return f"{_phase_text({**row, 'phase': row['name']})}: {', '.join(row['faults'])}"


def _phase_text(row: dict[str, Any]) -> str:
    requests = "" if row["requests_expected"] is None else f" (about {row['requests_expected']:,} requests)"
    return f"{row['phase']} {format_duration(row['seconds'])}{requests}"


def _claim(hypothesis: Hypothesis, experiment: Experiment, stretches: dict[str, float]) -> dict[str, Any]:
    needed = requests_needed(hypothesis)
    expected = _expected(experiment, stretches[hypothesis.window]) if hypothesis.phase else None
    is_part = hypothesis.endpoint is not None or hypothesis.zone is not None
    return {
        "claim": format_hypothesis(hypothesis),
        "requests_needed": needed,
        "requests_expected": expected,
        "expected_is_upper_end": is_part,  # the locustfile decides what share an endpoint or a zone gets
        "note": _note(hypothesis, needed, expected, is_part=is_part),
    }


def _note(hypothesis: Hypothesis, needed: int | None, expected: int | None, *, is_part: bool) -> str:
    if is_undecidable(hypothesis):
        return "can be refuted, but no number of requests can make it held"
    if needed is None:
        return ""
    good = "requests" if hypothesis.metric is Metric.LATENCY_QUANTILE else "requests without an error"
    need = f"needs {needed:,} {good} to be held"
    if expected is None:
        return need
    about = f"at most {expected:,}" if is_part else f"about {expected:,}"
    verdict = ": TOO FEW, it will be inconclusive" if expected < needed else ""
    return f"{need}; {about} are expected{verdict}"


def _expected(experiment: Experiment, seconds: float) -> int | None:
    """Requests in *seconds* of an open model; a closed model sends as fast as it is answered."""
    rate = experiment.load.arrivals_per_s
    return None if rate is None else round(rate * seconds)


def _run_length(share: float) -> int | None:
    """The smallest n with share^n <= 2.5 %."""
    return math.ceil(math.log(_TAIL) / math.log(share)) if 0 < share < 1 else None
