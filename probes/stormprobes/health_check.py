"""The quality of a balancer's health check: how fast it is, how often it is wrong, and what kind of check it is.

`health_reading` is the pure function behind all of it; docs/reference/probes/health-check.md defines each number. Three
ways to it: ``python -m stormprobes.health_check --run RUN_DIR`` reads a run that has ended; `watch_envoy` and
`watch_elbv2` watch a balancer for some seconds and are ordinary Chaos Toolkit probes. A number that the record does not
show is None, and ``reasons`` says why.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stormprobes._health_nature import (
    all_down_with_dependency,
    answers_under_overload,
    depth_in,
    flaps,
    flips,
    merged_depth,
    when_all_fail,
)
from stormprobes._health_timing import ejected_for, time_to_detect, time_to_drain, time_to_readd
from stormprobes._health_truth import Mismatch, mismatch
from stormprobes._health_watch import watch
from stormprobes._history import Fault, History, Span, rounded, worst
from stormprobes._run_record import history_of, settings_of, steps_of

__all__ = ["health_reading", "watch_elbv2", "watch_envoy"]

PROBE = "health_check"
NO_LOOKS = "nobody asked the balancer"
TIMES = {"detect": time_to_detect, "drain": time_to_drain, "readd": time_to_readd}


def health_reading(history: History) -> dict[str, Any]:
    """Every number that *history* shows; JSON types only."""
    reasons: dict[str, str] = {}
    spans = {
        (fault.fault_id, target): {name: of(history, fault, target) for name, of in TIMES.items()}
        for fault in history.faults
        for target in fault.targets
    }
    value: dict[str, Any] = {}
    for name in TIMES:
        whole = worst([one[name] for one in spans.values()], none="no fault of this record breaks a target")
        value |= whole.fields(name)
        _why(reasons, f"{name}_s", whole.value_s, whole.reason)
    value |= _counts(history, reasons)
    mismatches = {target: mismatch(history, target) for target in history.targets}
    value |= _minutes(mismatches, reasons)
    value |= _nature(history, reasons)
    value["targets"] = {target: _target(history, target, mismatches[target], spans) for target in history.targets}
    value["faults"] = [_fault(history, fault) for fault in history.faults]
    value["theory"] = _theory(history, value, reasons)
    value["reasons"] = reasons
    return value


def _why(reasons: dict[str, str], field: str, value: object, reason: str) -> None:
    if value is None:
        reasons[field] = reason


def _counts(history: History, reasons: dict[str, str]) -> dict[str, Any]:
    looks = history.opinions
    watched_s = looks[-1].at_s - looks[0].at_s if looks else 0.0
    counts: dict[str, Any] = {"looks": len(looks), "watched_s": rounded(watched_s)}
    if len(looks) < 2:
        reason = "a change takes two looks to see" if looks else NO_LOOKS
        for field in ("flips", "flaps", "flaps_per_min"):
            counts[field] = None
            reasons[field] = reason
        return counts
    unexplained = flaps(history)
    return {
        **counts,
        "flips": flips(history),
        "flaps": unexplained,
        "flaps_per_min": rounded(unexplained / watched_s * 60) if watched_s > 0 else None,
    }


def _minutes(mismatches: dict[str, Mismatch], reasons: dict[str, str]) -> dict[str, Any]:
    known_s = sum(one.known_s for one in mismatches.values())
    unknown_s = sum(one.unknown_s for one in mismatches.values())
    fields = ("healthy_but_failing_min", "unhealthy_but_fine_min")
    if not known_s:
        reason = "nothing shows whether any target was fine or failing" if mismatches else NO_LOOKS
        reasons.update(dict.fromkeys(fields, reason))
        return {**dict.fromkeys(fields), "unknown_min": rounded(unknown_s / 60)}
    return {
        fields[0]: rounded(sum(one.healthy_but_failing_s for one in mismatches.values()) / 60),
        fields[1]: rounded(sum(one.unhealthy_but_fine_s for one in mismatches.values()) / 60),
        "unknown_min": rounded(unknown_s / 60),
    }


def _nature(history: History, reasons: dict[str, str]) -> dict[str, Any]:
    answers = {
        "all_fail": when_all_fail(history),
        "depth": merged_depth([depth_in(history, fault) for fault in history.faults if fault.dependency]),
        "all_down_with_dependency": all_down_with_dependency(history),
        "answers_under_overload": answers_under_overload(history),
    }
    for field, answer in answers.items():
        _why(reasons, field, answer.value, answer.reason)
    return {field: answer.value for field, answer in answers.items()}


def _target(
    history: History, target: str, wrong: Mismatch, spans: dict[tuple[str, str], dict[str, Span]]
) -> dict[str, Any]:
    """One target: its own minutes, and its times under each fault that breaks it, with the balancer's own words."""
    faults = {fault.fault_id: fault for fault in history.faults}
    return {
        "healthy_but_failing_s": rounded(wrong.healthy_but_failing_s),
        "unhealthy_but_fine_s": rounded(wrong.unhealthy_but_fine_s),
        "unknown_s": rounded(wrong.unknown_s),
        "faults": {
            fault_id: {
                **{key: number for name, span in times.items() for key, number in span.fields(name).items()},
                "ejected_for": list(ejected_for(history, faults[fault_id], target)),
                "reasons": {f"{name}_s": span.reason for name, span in times.items() if span.value_s is None},
            }
            for (fault_id, of_target), times in spans.items()
            if of_target == target
        },
    }


def _fault(history: History, fault: Fault) -> dict[str, Any]:
    depth = depth_in(history, fault)
    return {
        "fault_id": fault.fault_id,
        "targets": list(fault.targets),
        "depth": depth.value,
        "reason": depth.reason,
    }


def _theory(history: History, value: dict[str, Any], reasons: dict[str, str]) -> dict[str, Any] | None:
    """What the balancer's settings predict, and whether the measured interval has anything in common with it."""
    settings = history.settings
    if settings is None:
        reasons["theory"] = "the balancer's settings are not known"
        return None
    (eject_low, eject_high), (readd_low, readd_high) = settings.eject_s, settings.readd_s
    return {
        "interval_s": settings.interval_s,
        "timeout_s": settings.timeout_s,
        "unhealthy_threshold": settings.unhealthy_threshold,
        "healthy_threshold": settings.healthy_threshold,
        "counts_from": settings.counts_from,
        "eject_low_s": rounded(eject_low),
        "eject_high_s": rounded(eject_high),
        "eject_agrees": _agrees(value, "detect", eject_low, eject_high),
        "readd_low_s": rounded(readd_low),
        "readd_high_s": rounded(readd_high),
        "readd_agrees": _agrees(value, "readd", readd_low, readd_high),
    }


def _agrees(value: dict[str, Any], name: str, low_s: float, high_s: float) -> bool | None:
    low, high = value[f"{name}_low_s"], value[f"{name}_high_s"]
    if low is None:
        return None
    if high is None:  # not seen yet: only too late can be told
        return False if low > high_s else None
    return bool(low <= high_s and high >= low_s)


def watch_envoy(
    admin_url: str,
    cluster: str,
    seconds: float,
    target_names: dict[str, str] | None = None,
    target_urls: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Watch what the Envoy at *admin_url* holds of *cluster* for *seconds*, and give the reading.

    *target_names* maps ``ip:port`` to a name. *target_urls* maps a name to a URL that is asked directly, past the
    balancer, all the while: without it nothing says when a target broke, and every time is None. Run it in the
    background of an action. Raises `OSError` or `ValueError` when Envoy does not answer at first.
    """
    from stormprobes.target_health import health_check_settings, target_health

    settings = settings_of(health_check_settings(admin_url, cluster))
    return health_reading(
        watch(
            lambda: target_health(admin_url, cluster, target_names),
            seconds=seconds,
            every_s=0.1,
            target_urls=target_urls or {},
            settings=settings,
        )
    )


def watch_elbv2(
    target_group_arn: str,
    region: str,
    seconds: float,
    target_urls: dict[str, str] | None = None,
    endpoint_url: str | None = None,
) -> dict[str, Any]:
    """The same for a target group of an Application or Network Load Balancer; credentials are the process's own."""
    from stormprobes.elbv2_target_health import elbv2_target_health, health_check_settings

    settings = settings_of(health_check_settings(target_group_arn, region, endpoint_url))
    return health_reading(
        watch(
            lambda: elbv2_target_health(target_group_arn, region, endpoint_url),
            seconds=seconds,
            every_s=1.0,  # the API's throttle is shared by the whole account
            target_urls=target_urls or {},
            settings=settings,
        )
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the reading of one run directory as one JSON document."""
    parser = argparse.ArgumentParser(prog="python -m stormprobes.health_check")
    parser.add_argument("--run", type=Path, required=True, help="a run directory")
    run = parser.parse_args(arguments).run
    try:
        history = history_of(run)
        value = health_reading(history)
        # A run in steps may have changed the check from one to the next: each has a reading of its own as well.
        value["steps"] = {name: health_reading(step) for name, step in steps_of(run, history).items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"{run}: expected a run directory, got {type(error).__name__}: {error}\n")
        return 65
    sys.stdout.write(json.dumps({"probe": PROBE, "value": value}, allow_nan=False) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
