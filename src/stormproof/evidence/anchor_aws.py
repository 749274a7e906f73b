"""The head of a chain in S3 under Object Lock, and signed by a KMS key: held by an account, not by a folder.

In S3 the object's first version counts: whoever may write can add a version, and nobody can take the first away while
its retention (mode COMPLIANCE) lasts. A signature is kept beside the chain, and only the key can make it.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from stormproof.errors import UnavailableError, UsageError
from stormproof.evidence.canonical import canonical_json
from stormproof.evidence.chain import ChainStore
from stormproof.evidence.verify import Anchored
from stormproof.record.atomic import write_bytes

if TYPE_CHECKING:
    import boto3

ALGORITHM = "ECDSA_SHA_256"
LOCKED = "COMPLIANCE"
ANCHORS_MAX = 10_000


def place_of(url: str) -> tuple[str, str]:
    """Bucket and key prefix of ``s3://bucket/prefix``. Raises `UsageError`."""
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise UsageError(f"{url}: expected s3://bucket or s3://bucket/prefix")
    prefix = parts.path.strip("/")
    return parts.netloc, f"{prefix}/" if prefix else ""


def anchor_s3(session: boto3.Session, head: Mapping[str, Any], url: str, *, retain_days: int, now: dt.datetime) -> str:
    """Put *head* under *url*, locked for *retain_days*; its address. The same head again changes nothing.

    Raises `UnavailableError` when S3 will not (a bucket without Object Lock), or holds another head there.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, prefix = place_of(url)
    key = f"{prefix}{head['environment']}/{int(head['sequence']):06d}.json"
    for one in read_s3(session, url, str(head["environment"])):
        if one.sequence == head["sequence"]:
            if one.sha256 == head["sha256"]:
                return one.by
            raise UnavailableError(f"{one.by} is there, and holds another digest", hint="the chain was written anew")
    try:
        session.client("s3").put_object(
            Bucket=bucket,
            Key=key,
            Body=canonical_json(head),
            ContentType="application/json",
            ChecksumAlgorithm="SHA256",
            ObjectLockMode=LOCKED,
            ObjectLockRetainUntilDate=now + dt.timedelta(days=retain_days),
        )
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError(f"s3://{bucket}/{key}: {error}", hint="the bucket needs Object Lock") from error
    return f"s3://{bucket}/{key}"


def read_s3(session: boto3.Session, url: str, environment: str) -> list[Anchored]:
    """What S3 holds of *environment*'s chain under *url*, in order: each key's first version, if it is locked."""
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, prefix = place_of(url)
    client = session.client("s3")
    first: dict[str, tuple[Any, str]] = {}
    found = []
    try:
        pages = client.get_paginator("list_object_versions").paginate(
            Bucket=bucket, Prefix=f"{prefix}{environment}/", PaginationConfig={"MaxItems": ANCHORS_MAX}
        )
        for page in pages:
            for one in page.get("Versions", []):
                when = (one["LastModified"], one["VersionId"])
                first[one["Key"]] = min(first.get(one["Key"], when), when)
        for key, (_, version) in first.items():
            got = client.get_object(Bucket=bucket, Key=key, VersionId=version)
            locked = client.head_object(Bucket=bucket, Key=key, VersionId=version).get("ObjectLockMode")
            if locked == LOCKED and (head := _head(got["Body"].read())):
                found.append(_anchored(head, f"s3://{bucket}/{key}"))
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError(f"{url}: {error}") from error
    return sorted(found, key=lambda one: one.sequence)


def sign_kms(session: boto3.Session, head: Mapping[str, Any], key_id: str, store: ChainStore) -> str:
    """Have KMS sign *head* and keep the signature with the chain; the file's name. Raises `UnavailableError`."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        signed = session.client("kms").sign(
            KeyId=key_id, Message=canonical_json(head), MessageType="RAW", SigningAlgorithm=ALGORITHM
        )
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError(f"kms:{key_id}: {error}", hint="the key must be for signing, ECC_NIST_P256") from error
    name = f"{int(head['sequence']):06d}.kms.json"
    document = {
        "head": head,
        "key_id": signed["KeyId"],
        "algorithm": ALGORITHM,
        "signature": _text(signed["Signature"]),
    }
    write_bytes(store.anchors / name, canonical_json(document))
    return name


def read_kms(session: boto3.Session, key_id: str, files: Mapping[str, bytes]) -> list[Anchored]:
    """What *key_id* has signed among the chain's anchor *files* (name → content); what it has not is passed over."""
    from botocore.exceptions import BotoCoreError, ClientError

    client = session.client("kms")
    found = []
    for name, data in sorted(files.items()):
        if not name.endswith(".kms.json"):
            continue
        try:
            document = orjson.loads(data)
            message, signature = canonical_json(document["head"]), base64.b64decode(document["signature"])
            answer = client.verify(
                KeyId=key_id, Message=message, MessageType="RAW", Signature=signature, SigningAlgorithm=ALGORITHM
            )
            is_good, one = bool(answer["SignatureValid"]), _anchored(document["head"], f"KMS key {key_id}")
        except client.exceptions.KMSInvalidSignatureException:
            continue
        except (KeyError, TypeError, ValueError):
            continue
        except (BotoCoreError, ClientError) as error:
            raise UnavailableError(f"kms:{key_id}: {error}") from error
        if is_good:
            found.append(one)
    return found


def _head(data: bytes) -> Mapping[str, Any] | None:
    try:
        head = orjson.loads(data)
        _anchored(head, "")
    except (KeyError, TypeError, ValueError):
        return None
    return head if isinstance(head, dict) else None


def _anchored(head: Mapping[str, Any], by: str) -> Anchored:
    return Anchored(sequence=int(head["sequence"]), sha256=str(head["sha256"]), by=by)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
