"""The parts of the fixed runs in `storyboard`: samples, findings, confirmations, checks, events."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pandas as pd

from stormproof.model.verdict import Check, Confirmation, Finding, Outcome, Verdict

ZERO_S = 1_800_000_000.0  # the load starts here: 2027-01-15 08:00:00 UTC
WINDOWS = {
    "steady": (ZERO_S + 2, ZERO_S + 17.1),
    "fault": (ZERO_S + 17.1, ZERO_S + 37.6),
    "recovery": (ZERO_S + 37.6, ZERO_S + 53),
}
RATE_PER_S = 150
ENDPOINTS = ("/", "/product", "/cart")
ZONES = ("a", "b", "c")


def samples(*, until_s: float = 53.0, naive: bool = False) -> pd.DataFrame:
    """Requests 150 a second; in the fault zone a is silent, and *naive* fails while the balancer finds out."""
    rows = []
    for number in range(int(until_s * RATE_PER_S)):
        at = number / RATE_PER_S
        in_fault = 17.1 <= at < 37.6
        wave = (
            1 + 0.25 * math.sin(number * 0.7) + (0.9 if number % 53 == 0 else 0.0) + (2.5 if number % 197 == 0 else 0)
        )
        latency_ms = 14.0 * wave
        error, status, zone = "", 200, ZONES[number % 3]
        if in_fault:
            zone = "bc"[number % 2]
            latency_ms *= 1.25
            if naive and at < 24.0 and number % 3 == 0:
                error, status, zone = ("connection refused", 0, "") if number % 2 else ("", 503, "b")
                latency_ms = 2.0 if status else 1000.0 + number % 400
            elif naive:
                latency_ms *= 6
            elif at < 18.4 and number % 90 == 0:
                error, status, zone, latency_ms = "", 503, "b", 3.0
        rows.append(
            {
                "scheduled_at": ZERO_S + at,
                "sent_at": ZERO_S + at + 0.0005,
                "latency_ms": latency_ms,
                "service_ms": latency_ms - 0.5,
                "status": status,
                "ok": status == 200,
                "endpoint": ENDPOINTS[number % 3],
                "zone": zone,
                "error": error,
                "worker": 0,
            }
        )
    return pd.DataFrame(rows)


def finding(**changes: Any) -> Finding:
    """A finding that held, with *changes*."""
    base = Finding(
        claim="availability during fault >= 99.5%",
        outcome=Outcome.HELD,
        estimate=0.9990243902,
        low=0.9971566,
        high=0.9997989,
        n=3075,
        reason="The whole interval, 99.72 % and up, keeps the bound.",
        unit="share",
        op=">=",
        bound=0.995,
        method="Clopper–Pearson",
        steady=1.0,
    )
    return dataclasses.replace(base, **changes)


def findings_held() -> tuple[Finding, ...]:
    """Three claims, three units."""
    return (
        finding(),
        finding(
            claim="p99 latency during fault <= 2x steady",
            estimate=1.251,
            low=1.18,
            high=1.33,
            n=3075,
            unit="ratio",
            op="<=",
            bound=2.0,
            method="Woodruff on one-second blocks, log ratio",
            steady=48.9,
            reason="Fault p99 is 1.25 times that of steady.",
        ),
        finding(
            claim="time to recover <= 10s",
            estimate=1.3,
            low=0.9,
            high=2.0,
            n=1,
            unit="s",
            op="<=",
            bound=10.0,
            method="last bad to first good one-second bucket",
            steady=None,
            reason="Good again 1.3 s after the onset; n = 1.",
        ),
    )


def confirmation(**changes: Any) -> Confirmation:
    """An az-loss that was felt and is gone, with *changes*."""
    base = Confirmation(
        fault_id="1-az-loss",
        kind="az-loss",
        felt=True,
        gone=True,
        reason="No instance of zone a answered.",
        injected_at=ZERO_S + 17.2,
        felt_at=ZERO_S + 17.5,
        undone_at=ZERO_S + 37.2,
        gone_at=ZERO_S + 37.6,
        evidence={"asked": "every instance of zone a, past the balancer"},
    )
    return dataclasses.replace(base, **changes)


def checks(**failed: str) -> tuple[Check, ...]:
    """The checks of a sound run; *failed* maps a name (spaces as _) to the reason that it is not."""
    sound = {
        "fault felt": "az-loss was felt 0.3 s after it was injected, and the samples show zone a silent.",
        "fault gone": "az-loss was seen gone 0.4 s after its undo.",
        "load delivered": "100 % of the offered requests were sent in every phase; the bound is 95 %.",
        "steady before": "100 % of 2,265 requests were answered well before the fault; the bound is 99 %.",
        "probes": "target_health was read every 0.1 s without a gap.",
    }
    reasons = {name.replace("_", " "): reason for name, reason in failed.items()}
    return tuple(
        Check(name=name, ok=name not in reasons, reason=reasons.get(name, text)) for name, text in sound.items()
    )


def verdict(**changes: Any) -> Verdict:
    """A verdict that held, with *changes*."""
    base = Verdict(
        outcome=Outcome.HELD,
        reasons=("All 3 claims held while zone a was gone.",),
        findings=findings_held(),
        confirmations=(confirmation(),),
        checks=checks(),
        windows=WINDOWS,
        repeat="stormproof run experiments/az-loss --env local --set lab.variant=hardened --seed 4127",
        run_id="20270115T075958Z-az-loss-3f9a",
        slug="az-loss",
        title="The shop keeps selling while one Availability Zone is gone",
        simulated=True,
    )
    return dataclasses.replace(base, **changes)


RUN_JSON: dict[str, Any] = {
    "schema_version": 1,
    "run_id": "20270115T075958Z-az-loss-3f9a",
    "slug": "az-loss",
    "title": "The shop keeps selling while one Availability Zone is gone",
    "why": "Static stability; the last zonal event took checkout down for nine minutes.",
    "command": "stormproof run experiments/az-loss --env local",
    "started_at": "2027-01-15T07:59:58Z",
    "ended_at": "2027-01-15T08:00:55Z",
    "seed": 4127,
    "git": {"commit": "a36ae59", "dirty": False},
    "versions": {
        "python": "3.11.7",
        "stormproof": "0.1.0",
        "botocore": "1.44.2",
        "envoy": "1.40.0",
        "locust": "2.47.1",
    },
    "environment": "local",
    "simulated": True,
    "variant": "hardened",
    "operator": "nightly",
    "host": "[redacted]",
    "workload_version": "sha256:9d1c",
    "topology_digest": "77ab",
    "overrides": {"lab.variant": "hardened"},
    "reliability": ["rel_fault_isolation_multiaz_region_system"],
}


def events(*, until_s: float = 53.0) -> list[dict[str, Any]]:
    """What happened in a run that went as planned, up to *until_s*."""
    fault = {"fault_id": "1-az-loss", "kind": "az-loss"}
    per_second = [[ZERO_S + second, RATE_PER_S, RATE_PER_S] for second in range(int(until_s))]
    sent = RATE_PER_S * len(per_second)
    told: list[tuple[float, str, str, dict[str, Any]]] = [
        (-1.8, "run.started", "conductor", {}),
        (0.0, "load.started", "load", {"model": "open", "offered_per_s": RATE_PER_S, "users": None, "workers": 1}),
        (0.0, "phase", "conductor", {"phase": "warmup", "planned_s": 2}),
        (2.0, "phase", "conductor", {"phase": "steady", "planned_s": 15}),
        (
            17.2,
            "fault.injecting",
            "player",
            {
                **fault,
                "what": "stop 2 instances in zone a: i-0a1, i-0a2",
                "effect": {"kind": "zone-silent", "zone": "a"},
            },
        ),
        (17.4, "fault.injected", "player", fault),
        (
            17.5,
            "fault.felt",
            "player",
            {
                **fault,
                "last_ok_at": ZERO_S + 17.1,
                "evidence": {"asked": 2, "refused": ["i-0a1", "i-0a2"], "error": "connection refused"},
            },
        ),
        (17.1, "phase", "conductor", {"phase": "fault", "planned_s": 20}),
        (37.2, "fault.undoing", "player", fault),
        (37.4, "fault.undone", "player", fault),
        (
            37.6,
            "fault.gone",
            "player",
            {**fault, "evidence": {"asked": 2, "answered": ["i-0a1", "i-0a2"], "healthy_targets": 6}},
        ),
        (37.6, "phase", "conductor", {"phase": "recovery", "planned_s": 15}),
    ]
    told = [one for one in told if one[0] <= until_s]
    worker = {
        "worker": 0,
        "offered": sent,
        "sent": sent,
        "completed": sent,
        "late_share": 0.0,
        "lateness_ms_p50": 0.4,
        "lateness_ms_p99": 2.1,
        "lateness_ms_max": 18.0,
        "cpu_share": 0.31,
        "loop_late_share": 0.0,
        "loop_lag_ms_p99": 1.9,
        "loop_lag_ms_max": 14.2,
        "loop_per_second": [[ZERO_S + second, 10, 0, 2.5, 310.0] for second in range(int(until_s))],
        "per_second": per_second,
    }
    told += [
        (until_s, "phase", "conductor", {"phase": "ended", "planned_s": 0}),
        (until_s + 0.5, "load.stopped", "load", {"workers": [worker]}),
        (until_s + 1.0, "run.ended", "conductor", {"undone": True}),
    ]
    return [
        {"event": name, "who": who, "wall_s": ZERO_S + at, "mono_s": 100 + at, "at": ZERO_S + at, **fields}
        for at, name, who, fields in told
    ]
