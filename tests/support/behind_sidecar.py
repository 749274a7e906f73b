"""The lab as a workload in AWS that calls its dependencies through a side-car: the one that `proxy config` writes.

The side-car listens where the lab's own proxies did, so that the shop need not be told: their listeners are taken out
of the lab's Envoy, which is left with the balancing, and put back after. What is called is the lab's, too: its
dependencies, and moto as DynamoDB and as the control plane.
"""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stormproof.faults.canary import ask
from stormproof.faults.envoy_admin import EnvoyAdmin
from stormproof.faults.envoy_listeners import ListenerFile
from stormproof.lab.state import LabFolder, read_record
from support.command import stormproof, wait_for
from support.lab import RunningLab
from support.lab_account import lab_account
from support.sidecar import free_ports, started_as_told

BUCKET = "shop-stormproof-ledger"
PARAMETERS = {"release": "/shop/release", "key": "/shop/{instance}/api-key"}  # the lab's own names
NODE = "stormproof-staging"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A lab that is an account by now, and its side-car."""

    lab: RunningLab
    file: Path  # the environment's
    directory: Path  # the side-car's
    admin: EnvoyAdmin

    def state(self) -> dict[str, Any]:
        """What the specs' faults may change: the side-car's runtime, listeners and files; every parameter there is."""
        ssm = self.lab.client("ssm")
        pages = ssm.get_paginator("describe_parameters").paginate()
        names = [row["Name"] for page in pages for row in page["Parameters"] if row["Name"].startswith("/shop/")]
        told = [ssm.get_parameter(Name=name)["Parameter"] for name in names]
        folders = ("listeners", "buckets", "latency")
        return {
            "runtime": self.admin.all_overrides(),
            "listeners": self.admin.listeners(),
            "files": {
                f"{folder}/{path.name}": path.read_text()
                for folder in folders
                for path in sorted((self.directory / folder).iterdir())
            },
            "parameters": {one["Name"]: (one["Type"], one["Value"]) for one in told},
        }

    def open_entries(self) -> list[str]:
        """What the bucket holds as outstanding."""
        rows = self.lab.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="stormproof/staging/open/")
        return [str(row["Key"]) for row in rows.get("Contents", ())]

    def forget_lease(self) -> None:
        """The lease of a run that was killed on another machine is over after two minutes: they are not waited for."""
        self.lab.client("s3").delete_object(Bucket=BUCKET, Key="stormproof/staging/lease.json")


@contextlib.contextmanager
def behind_sidecar(lab: RunningLab, folder: Path) -> Iterator[Account]:
    """*lab* so, described by ``staging.yaml`` in *folder*; recommendations and the cart are called, reviews are not."""
    lab.wait_until_whole()
    record = read_record(LabFolder(path=lab.directory))
    assert record is not None
    assert record.topology is not None
    backends = record.topology.backends
    dependencies: dict[str, dict[str, Any]] = {
        "recommendations": {"upstream": backends["recommendations"].url, "canary": "/healthz"},
        "reviews": {"upstream": backends["reviews"].url, "canary": "/healthz"},
        "cart": {"service": "dynamodb"},
    }
    urls = {name: lab.environment.dependencies[name].url for name in dependencies}
    ports = {name: urllib.parse.urlsplit(url).port or 0 for name, url in urls.items()}
    (admin,) = free_ports(1)
    s3 = lab.client("s3")
    if BUCKET not in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    changes = {
        "proxy": {"admin": f"http://127.0.0.1:{admin}", "directory": str(folder / "side-car"), "node": NODE},
        "dependencies": {name: {**one, "proxy": {"port": ports[name]}} for name, one in dependencies.items()},
        "parameters": PARAMETERS,
        "ledger": {"bucket": BUCKET},
    }
    with lab_account(lab, folder / "staging.yaml", **changes) as file, _without_listeners(lab, urls):
        written = stormproof("proxy", "config", "--env", file, "--json")
        assert written.code == 0, written.err
        with started_as_told(written.document["start"], folder / "envoy.log", ports=(admin, *ports.values())):
            yield Account(
                lab=lab,
                file=file,
                directory=folder / "side-car",
                admin=EnvoyAdmin(url=f"http://127.0.0.1:{admin}", node_id=NODE),
            )
    lab.wait_until_whole()


@contextlib.contextmanager
def _without_listeners(lab: RunningLab, urls: dict[str, str]) -> Iterator[None]:
    """The lab's Envoy without its listeners at *urls*, by name; their ports are free meanwhile."""
    proxy = lab.environment.proxy
    assert proxy is not None
    assert proxy.listeners_path is not None
    files = {name: ListenerFile(path=proxy.listeners_path, listener=name) for name in urls}
    former = {name: one.read() for name, one in files.items()}
    try:
        for name, one in files.items():
            one.replace(former[name], None)
        for url in urls.values():
            wait_for(f"nobody at {url}", lambda url=url: ask(url, timeout_s=1).failure == "refused", within_s=10)  # type: ignore[misc]
        yield
    finally:
        for name, one in files.items():
            one.replace(None, former[name])
        for url in urls.values():
            wait_for(f"the lab at {url}", lambda url=url: not ask(url, timeout_s=1).failure, within_s=10)  # type: ignore[misc]
