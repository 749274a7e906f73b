"""Where an experiment runs, resolved: logical names bound to real things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stormproof.model.cloud import Cloud
from stormproof.model.control import ControlRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One server of the workload."""

    id: str  # EC2 instance id
    zone: str
    url: str  # reached directly, past the balancer: for confirmation from outside
    key_parameter: str | None = None  # SSM parameter that holds its credentials for what it depends on


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """Something the workload calls, through a proxy that we can drive."""

    name: str
    url: str  # the proxy's listener: what the workload calls
    access_log: str | None = None  # JSON access log of that listener: the source of arrivals
    service: str | None = None  # AWS service id ("dynamodb"), None for plain HTTP
    canary_path: str = "/"  # a GET that is harmless, for confirmation from outside
    delay_percent_key: str | None = None  # Envoy runtime key, 0…100
    delay_duration_key: str | None = None  # Envoy runtime key, ms
    throttle_enabled_key: str | None = None  # Envoy runtime key, 0…100
    throttle_config_path: str | None = None  # ECDS file that holds the token bucket
    abort_percent_key: str | None = None  # Envoy runtime key, 0…100
    abort_status_key: str | None = None  # Envoy runtime key, an HTTP status
    latency_config_path: str | None = None  # ECDS file that holds the filter which draws the latency of each request
    listener: str | None = None  # its listener's name in the proxy's `listeners_path`
    dns_percent_key: str | None = None  # Envoy runtime key, 0…100: requests whose host is looked up in vain
    tls_percent_keys: Mapping[str, str] = field(default_factory=dict)  # certificate → Envoy runtime key, 0…100


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """How a balancer checks its targets: what the theory of its reaction is made of."""

    interval_s: float
    timeout_s: float
    unhealthy_threshold: int
    healthy_threshold: int
    counts_from: str = "start"  # of a check, or its "end": where the interval is counted from


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """The Envoy that is dependency proxy and, in the lab, balancer."""

    admin_url: str
    node_id: str  # checked before every admin call
    balancer_cluster: str = ""  # the cluster whose hosts are the workload's targets; "": it is no balancer
    listeners_path: str | None = None  # LDS file that holds the listeners in front of the dependencies
    reset_cluster: str | None = None  # a cluster that takes bytes and resets the connection
    health_check: HealthCheck | None = None  # of that cluster
    canary_source: str | None = None  # address from which our own connections come where no header can mark them


@dataclass(frozen=True, slots=True, kw_only=True)
class Aws:
    """The control plane."""

    endpoint_url: str | None
    region: str
    account: str
    partition: str | None = None  # None: not checked, because there is only an emulator
    profile: str | None = None  # of the shared configuration; None: whatever the process has
    role_arn: str | None = None  # assumed, and assumed again before it expires
    external_id: str | None = None
    ledger_bucket: str | None = None  # where the ledger is mirrored to
    ledger_prefix: str | None = None  # this environment's part of it
    dead_man_role: str | None = None  # that EventBridge Scheduler takes to bring things back
    dead_man_after_s: float | None = None

    @property
    def configuration(self) -> dict[str, Any]:
        """What a fault needs to make the same calls as the same identity, from any process; goes into the ledger."""
        optional = {
            "aws_partition": self.partition,
            "aws_profile": self.profile,
            "aws_role_arn": self.role_arn,
            "aws_external_id": self.external_id,
            "ledger_bucket": self.ledger_bucket,
            "ledger_prefix": self.ledger_prefix,
            "dead_man_role": self.dead_man_role,
            "dead_man_after_s": self.dead_man_after_s,
        }
        return {
            "aws_endpoint_url": self.endpoint_url or "",
            "aws_region": self.region,
            "aws_account": self.account,
            **{key: value for key, value in optional.items() if value is not None},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """How releases of the workload are made: a parameter in SSM says which is wanted."""

    parameter: str
    status_parameter: str  # what the deployment says of itself, as JSON: wanted, version, state, instances
    broken: tuple[str, ...] = ()  # releases that are known to fail their checks


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Who replaces the workload's lost instances, and how it shows."""

    role_arn: str  # launches are its calls
    client: str  # in the arrivals
    dependency: str  # whose arrivals
    fis_role_arn: str  # which FIS takes to deny launches


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A resolved environment; `environment.json` is this, redacted."""

    name: str
    simulated: bool
    base_url: str  # where load goes: the balancer
    aws: Aws
    proxy: Proxy | None = None
    zones: Mapping[str, tuple[Instance, ...]] = field(default_factory=dict)
    dependencies: Mapping[str, Dependency] = field(default_factory=dict)
    deployment: Deployment | None = None
    fleet: Fleet | None = None
    target_names: Mapping[str, str] = field(default_factory=dict)  # balancer host "ip:port" → instance id
    release_parameter: str | None = None  # SSM parameter that says which release of the workload is served
    control_route: ControlRoute | None = None  # None: no header is routed
    variant: str | None = None  # the lab's variant
    health_check: HealthCheck | None = None  # of its target groups, where the balancer is not the proxy
    cloud: Cloud | None = None  # of an environment in AWS: what it has beside its instances
    workload_version: str = ""
    topology_digest: str = ""
    schema_version: int = 1
