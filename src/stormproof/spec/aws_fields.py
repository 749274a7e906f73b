"""The keys of an environment file of kind `aws`, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from stormproof.spec.fields import GuardrailsFields, Header, LoadWorkersFields
from stormproof.spec.quantity import Duration

_ARN = r"^arn:aws[a-z-]*:"

_Account = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9]{12}$")]
_Region = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z]{2}(-[a-z]{2,4})?(-[a-z]+)+-[0-9]$")]
_ZoneId = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9]+-az[0-9]$")]
_ZoneName = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9][a-z]$")]
_Word = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/-]{0,254}$")]
_Tag = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=128)]
_Url = Annotated[str, StringConstraints(strict=True, pattern=r"^https?://[^\s@]+$", max_length=400)]
_RoleArn = Annotated[str, StringConstraints(strict=True, pattern=_ARN + r"iam::[0-9]{12}:role/\S{1,512}$")]
_TopicArn = Annotated[str, StringConstraints(strict=True, pattern=_ARN + r"sns:[a-z0-9-]+:[0-9]{12}:\S{1,256}$")]
_LogGroupArn = Annotated[
    str, StringConstraints(strict=True, pattern=_ARN + r"logs:[a-z0-9-]+:[0-9]{12}:log-group:\S+$")
]
_Bucket = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
_Address = Annotated[str, StringConstraints(strict=True, pattern=r"^(private|public|none|tag:\S.{0,120})$")]
_LocalUrl = Annotated[str, StringConstraints(strict=True, pattern=r"^http://127(\.[0-9]{1,3}){3}:[0-9]{1,5}$")]
_Loopback = Annotated[str, StringConstraints(strict=True, pattern=r"^127(\.[0-9]{1,3}){3}$")]
_Path = Annotated[str, StringConstraints(strict=True, pattern=r"^/\S{1,400}$")]
_UrlPath = Annotated[str, StringConstraints(strict=True, pattern=r"^/[^\s?#]{0,400}$")]
_Parameter = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9_./{}-]{1,500}$")]
_Service = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z][a-z0-9-]{1,60}$")]
_SecurityGroup = Annotated[str, StringConstraints(strict=True, pattern=r"^sg-[0-9a-f]{8,17}$")]
_Subnet = Annotated[str, StringConstraints(strict=True, pattern=r"^subnet-[0-9a-f]{8,17}$")]
_Cidr = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9a-f.:]{2,39}/[0-9]{1,3}$")]
_HostPort = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,250}:[0-9]{1,5}$")]
_Payload = Annotated[str, StringConstraints(strict=True, max_length=10_000)]
_Dependency = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z][a-z0-9-]{0,62}$")]
_Names = Annotated[list[_Word], Field(max_length=20)]
_Whole = Annotated[int, Field(strict=True)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AwsFields(_Section):
    """Whose account, and as whom."""

    account: _Account = Field(description="12 digits; the caller must be in it.")
    region: _Region = Field(description="The only region in which anything is read or touched.")
    partition: Literal["aws", "aws-cn", "aws-us-gov"] = Field(default="aws", description="The caller must be in it.")
    profile: _Word | None = Field(
        default=None, description="Of the shared configuration files. Without: the process's."
    )
    role: _RoleArn | None = Field(
        default=None, description="Assumed for every call, as session `stormproof-<run>`, and again before it expires."
    )
    external_id: _Word | None = Field(default=None, description="For that role.")
    endpoint: _Url | None = Field(
        default=None, description="An emulator on this machine instead of AWS; what it says is marked as simulated."
    )
    production: bool = Field(
        default=False, strict=True, description="`true`: names that look like production are meant and not refused."
    )


class InstancesFields(_Section):
    """How instances are called directly, past the balancer."""

    address: _Address = Field(
        default="private",
        description="`private` or `public` address, `tag:<key>` whose value is a URL, or `none`: "
        "then the target groups' word is taken.",
    )
    scheme: Literal["http", "https"] = Field(default="http", description="Of that call.")
    port: Annotated[_Whole, Field(ge=1, le=65535)] = Field(default=80, description="Of that call.")
    most: Annotated[_Whole, Field(ge=1, le=1000)] = Field(
        default=100, description="More instances than this carry the tags: an error."
    )


class ZoneFields(_Section):
    """An Availability Zone under a name of ours; both of AWS's names are given, and compared with the account's."""

    id: _ZoneId = Field(description="AZ id, the same for every account: `euc1-az2`.")
    name: _ZoneName = Field(description="AZ name, of this account: `eu-central-1a`.")


class AzLossFields(_Section):
    """What an AZ loss is made of here."""

    parts: list[Literal["databases", "caches", "scaling", "balancers", "network", "instances"]] = Field(
        default=["databases", "scaling", "network", "instances"],
        min_length=1,
        max_length=6,
        description="In whatever order: they are done as databases, caches, scaling, balancers, network, instances, and"
        " undone backwards.",
    )
    by: Literal["calls", "fis"] = Field(
        default="calls",
        description="`calls`: our own, all undone. `fis`: AWS FIS, which bounds it in time, wants the section `fis`, "
        "and does not fail databases back.",
    )


class SliFields(_Section):
    """A CloudWatch metric that says how the workload is."""

    namespace: _Word = Field(description="`AWS/ApplicationELB`.")
    metric: _Word = Field(description="Its name.")
    statistic: Literal["Sum", "Average", "Minimum", "Maximum", "SampleCount"] = Field(description="Over a period.")
    dimensions: dict[_Tag, _Tag] = Field(default={}, max_length=30, description="Exactly these.")
    period: Annotated[_Whole, Field(ge=60, le=3600, multiple_of=60)] = Field(
        default=60, description="Seconds, whole minutes."
    )


class AlarmsFields(_Section):
    """CloudWatch alarms, by name."""

    guard: list[_Word] = Field(
        default=[], max_length=5, description="In ALARM, they refuse a run; FIS stops on them (five at most)."
    )
    expected: _Names = Field(default=[], description="They are there to fire: missing or in ALARM, they refuse a run.")


class FisFields(_Section):
    """What AWS FIS needs."""

    role: _RoleArn = Field(description="The role that FIS takes.")
    launch_roles: Annotated[list[_RoleArn], Field(max_length=5)] = Field(
        default=[],
        description="Roles whose launches are refused: into a lost zone through FIS, and by `capacity-denied`; for this"
        " they must trust whoever runs experiments.",
    )
    log_group: _LogGroupArn | None = Field(default=None, description="ARN of the log group that FIS writes to.")
    report_bucket: _Bucket | None = Field(default=None, description="The bucket that FIS's own reports go to.")


class LedgerFields(_Section):
    """Where the list of what must be undone is kept as well, so that any machine with this file can undo."""

    bucket: _Bucket = Field(description="An S3 bucket of this account, with versioning on.")
    prefix: Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9/_-]{0,99}$")] = Field(
        default="stormproof", description="What its keys begin with; the environment's name follows."
    )


class DeadManFields(_Section):
    """Schedules in AWS that bring back what was broken, should nobody of ours be left to do it."""

    role: _RoleArn = Field(description="The role that EventBridge Scheduler takes; it needs the undo's calls.")
    after: Annotated[Duration, Field(ge=300, le=86400)] = Field(
        default=3600.0, description="After the act: longer than any run with its undo."
    )


class NotifyFields(_Section):
    """Whom to tell."""

    topic: _TopicArn = Field(description="ARN of an SNS topic; a dry run shows that it is there.")


class ProxyFields(_Section):
    """The side-car that a workload calls its dependencies through: docs/guides/side-car.md."""

    admin: _LocalUrl = Field(
        description="Where its admin interface listens and is reached: on a loopback address, as it has no password."
    )
    directory: _Path = Field(
        description="The folder that it watches and logs to, the same for it and for whoever runs experiments."
    )
    node: _Word | None = Field(
        default=None, description="Its Envoy node id, checked before every change. Without: `stormproof-<name>`."
    )
    listen: _Loopback = Field(default="127.0.0.1", description="The address of its listeners.")
    ca: _Path = Field(
        default="/etc/ssl/certs/ca-certificates.crt",
        description="The authorities that it trusts where it calls by TLS, as a file where it runs.",
    )


class ProxiedFields(_Section):
    """A dependency's listener in the side-car."""

    port: Annotated[_Whole, Field(ge=1, le=65535)] = Field(
        description="What the workload calls: `AWS_ENDPOINT_URL_<SERVICE>`, or its own setting."
    )


class FunctionFields(_Section):
    """A Lambda function that the workload invokes."""

    name: _Word = Field(description="Its name.")
    payload: _Payload = Field(description="JSON with which it may be invoked at any time: how a throttle is seen.")


class NetworkAclFields(_Section):
    """Between the workload and a dependency."""

    subnets: Annotated[list[_Subnet], Field(min_length=1, max_length=20)] = Field(
        description="The workload's subnets that lose the way to it. They must carry the tags."
    )
    cidrs: Annotated[list[_Cidr], Field(min_length=1, max_length=10)] = Field(
        description="Where it is: none of it in one of these subnets, within which no ACL is asked."
    )


class DependencyFields(_Section):
    """Something that the workload calls, and how it can be broken."""

    service: _Service | None = Field(
        default=None,
        description="An AWS service, as botocore names it (`dynamodb`): called at its endpoint, signed anew.",
    )
    upstream: _Url | None = Field(
        default=None, description="Where the side-car passes calls on to. Required without `service`."
    )
    canary: _UrlPath = Field(default="/", description="The path of a GET that is harmless.")
    proxy: ProxiedFields | None = Field(default=None, description="Broken by the side-car.")
    security_group: _SecurityGroup | None = Field(
        default=None, description="Broken by taking away the ingress rules for its port. It must carry the tags."
    )
    network_acl: NetworkAclFields | None = Field(
        default=None, description="Broken by a network ACL, which cuts connections that are open, too."
    )
    database_instance: _Word | None = Field(
        default=None, description="An RDS instance, by identifier: broken by its reboot. It must carry the tags."
    )
    address: _HostPort | None = Field(
        default=None,
        description="`host:port` that is connected to, with `security_group`, `network_acl` or `database_instance`: how"
        " it is seen that nobody gets through.",
    )
    function: FunctionFields | None = Field(
        default=None, description="Broken by its reserved concurrency. It must carry the tags."
    )


class ParametersFields(_Section):
    """Parameters of Systems Manager by which the workload can be told something."""

    release: _Parameter | None = Field(
        default=None, description="Says which of its releases the workload serves: for the fault `release`."
    )
    key: _Parameter | None = Field(
        default=None,
        description="Holds an instance's credentials for what it calls, `{instance}` for its id: for `key-stale`.",
    )


class ControlRouteFields(_Section):
    """A rule of the balancer's owner: `<header>: yes` goes to one zone only, `<header>: no` to all others."""

    header: Header = Field(description="What specs name in `control.header`; such a rule must be in force.")
    zone: _Word = Field(description="The zone that answers the marked requests, and no others that carry the header.")


class AwsEnvironmentFields(_Section):
    """An environment file of kind `aws`."""

    schema_version: Literal[1] = Field(default=1, description="The version of this format.")
    name: _Word = Field(description="The environment's name; its file is called the same.")
    kind: Literal["aws"] = Field(description="`aws`.")
    aws: AwsFields
    url: _Url = Field(description="Where load goes: the balancer.")
    tags: dict[_Tag, _Tag] = Field(
        min_length=1,
        max_length=20,
        description='What lacks one of them does not exist for us. `chaos-ready: "true"` must be among them.',
    )
    zones: dict[_Word, ZoneFields] = Field(min_length=1, max_length=10, description="By the name that specs use.")
    instances: InstancesFields = Field(default_factory=InstancesFields)
    load_balancers: _Names = Field(default=[], description="ALBs and NLBs, by name.")
    target_groups: _Names = Field(default=[], description="By name.")
    auto_scaling_groups: _Names = Field(default=[], description="By name: those that would replace what is lost.")
    database_clusters: _Names = Field(default=[], description="Aurora and Multi-AZ clusters, by identifier.")
    cache_groups: _Names = Field(
        default=[], description="ElastiCache replication groups without cluster mode, by id: for the part `caches`."
    )
    az_loss: AzLossFields = Field(default_factory=AzLossFields)
    slis: dict[_Word, SliFields] = Field(
        default={}, max_length=20, description="CloudWatch metrics, by a name of ours."
    )
    alarms: AlarmsFields = Field(default_factory=AlarmsFields)
    notify: NotifyFields | None = Field(
        default=None, description="Whom to tell when a run begins, is aborted and has ended."
    )
    ledger: LedgerFields | None = Field(
        default=None,
        description="An S3 bucket for ledger and lease: undo, and one run at a time, from anywhere.",
    )
    dead_man: DeadManFields | None = Field(
        default=None, description="Have AWS bring back what our own calls broke, if nobody else does."
    )
    fis: FisFields | None = Field(default=None, description="For `compile --to fis`, and what only FIS can do.")
    proxy: ProxyFields | None = Field(default=None, description="The side-car in front of dependencies.")
    dependencies: dict[_Dependency, DependencyFields] = Field(
        default={}, max_length=20, description="What the workload calls, by the name that specs use."
    )
    deniable_roles: Annotated[list[_RoleArn], Field(max_length=10)] = Field(
        default=[],
        description="Roles whose calls may be denied. They carry the tags, and trust whoever runs experiments.",
    )
    parameters: ParametersFields = Field(default_factory=ParametersFields)
    control: ControlRouteFields | None = Field(
        default=None, description="How its balancer tells a control group from the others. Left out: it can't."
    )
    load_workers: LoadWorkersFields | None = Field(default=None, description="Load from other machines.")
    guardrails: GuardrailsFields = Field(default_factory=GuardrailsFields)
