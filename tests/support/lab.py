"""A lab for tests: of its own, in its own folder, gone with the tests whatever becomes of them."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from stormproof.faults.envoy_admin import EnvoyAdmin
from stormproof.lab import control
from stormproof.lab.processes import Owner
from stormproof.model.environment import Environment
from support import unprivileged


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningLab:
    """A lab that is up."""

    directory: Path
    environment: Environment

    @property
    def admin(self) -> EnvoyAdmin:
        """Its Envoy."""
        proxy = self.environment.proxy
        assert proxy is not None
        return EnvoyAdmin(url=proxy.admin_url, node_id=proxy.node_id)

    def client(
        self, service: str, *, url: str | None = None, attempts: int = 1, session: Mapping[str, str] | None = None
    ) -> Any:
        """A client of its control plane, or of *url*, that makes at most *attempts* attempts; as *session*, if any."""
        return boto3.client(  # type: ignore[call-overload]
            service,
            region_name=self.environment.aws.region,
            endpoint_url=url or self.environment.aws.endpoint_url,
            aws_access_key_id=session["AccessKeyId"] if session else "testing",
            aws_secret_access_key=session["SecretAccessKey"] if session else "testing",
            aws_session_token=session["SessionToken"] if session else None,
            config=Config(
                proxies={},
                retries={"mode": "standard", "total_max_attempts": attempts},
                connect_timeout=5,
                read_timeout=5,
            ),
        )

    def status(self) -> dict[str, Any]:
        """What `lab status` says."""
        return control.status(self.directory)

    def wait_until_whole(self) -> None:
        """Wait for the lab to heal; fails with its own reason."""
        until(lambda: self.status()["whole"], why=lambda: self.status()["reason"])


def until(is_so: Callable[[], object], *, within_s: float = 20.0, why: Callable[[], object] = str) -> None:
    """Wait for a condition; fails when it does not come to be in time."""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, f"did not come to be within {within_s:g} s: {why()}"
        time.sleep(0.05)


def private_folder() -> Path:
    """A folder whose name no other lab has."""
    return Path(tempfile.mkdtemp(prefix="stormproof-test-lab-"))


def running_lab(variant: str) -> Iterator[RunningLab]:
    """A lab, taken down at the end; with this process as its owner, so that a killed test leaves none either."""
    directory = private_folder()
    try:
        environment = control.up(directory, variant=variant, owner=Owner.this_process())
        yield RunningLab(directory=directory, environment=environment)
    finally:
        control.down(directory)
        shutil.rmtree(directory, ignore_errors=True)


def running_lab_without_privileges(variant: str) -> Iterator[RunningLab]:
    """A lab of a user who may do nothing; brought up and taken down by that user, owned by this process."""
    parent = private_folder()
    directory = parent / "lab"
    os.chown(parent, unprivileged.UID, unprivileged.UID)
    me = Owner.this_process()
    program = (
        "import sys; from pathlib import Path; from stormproof.lab import control, processes;"
        "directory, variant, pid, started = sys.argv[1:];"
        "owner = processes.Owner(pid=int(pid), started_s=float(started));"
        "control.up(Path(directory), variant=variant, owner=owner) if variant else control.down(Path(directory))"
    )

    def as_nobody(what: str) -> None:
        unprivileged.call([sys.executable, "-c", program, str(directory), what, str(me.pid), repr(me.started_s)])

    try:
        as_nobody(variant)
        yield RunningLab(directory=directory, environment=control.environment(directory))
    finally:
        as_nobody("")
        shutil.rmtree(parent, ignore_errors=True)
