"""What an AWS environment has beside its instances: the nouns of `kind: aws` files, and what they were resolved to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stormproof.model.control import ControlRoute

# The tag without which a resource does not exist for us, whatever else a file asks for.
READY_KEY, READY_VALUE = "chaos-ready", "true"

# What an AZ loss may be made of, in the order in which it is done; undone the other way round. The reasons are in
# docs/adr/0034-az-loss-in-aws.md: writers come back last, and nobody's instances are judged before they have a network.
AZ_LOSS_PARTS = ("databases", "caches", "scaling", "balancers", "network", "instances")
AZ_LOSS_PARTS_UNLESS_SAID = ("databases", "scaling", "network", "instances")


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudZone:
    """An Availability Zone: its id is the same building for every account, its name is not."""

    name: str  # ours: what a spec says
    az_id: str  # "euc1-az2"
    az_name: str  # "eu-central-1a"
    subnets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceAddress:
    """How an instance is called directly, past the balancer."""

    source: str  # "private", "public", "none", or "tag:<key>", whose value is the URL
    scheme: str = "http"
    port: int = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Sli:
    """A CloudWatch metric that says how the workload is; missing data is a reading of its own and never 0."""

    name: str
    namespace: str
    metric: str
    statistic: str
    dimensions: Mapping[str, str]
    period_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fis:
    """What AWS FIS needs that no fault can know."""

    role_arn: str
    launch_roles: tuple[str, ...] = ()  # roles whose launches an AZ loss refuses
    log_group_arn: str | None = None
    report_bucket: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """The Envoy that a workload calls its dependencies through, and that faults drive: `stormproof proxy config`."""

    admin_url: str  # on this machine: it has no password, so nobody else may reach it
    node_id: str  # checked before every change
    directory: str  # what Envoy watches and logs to, the same folder for it and for us
    host: str = "127.0.0.1"  # where it listens, and where its listeners are reached
    ca_path: str = "/etc/ssl/certs/ca-certificates.crt"  # for upstreams that speak TLS; where Envoy runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A Lambda function."""

    name: str
    payload: str  # JSON that is harmless, for confirmation from outside


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkAcl:
    """Where a dependency is cut off by a network ACL."""

    subnets: tuple[str, ...]  # of the workload
    cidrs: tuple[str, ...]  # of the dependency


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudDependency:
    """Something that a workload in AWS calls, and each way in which the file lets it be broken."""

    name: str
    service: str | None = None  # botocore's name of an AWS service
    upstream: str | None = None  # where the side-car passes calls on to; of a service its regional endpoint
    canary_path: str = "/"
    port: int | None = None  # of its listener in the side-car
    address: str | None = None  # "host:port" that a client connects to: how a cut is seen
    security_group: str | None = None  # whose rules let clients in
    network_acl: NetworkAcl | None = None
    database_instance: str | None = None  # an identifier of RDS's
    function: Function | None = None

    @property
    def ways(self) -> dict[str, str]:
        """How it can be broken, as the file calls it → the faults that do."""
        proxied = "dependency-timeout, dependency-latency, dependency-error, dependency-refuse"
        found = {
            "proxy": f"{proxied}, throttling" if self.service else proxied,
            "security_group": "dependency-cut",
            "network_acl": "dependency-cut with `connections: all`",
            "database_instance": "database-reboot",
            "function": "lambda-concurrency",
        }
        there = {
            "proxy": self.port,
            "security_group": self.security_group,
            "network_acl": self.network_acl,
            "database_instance": self.database_instance,
            "function": self.function,
        }
        return {way: kinds for way, kinds in found.items() if there[way] is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Parameters in SSM by which the workload itself can be told something."""

    release: str | None = None  # which of its releases it serves
    key: str | None = None  # an instance's credentials for what it calls; `{instance}` stands for its id


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerBucket:
    """Where an environment's ledger is mirrored to, so that any machine can undo."""

    bucket: str
    prefix: str  # before the environment's name


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadManSwitch:
    """What brings things back when nobody of ours is left."""

    role_arn: str  # that EventBridge Scheduler takes
    after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudFile:
    """What a file of kind `aws` says, before anybody asked AWS."""

    account: str
    region: str
    partition: str
    profile: str | None
    role_arn: str | None
    external_id: str | None
    endpoint_url: str | None  # of an emulator on this machine
    production: bool  # the file says that production-looking names are meant
    base_url: str
    tags: Mapping[str, str]
    zones: Mapping[str, CloudZone]  # without subnets
    address: InstanceAddress
    instances_max: int
    load_balancers: tuple[str, ...] = ()
    target_groups: tuple[str, ...] = ()
    scaling_groups: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    cache_groups: tuple[str, ...] = ()
    az_loss_parts: tuple[str, ...] = AZ_LOSS_PARTS_UNLESS_SAID
    az_loss_by: str = "calls"  # or "fis"
    alarms_guard: tuple[str, ...] = ()
    alarms_expected: tuple[str, ...] = ()
    slis: tuple[Sli, ...] = ()
    topic_arn: str | None = None
    fis: Fis | None = None
    sidecar: Sidecar | None = None
    dependencies: Mapping[str, CloudDependency] = field(default_factory=dict)
    parameters: Parameters = field(default_factory=Parameters)
    ledger: LedgerBucket | None = None
    dead_man: DeadManSwitch | None = None
    deniable_roles: tuple[str, ...] = ()  # ARNs
    control_route: ControlRoute | None = None
    where: str = ""  # the file


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingGroup:
    """An Auto Scaling group of the workload."""

    name: str
    arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """An Aurora or Multi-AZ cluster: the zone (AWS's name for it) of each member, and who writes."""

    name: str
    arn: str
    writer: str
    members: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheGroup:
    """An ElastiCache replication group: the zone (AWS's name for it) of each member, and who leads."""

    name: str
    arn: str
    primary: str  # "": with cluster mode, ElastiCache does not say
    members: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """A file of kind `aws`, resolved: what carries the tags, and nothing else."""

    tags: Mapping[str, str]
    zones: Mapping[str, CloudZone]
    load_balancers: Mapping[str, str] = field(default_factory=dict)  # name → ARN
    target_groups: Mapping[str, str] = field(default_factory=dict)  # name → ARN
    scaling_groups: tuple[ScalingGroup, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    cache_groups: tuple[CacheGroup, ...] = ()
    az_loss_parts: tuple[str, ...] = AZ_LOSS_PARTS_UNLESS_SAID
    az_loss_by: str = "calls"  # who does it: our own calls, or "fis"
    alarms_guard: Mapping[str, str] = field(default_factory=dict)  # name → ARN: a run ends when one of them fires
    alarms_expected: Mapping[str, str] = field(default_factory=dict)  # name → ARN: they are there to fire
    slis: tuple[Sli, ...] = ()
    topic_arn: str | None = None
    fis: Fis | None = None
    dependencies: Mapping[str, CloudDependency] = field(default_factory=dict)
    deniable_roles: tuple[str, ...] = ()  # ARNs of roles whose calls may be denied
