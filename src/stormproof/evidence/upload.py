"""A bundle in S3 under Object Lock: nobody can take it away, or put another in its place, while its retention lasts."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stormproof.errors import UnavailableError, UsageError
from stormproof.evidence.anchor_aws import LOCKED, place_of

if TYPE_CHECKING:
    import boto3

BUNDLE_BYTES_MAX = 5 * 2**30  # one PUT; a larger bundle belongs into parts, and its raw data are not in it anyway


def address_of(bundle: Path, url: str) -> str:
    """Where *bundle* goes under *url*: its name carries its digest, so equal bundles have one address."""
    bucket, prefix = place_of(url)
    return f"s3://{bucket}/{prefix}{bundle.stem}-{_digest(bundle).hexdigest()[:16]}.zip"


def upload(session: boto3.Session, bundle: Path, url: str, *, retain_days: int, now: dt.datetime) -> tuple[str, bool]:
    """Put the zip *bundle* under *url*, locked for *retain_days*; its address, and whether it was new there.

    The same bundle again changes nothing. Raises `UsageError` for what is no zip, `UnavailableError` when S3 will not
    (a bucket without Object Lock), or the object there is not locked or of other bytes.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    if bundle.suffix != ".zip" or not bundle.is_file():
        raise UsageError(
            f"--bundle {bundle}: expected a bundle that is one file", hint="evidence bundle --out NAME.zip"
        )
    if bundle.stat().st_size > BUNDLE_BYTES_MAX:
        raise UsageError(f"--bundle {bundle}: expected at most {BUNDLE_BYTES_MAX} bytes")
    checksum, address = base64.b64encode(_digest(bundle).digest()).decode(), address_of(bundle, url)
    bucket, key = address.removeprefix("s3://").split("/", 1)
    client = session.client("s3")
    try:
        there = _there(client, bucket, key)
        if there is not None:
            if there.get("ObjectLockMode") != LOCKED or there.get("ContentLength") != bundle.stat().st_size:
                raise UnavailableError(f"{address} is there, and is not our locked bundle")
            return address, False
        with bundle.open("rb") as body:
            client.put_object(
                Bucket=bucket,
                Key=key,
                Body=body,
                ContentType="application/zip",
                ChecksumAlgorithm="SHA256",  # S3 wants one for what it locks, and refuses other bytes
                ChecksumSHA256=checksum,
                ObjectLockMode=LOCKED,
                ObjectLockRetainUntilDate=now + dt.timedelta(days=retain_days),
            )
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError(f"{address}: {error}", hint="the bucket needs Object Lock") from error
    return address, True


def _there(client: Any, bucket: str, key: str) -> Any:
    from botocore.exceptions import ClientError

    try:
        return client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
            return None
        raise


def _digest(bundle: Path) -> Any:
    if not bundle.is_file():
        raise UsageError(f"--bundle {bundle}: there is no such file")
    with bundle.open("rb") as file:
        return hashlib.file_digest(file, "sha256")
