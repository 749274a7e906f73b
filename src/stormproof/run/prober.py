"""The prober: a child that samples probes of `stormprobes` into `readings.jsonl`.

stormproof never imports stormprobes: the names in the configuration are all that passes between them.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from typing import Any

from stormproof.model.environment import Environment
from stormproof.record.atomic import write_json
from stormproof.record.layout import RunDirectory
from stormproof.run.children import Child

TARGET_HEALTH_EVERY_S = 0.1  # the resolution of the time to detect
ALARM_STATE_EVERY_S = 1.0
CLOUD_HEALTH_EVERY_S = 0.5  # two calls a second of an API that allows ten; a gap over a second blinds a detection


def start_prober(
    run: RunDirectory,
    environment: Environment,
    *,
    process_environment: Mapping[str, str],
    alarms: Sequence[str] = (),
) -> Child | None:
    """Start sampling the balancer's opinion of its targets, and *alarms* by name; None where there is neither."""
    probes = _probes(environment, alarms)
    if not probes:
        return None
    config = run.logs / "probes.json"
    write_json(config, {"out": str(run.readings), "probes": probes})
    return Child.spawn(
        "prober",
        ["-m", "stormprobes", str(config)],
        log=run.logs / "prober.log",
        environment=process_environment,
        orphan_signal=signal.SIGTERM,
    )


def _probes(environment: Environment, alarms: Sequence[str]) -> list[dict[str, Any]]:
    probes: list[dict[str, Any]] = []
    if environment.proxy is not None and environment.proxy.balancer_cluster:
        probes.append(
            {
                "name": "target_health",
                "func": "stormprobes.target_health:target_health",
                "interval_s": TARGET_HEALTH_EVERY_S,
                "arguments": {
                    "admin_url": environment.proxy.admin_url,
                    "cluster": environment.proxy.balancer_cluster,
                    "target_names": dict(environment.target_names),
                },
            }
        )
    cloud = environment.cloud
    identity = {
        "region": environment.aws.region,
        "endpoint_url": environment.aws.endpoint_url,
        "profile": environment.aws.profile,
        "role_arn": environment.aws.role_arn,
        "external_id": environment.aws.external_id,
    }
    if cloud is not None and cloud.target_groups:
        zones = {one.id: zone for zone, instances in environment.zones.items() for one in instances}
        probes.append(
            {
                "name": "target_health",
                "func": "stormprobes.elbv2_target_health:elbv2_zone_health",
                "interval_s": CLOUD_HEALTH_EVERY_S,
                "arguments": {"target_group_arns": list(cloud.target_groups.values()), "zones": zones, **identity},
            }
        )
    if alarms:
        probes.append(
            {
                "name": "alarm_state",
                "func": "stormprobes.alarm_state:alarm_state",
                "interval_s": ALARM_STATE_EVERY_S,
                "arguments": {"names": list(alarms), **identity},
            }
        )
    return probes
