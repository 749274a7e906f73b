"""The prober: a child that samples probes of `stormprobes` into `readings.jsonl`.

stormproof never imports stormprobes: the names in the configuration are all that passes between them.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping

from stormproof.model.environment import Environment
from stormproof.record.atomic import write_json
from stormproof.record.layout import RunDirectory
from stormproof.run.children import Child

TARGET_HEALTH_EVERY_S = 0.1  # the resolution of the time to detect


def start_prober(
    run: RunDirectory, environment: Environment, *, process_environment: Mapping[str, str]
) -> Child | None:
    """Start sampling the balancer's opinion of its targets; None where there is no balancer to ask."""
    if environment.proxy is None:
        return None
    config = run.logs / "probes.json"
    write_json(
        config,
        {
            "out": str(run.readings),
            "probes": [
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
            ],
        },
    )
    return Child.spawn(
        "prober",
        ["-m", "stormprobes", str(config)],
        log=run.logs / "prober.log",
        environment=process_environment,
        orphan_signal=signal.SIGTERM,
    )
