"""The head of a chain in an annotated git tag: pushed, it is held by whoever holds the repository."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from stormproof.errors import UnavailableError
from stormproof.evidence.verify import Anchored

PREFIX = "stormproof-evidence"
TIMEOUT_S = 30.0


def anchor(head: Mapping[str, Any], repository: Path) -> str:
    """Put *head* into a tag of *repository*, and return the tag's name. The same head again changes nothing.

    Raises `UnavailableError` when git will not, and when the tag is there with another head.
    """
    name = f"{PREFIX}/{head['environment']}/{int(head['sequence']):06d}"
    message = orjson.dumps(head, option=orjson.OPT_SORT_KEYS).decode()
    for one in read(repository, str(head["environment"])):
        if one.sequence == head["sequence"]:
            if one.sha256 == head["sha256"]:
                return name
            raise UnavailableError(
                f"{name} is there, and holds another digest",
                hint="the chain was written anew since: stormproof evidence verify --anchor says where",
            )
    _git(repository, "tag", "--annotate", "--message", message, name)
    return name


def read(repository: Path, environment: str) -> list[Anchored]:
    """What the tags of *repository* hold of *environment*'s chain, in order; a tag that is no anchor is passed over."""
    pattern = f"refs/tags/{PREFIX}/{environment}/*"
    listed = _git(repository, "for-each-ref", "--format=%(refname:short)%09%(contents:subject)", pattern)
    found = []
    for row in listed.splitlines():
        name, _, message = row.partition("\t")
        try:
            head = orjson.loads(message)
            one = Anchored(sequence=int(head["sequence"]), sha256=str(head["sha256"]), by=f"git tag {name}")
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            continue
        found.append(one)
    return sorted(found, key=lambda one: one.sequence)


def _git(repository: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(repository), *arguments],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"git cannot be called: {error}") from error
    if done.returncode != 0:
        words = done.stderr.strip().splitlines()
        raise UnavailableError(f"git {arguments[0]} in {repository}: {words[-1] if words else done.returncode}")
    return done.stdout
