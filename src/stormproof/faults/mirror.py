"""The ledger, mirrored to S3: one object an entry, so that any machine with the environment's file can undo.

``<prefix>/open/<run>/<fault>.json`` is made before the act, and only if it is not there (``If-None-Match``); every
later step replaces exactly the version that was read (``If-Match``), which is how one undoer keeps others out. Once
undone it says so and is deleted; the bucket's versions keep it. docs/adr/0040-ledger-in-s3.md.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stormproof.errors import FaultError, UnavailableError
from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall
from stormproof.faults.ledger import Ledger
from stormproof.record.state import machine_id

SCHEMA_VERSION = 1
_TIMEOUT_S = 3.0  # of two attempts: an undo waits for them before it begins
CLAIM_S = 300.0  # after that, whoever began an undo elsewhere is taken for dead; two at once do no harm
_LOST = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_GONE = ("NoSuchKey", "404")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrored:
    """One entry as the bucket has it."""

    key: str
    etag: str
    document: Mapping[str, Any]

    @property
    def outstanding(self) -> bool:
        """Whether this may still be broken."""
        return self.document.get("state") != "undone"

    @property
    def ledger(self) -> Path:
        """Where the machine that broke it keeps its own ledger."""
        return Path(str(self.document["configuration"].get("ledger_path", "")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """The environment's part of a bucket."""

    bucket: str
    prefix: str  # "stormproof/staging"
    configuration: Mapping[str, Any]  # as whom, and where

    @classmethod
    def of(cls, configuration: Mapping[str, Any]) -> Mirror | None:
        """The mirror that a fault's *configuration* names; None where it names none."""
        bucket = configuration.get("ledger_bucket")
        if not bucket:
            return None
        return cls(bucket=str(bucket), prefix=str(configuration["ledger_prefix"]), configuration=configuration)

    def intend(self, row: Mapping[str, Any]) -> None:
        """Write the ledger's intent *row*; in the bucket when this returns.

        Raises `FaultError` when it could not be written, or stands there already: then nothing may be broken.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        fault_id = str(row["fault_id"])
        document = {
            **{key: row[key] for key in ("fault_id", "kind", "target", "configuration", "prior", "wall_s")},
            "schema_version": SCHEMA_VERSION,
            "run": run_of(row["configuration"]),
            "state": "intent",
            "reason": "",
            "steps": [_step("intent")],
        }
        try:
            self._put(self._key(document["run"], fault_id), document, IfNoneMatch="*")
        except (BotoCoreError, ClientError) as error:
            said = "another run has written it" if _code(error) in _LOST else str(error)
            raise FaultError(
                f"s3://{self.bucket}/{self.prefix}: the undo of {fault_id} could not be written ({said});"
                " nothing was broken",
                hint="without it no other machine could undo: see to the bucket first",
            ) from error

    def note(self, run: str, fault_id: str, step: str, *, reason: str = "") -> str:
        """Record *step* of an entry; why that could not be done, else "".

        An entry that is not there any more is no trouble: it was undone. ``undone`` takes the entry away.
        """
        return self._note(run, fault_id, step, reason=reason)[0]

    def claim(self, run: str, fault_id: str) -> str:
        """Take the entry for an undo; why somebody else has it, else "".

        A bucket that does not answer keeps nobody from undoing: what is broken matters more.
        """
        trouble, refused = self._note(run, fault_id, "undoing", is_claim=True)
        return trouble if refused else ""

    def entries(self) -> list[Mirrored]:
        """Everything that is outstanding, last broken first. Raises botocore's errors."""
        pages = (
            self._s3()
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self.bucket, Prefix=f"{self.prefix}/open/", **self._owner)
        )
        there = (self._get(row["Key"]) for page in pages for row in page.get("Contents", ()))
        found = [one for one in there if one is not None and one.outstanding]
        return sorted(found, key=lambda one: float(one.document["wall_s"]), reverse=True)

    def check(self) -> None:
        """The bucket is there, in the file's account, and keeps versions; else `UnavailableError`."""
        status = self._s3().get_bucket_versioning(Bucket=self.bucket, **self._owner).get("Status")
        if status != "Enabled":
            raise UnavailableError(
                f"ledger.bucket: expected {self.bucket} with versioning Enabled, got {status or 'none'}",
                hint="a version that is overwritten by mistake must be there to be read",
            )

    def put_if(self, name: str, document: Mapping[str, Any], *, etag: str | None) -> bool:
        """Write ``<prefix>/<name>`` if it is still *etag* (None: if it is not there); whether it was."""
        from botocore.exceptions import ClientError

        try:
            self._put(f"{self.prefix}/{name}", document, **({"IfMatch": etag} if etag else {"IfNoneMatch": "*"}))
        except ClientError as error:
            if _code(error) not in (*_LOST, *_GONE):
                raise
            return False
        return True

    def read(self, name: str) -> tuple[Mirrored, float] | None:
        """``<prefix>/<name>`` and its age in seconds by the bucket's own clock; None when it is not there."""
        return self._read(f"{self.prefix}/{name}")

    def delete(self, key: str) -> None:
        """Take the object away; its versions stay."""
        self._s3().delete_object(Bucket=self.bucket, Key=key, **self._owner)

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """On this prefix of this bucket only."""
        partition = self.configuration.get("aws_partition") or "aws"
        bucket = f"arn:{partition}:s3:::{self.bucket}"
        objects = tuple(
            ApiCall(service="s3", operation=one, purpose="undo", resources=(f"{bucket}/{self.prefix}/*",))
            for one in ("PutObject", "GetObject", "DeleteObject")
        )
        whole = tuple(
            ApiCall(service="s3", operation=one, purpose="undo", resources=(bucket,))
            for one in ("ListObjectsV2", "GetBucketVersioning")
        )
        return (*objects, *whole)

    def _note(
        self, run: str, fault_id: str, step: str, *, reason: str = "", is_claim: bool = False
    ) -> tuple[str, bool]:
        """Why it could not be recorded, and whether that is because somebody else has it."""
        from botocore.exceptions import BotoCoreError, ClientError

        key = self._key(run, fault_id)
        try:
            there = self._get(key)
            if there is None:
                return "", False
            if is_claim and (holder := _held_elsewhere(there.document)):
                return holder, True
            steps = [*there.document.get("steps", ()), _step(step, reason)]
            self._put(
                key, {**there.document, "state": step, "reason": reason, "steps": steps[-20:]}, IfMatch=there.etag
            )
            if step == "undone":
                self.delete(key)
        except (BotoCoreError, ClientError) as error:
            if _code(error) in _LOST:
                return f"another machine has just taken it (s3://{self.bucket}/{key})", True
            return f"s3://{self.bucket}/{key} could not be told: {error}", False
        return "", False

    def _get(self, key: str) -> Mirrored | None:
        found = self._read(key)
        return found[0] if found else None

    def _read(self, key: str) -> tuple[Mirrored, float] | None:
        from email.utils import parsedate_to_datetime

        from botocore.exceptions import ClientError

        try:
            answer = self._s3().get_object(Bucket=self.bucket, Key=key, **self._owner)
        except ClientError as error:
            if _code(error) in _GONE:
                return None
            raise
        found = Mirrored(key=key, etag=answer["ETag"], document=json.loads(answer["Body"].read()))
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        return found, (now - answer["LastModified"]).total_seconds()

    def _put(self, key: str, document: Mapping[str, Any], **condition: str) -> None:
        body = json.dumps(document, sort_keys=True).encode()
        self._s3().put_object(
            Bucket=self.bucket, Key=key, Body=body, ContentType="application/json", **condition, **self._owner
        )

    def _key(self, run: str, fault_id: str) -> str:
        return f"{self.prefix}/open/{run}/{fault_id}.json"

    @property
    def _owner(self) -> dict[str, str]:
        """A bucket of that name in another account is not the bucket."""
        return {"ExpectedBucketOwner": str(self.configuration["aws_account"])}

    def _s3(self) -> Any:
        return aws.client("s3", self.configuration, attempts=2, timeout_s=_TIMEOUT_S)


def run_of(configuration: Mapping[str, Any]) -> str:
    """The run that a ledger's entry belongs to: the folder of its ledger."""
    return Path(str(configuration.get("ledger_path", ""))).parent.name or "no-run"


def _step(step: str, reason: str = "") -> dict[str, Any]:
    host = {"machine": machine_id(), "host": socket.gethostname()}
    return {"step": step, "wall_s": time.time(), **host, "reason": reason}


def _held_elsewhere(document: Mapping[str, Any]) -> str:
    """Who undoes it on another machine, lately enough to be alive; else ""."""
    steps = list(document.get("steps", ()))
    if document.get("state") != "undoing" or not steps:
        return ""
    last = steps[-1]
    age_s = time.time() - float(last.get("wall_s", 0.0))
    if last.get("machine") == machine_id() or age_s > CLAIM_S:
        return ""
    return f"{last.get('host')} began to undo it {age_s:.0f} s ago"


def _code(error: Exception) -> str:
    response = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


def ledger_of(entries: list[Mirrored], path: Path, *, configuration: Mapping[str, Any]) -> Path:
    """The ledger of *entries*, all of one run, for an undo here: theirs if it is on this machine, else one at *path*.

    *configuration* says as whom the undo is to be done from here, and how the side-car is reached; where, and what was
    there, stays theirs.
    """
    ids = {str(one.document["fault_id"]) for one in entries}
    there = entries[0].ledger
    if there.is_file() and ids <= {entry.fault_id for entry in Ledger(there).outstanding()}:
        return there
    path.parent.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(path)
    for one in reversed(entries):  # a ledger is in the order of breaking
        if str(one.document["fault_id"]) in {entry.fault_id for entry in ledger.outstanding()}:
            continue
        document = one.document
        ledger.intend(
            str(document["fault_id"]),
            kind=str(document["kind"]),
            target=document["target"],
            configuration={**document["configuration"], **_from_here(configuration, document["configuration"])},
            prior=document["prior"],
        )
    return path


def _from_here(configuration: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Who calls, of *configuration*, and where the side-car is for us; a profile of another machine is not asked for.

    That it is the same side-car its node id says, which stays theirs.
    """
    mine = {key: configuration.get(key, "") for key in ("aws_profile", "aws_role_arn", "aws_external_id")}
    sidecar = {key: configuration[key] for key in ("envoy_admin_url",) if key in configuration and key in theirs}
    return {**mine, **sidecar, "aws_endpoint_url": configuration.get("aws_endpoint_url", "")}


def grouped(entries: list[Mirrored]) -> Iterator[tuple[str, list[Mirrored]]]:
    """By run, in the order given."""
    runs = dict.fromkeys(str(one.document["run"]) for one in entries)
    for run in runs:
        yield run, [one for one in entries if one.document["run"] == run]
