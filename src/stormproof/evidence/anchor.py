"""Where the head of a chain is held outside of it: a git repository, a bucket with Object Lock, a KMS key."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stormproof.evidence import anchor_aws, anchor_git
from stormproof.evidence.chain import ChainStore
from stormproof.evidence.verify import Anchored

S3, KMS = "s3://", "kms:"


def hold(place: str, head: Mapping[str, Any], store: ChainStore, *, retain_days: int, now: dt.datetime) -> str:
    """Have *place* hold *head*, and say how it is called there.

    A place is ``s3://bucket/prefix``, ``kms:<key>``, or the path of a git repository.

    Raises `UnavailableError` when it will not, or holds another head of that number.
    """
    if place.startswith(S3):
        return anchor_aws.anchor_s3(_session(), head, place, retain_days=retain_days, now=now)
    if place.startswith(KMS):
        return anchor_aws.sign_kms(_session(), head, place.removeprefix(KMS), store)
    return anchor_git.anchor(head, Path(place))


def read(place: str, environment: str, files: Mapping[str, bytes]) -> list[Anchored]:
    """What *place* holds of *environment*'s chain; *files*: the chain's anchor files, by name, for signatures."""
    if place.startswith(S3):
        return anchor_aws.read_s3(_session(), place, environment)
    if place.startswith(KMS):
        return anchor_aws.read_kms(_session(), place.removeprefix(KMS), files)
    return anchor_git.read(Path(place), environment)


def _session() -> Any:
    import boto3

    return boto3.Session()
