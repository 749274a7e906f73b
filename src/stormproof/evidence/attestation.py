"""A record as an in-toto Statement v1 with a test-result predicate, signed into a DSSE envelope.

The subject is what was tested: the workload's digest or commit where its version is one, and the environment as it was
resolved. The predicate knows three results and has no word for inconclusive, invalid or aborted: those are WARNED.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from stormproof.errors import InputError
from stormproof.evidence.canonical import canonical_json
from stormproof.evidence.chain import Link
from stormproof.evidence.simulation import is_simulated
from stormproof.model.verdict import Outcome

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


def statement(link: Link) -> dict[str, Any]:
    """The statement of one record."""
    record = link.record
    verdict, counts = record["result"]["verdict"], record["potency"]["counts"] is True
    result = "FAILED" if verdict == Outcome.REFUTED else "PASSED" if verdict == Outcome.HELD and counts else "WARNED"
    findings = record["observed"]["findings"]
    return {
        "_type": STATEMENT,
        "subject": _subjects(record),
        "predicateType": PREDICATE,
        "predicate": {
            "result": result,
            "configuration": _configuration(link),
            "passedTests": _claims(findings, Outcome.HELD) if counts else [],
            "warnedTests": _claims(findings, Outcome.INCONCLUSIVE)
            + ([] if counts else _claims(findings, Outcome.HELD)),
            "failedTests": _claims(findings, Outcome.REFUTED),
        },
    }


def envelope(body: bytes, key: Ed25519PrivateKey) -> dict[str, Any]:
    """*body*, a statement as bytes, signed with *key*: a DSSE envelope."""
    signature = key.sign(pre_authentication_encoding(PAYLOAD_TYPE, body))
    return {
        "payload": base64.b64encode(body).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": key_id(key.public_key()), "sig": base64.b64encode(signature).decode()}],
    }


def opened(data: bytes, key: Ed25519PublicKey) -> dict[str, Any]:
    """The statement in a DSSE envelope, once *key*'s signature is seen to be good. Raises `InputError`."""
    from cryptography.exceptions import InvalidSignature

    try:
        document = orjson.loads(data)
        body = base64.b64decode(document["payload"], validate=True)
        signatures = [base64.b64decode(one["sig"], validate=True) for one in document["signatures"]]
        statement_: dict[str, Any] = orjson.loads(body)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(where="", what="envelope", expected="a DSSE envelope", got=repr(error)) from error
    encoded = pre_authentication_encoding(str(document["payloadType"]), body)
    for signature in signatures:
        try:
            key.verify(signature, encoded)
        except InvalidSignature:
            continue
        return statement_
    raise InputError(where="", what="envelope", expected=f"a signature of key {key_id(key)[:16]}", got="none")


def pre_authentication_encoding(payload_type: str, body: bytes) -> bytes:
    """What DSSE signs: lengths before contents, so that no two envelopes share it (DSSE v1, "PAE")."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)


def key_id(key: Ed25519PublicKey) -> str:
    """The SHA-256 of the public key (DER), in hex."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """The Ed25519 key in a PEM file. `InputError` for anything else; the file's content is never in the message."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise _no_key(path) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path)
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The Ed25519 public key in a PEM file. Raises `InputError`."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _no_key(path) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(path)
    return key


def statement_bytes(link: Link) -> bytes:
    """The statement as it is signed."""
    return canonical_json(statement(link))


def _no_key(path: Path) -> InputError:
    return InputError(
        where=str(path),
        what="",
        expected="an Ed25519 key in PEM, without a password",
        hint="openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout -out public.pem",
    )


def _subjects(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    version, scope = record["version"], record["scope"]
    told = str(version.get("workload_version") or "")
    subjects = []
    if found := re.search(r"\bsha256:([0-9a-f]{64})\b", told):
        subjects.append({"name": str(scope["workload"]), "digest": {"sha256": found[1]}})
    elif found := re.search(r"\b[0-9a-f]{40}\b", told):
        subjects.append({"name": str(scope["workload"]), "digest": {"gitCommit": found[0]}})
    else:  # a version that is no digest: named by its own, so that two versions are two subjects
        subjects.append(
            {
                "name": f"{scope['workload']} {told}".strip(),
                "digest": {"sha256": hashlib.sha256(told.encode()).hexdigest()},
            }
        )
    if digest := version.get("environment_sha256"):
        subjects.append({"name": f"environment:{scope.get('environment')}", "digest": {"sha256": digest}})
    return subjects


def _configuration(link: Link) -> list[dict[str, Any]]:
    """What the test was: the spec, the plan, and the record itself, which says whether it was simulated."""
    version, record = link.record["version"], link.record
    named = [("spec.yaml", version.get("experiment_sha256")), ("plan.json", version.get("plan_sha256"))]
    return [
        *({"name": name, "digest": {"sha256": digest}} for name, digest in named if digest),
        {
            "name": f"records/{link.name}",
            "digest": {"sha256": link.sha256},
            "annotations": {
                "simulated": is_simulated(record),
                "verdict": record["result"]["verdict"],
                "countsAsEvidence": record["potency"]["counts"] is True,
            },
        },
    ]


def _claims(findings: Sequence[Mapping[str, Any]], outcome: Outcome) -> list[str]:
    return [str(one["claim"]) for one in findings if one["verdict"] == outcome.value]
