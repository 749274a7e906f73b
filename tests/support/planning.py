"""An environment and resolved faults, written by hand: what plans are tested against, free of a running lab."""

from stormproof.model.cloud import (
    Cloud,
    CloudDependency,
    CloudZone,
    Cluster,
    Fis,
    Function,
    NetworkAcl,
    ScalingGroup,
    Sidecar,
)
from stormproof.model.environment import Aws, Dependency, Environment, Instance, Proxy
from stormproof.model.experiment import Experiment, FaultRequest, Limits, Load, Timeline
from stormproof.model.plan import ResolvedFault
from stormproof.proxy.sidecar import dependency_of, proxy_of
from stormproof.spec.hypothesis import parse_hypothesis, parse_stop_condition


def make_environment() -> Environment:
    """Three zones of two instances, three dependencies, a proxy; nothing of it is running."""
    zones = {
        zone: tuple(
            Instance(id=f"i-{zone}{number}", zone=zone, url=f"http://127.0.{index}.{number}:8000") for number in (1, 2)
        )
        for index, zone in enumerate("abc", start=1)
    }
    dependencies = {
        name: Dependency(
            name=name,
            url=f"http://127.0.0.1:{port}",
            access_log=f"/lab/{name}.log",
            service="dynamodb" if name == "cart" else None,
            delay_percent_key=f"fault.{name}.delay_percent",
            delay_duration_key=f"fault.{name}.delay_ms",
            throttle_enabled_key=f"throttle.{name}.enabled",
            throttle_config_path=f"/lab/throttle-{name}.json",
        )
        for name, port in (("recommendations", 9001), ("cart", 9002), ("reviews", 9003))
    }
    return Environment(
        name="local",
        simulated=True,
        base_url="http://127.0.0.1:8080",
        aws=Aws(endpoint_url="http://127.0.0.1:5000", region="eu-central-1", account="123456789012"),
        proxy=Proxy(admin_url="http://127.0.0.1:9901", node_id="stormproof-test", balancer_cluster="shop"),
        zones=zones,
        dependencies=dependencies,
        variant="hardened",
    )


def make_experiment(
    *,
    faults: tuple[FaultRequest, ...] = (FaultRequest(kind="az-loss", arguments={"zone": "a"}, where="e.yaml:9"),),
    hypotheses: tuple[str, ...] = ("availability during fault >= 99.5%", "time to recover <= 10s"),
    arrivals_per_s: float | None = 150.0,
    targets: int = 2,
) -> Experiment:
    """An experiment as the loader would make it."""
    return Experiment(
        slug="az-loss",
        title="The shop keeps selling",
        why="It must.",
        load=Load(
            locustfile="/somewhere/experiments/az-loss/load.py",
            arrivals_per_s=arrivals_per_s,
            users=None if arrivals_per_s else 40,
        ),
        timeline=Timeline(steady_s=15.0, fault_s=20.0, recovery_s=15.0),
        faults=faults,
        hypotheses=tuple(parse_hypothesis(text) for text in hypotheses),
        stop_when=(parse_stop_condition("availability < 50% for 5s"),),
        limits=Limits(duration_s=180.0, targets=targets),
        reliability=("rel_fault_isolation_multiaz_region_system",),
        tags=("zonal",),
        path="experiments/az-loss/experiment.yaml",
    )


def make_fault(number: int = 1, *, configuration: dict[str, object] | None = None) -> ResolvedFault:
    """A resolved fault of one target, as a fault's own module would make it."""
    return ResolvedFault(
        fault_id=f"{number}-az-loss",
        kind="az-loss",
        module="stormproof.faults.az_loss",
        target={"zone": "a", "instance_ids": [f"i-{number}"], "urls": [f"http://127.0.1.{number}:8000"]},
        configuration=configuration or {"aws_region": "eu-central-1"},
        targets=(f"i-{number}",),
        what=f"stop 1 instance of zone a: i-{number}",
        undo="start it again",
        effect={"kind": "zone-silent", "zone": "a"},
    )


def _called() -> tuple[Sidecar, dict[str, CloudDependency]]:
    """The side-car, and what is called through it."""
    sidecar = Sidecar(
        admin_url="http://127.0.0.1:9901", node_id="stormproof-staging", directory="/var/lib/stormproof-proxy"
    )
    called = {
        "recommendations": CloudDependency(
            name="recommendations", upstream="http://recommendations.staging:8080", canary_path="/healthz", port=9101
        ),
        "cart": CloudDependency(name="cart", service="dynamodb", port=9102),
        "ledger": CloudDependency(
            name="ledger",
            address="10.0.9.1:5432",
            security_group="sg-0123456789abcdef0",
            network_acl=NetworkAcl(
                subnets=("subnet-0123456789abcdef0", "subnet-0123456789abcdef1"), cidrs=("10.0.9.0/24",)
            ),
        ),
        "orders": CloudDependency(name="orders", address="10.0.9.2:5432", database_instance="orders-db"),
        "thumbnails": CloudDependency(name="thumbnails", function=Function(name="thumbnails", payload="{}")),
    }
    return sidecar, called


def make_aws_environment() -> Environment:
    """`experiments/environments/staging.example.yaml` as it would be found: an account that nobody has to ask."""
    account, region = "123456789012", "eu-central-1"
    sidecar, called = _called()
    zones = {"a": "euc1-az2", "b": "euc1-az3", "c": "euc1-az1"}
    return Environment(
        name="staging",
        simulated=False,
        base_url="https://shop.staging.example.com",
        aws=Aws(
            endpoint_url=None,
            region=region,
            account=account,
            partition="aws",
            role_arn=f"arn:aws:iam::{account}:role/stormproof-staging",
        ),
        zones={
            zone: tuple(
                Instance(
                    id=f"i-0{zone}{number}",
                    zone=zone,
                    url=f"http://10.0.0.{number}:8080",
                    key_parameter=f"/shop/i-0{zone}{number}/api-key",
                )
                for number in (1, 2)
            )
            for zone in zones
        },
        proxy=proxy_of(sidecar),
        dependencies={name: dependency_of(sidecar, one) for name, one in called.items() if one.port},
        release_parameter="/shop/release",
        cloud=Cloud(
            tags={"chaos-ready": "true", "app": "shop"},
            zones={
                zone: CloudZone(name=zone, az_id=az_id, az_name=f"{region}{zone}", subnets=(f"subnet-0{zone}",))
                for zone, az_id in zones.items()
            },
            target_groups={
                "shop": f"arn:aws:elasticloadbalancing:{region}:{account}:targetgroup/shop/0123456789abcdef"
            },
            scaling_groups=(
                ScalingGroup(
                    name="shop",
                    arn=f"arn:aws:autoscaling:{region}:{account}:autoScalingGroup:0b:autoScalingGroupName/shop",
                ),
            ),
            clusters=(
                Cluster(
                    name="orders",
                    arn=f"arn:aws:rds:{region}:{account}:cluster:orders",
                    writer="orders-a",
                    members={"orders-a": f"{region}a", "orders-b": f"{region}b"},
                ),
            ),
            alarms_guard={
                "shop-availability": f"arn:aws:cloudwatch:{region}:{account}:alarm:shop-availability",
            },
            dependencies=called,
            deniable_roles=(f"arn:aws:iam::{account}:role/shop-deployment",),
            fis=Fis(
                role_arn=f"arn:aws:iam::{account}:role/stormproof-fis",
                launch_roles=(f"arn:aws:iam::{account}:role/shop-deployment",),
                log_group_arn=f"arn:aws:logs:{region}:{account}:log-group:/stormproof/fis",
                report_bucket="shop-chaos-reports",
            ),
        ),
    )
