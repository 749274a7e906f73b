"""What is handed to other tools: OSCAL against NIST's schemas, in-toto against its own message definitions, DSSE."""

from __future__ import annotations

import functools
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import json_format
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2 as result_pb2
from in_toto_attestation.v1 import statement_pb2

from stormproof.errors import InputError
from stormproof.evidence import attestation, oscal
from stormproof.evidence.chain import ChainStore, Link, read_links
from support.command import ROOT
from support.evidence_runs import chain_of

SCHEMAS = ROOT / "tests" / "data" / "oscal"
# Python's `re` has no Unicode properties: letters and digits as it can say them.
PROPERTIES = {r"\p{L}": r"[^\W\d_]", r"\p{N}": r"\d"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ChainStore:
    return chain_of(tmp_path_factory.mktemp("reports"), runs=2)


def changed(link: Link, **sections: dict[str, Any]) -> Link:
    """*link* with other values in some sections of its record."""
    record = dict(link.record)
    for name, values in sections.items():
        record[name] = record[name] | values
    return Link(name=link.name, data=orjson.dumps(record), record=record)


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    if isinstance(instance, str):
        translated = functools.reduce(lambda text, one: text.replace(*one), PROPERTIES.items(), pattern)
        if not re.search(translated, instance):
            yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


def errors(document: dict[str, Any], schema: str) -> list[str]:
    """What NIST's *schema* has against *document*, formats too."""
    loaded = json.loads((SCHEMAS / f"oscal_{schema}_schema.json").read_text())
    kind = jsonschema.validators.extend(jsonschema.Draft7Validator, {"pattern": _pattern})
    validator = kind(loaded, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER)
    return [f"{one.json_path}: {one.message}" for one in validator.iter_errors(document)]


def test_the_assessment_results_are_oscal(store: ChainStore) -> None:
    """Against the official schema; a result a run, a finding a practice shown directly; hostile texts too."""
    links = read_links(store)
    hostile = changed(links[1], what={"title": "  <b>\n\n"}, mapping={"practices": []}, observed={"findings": []})
    document = oscal.assessment_results(links)
    results = document["assessment-results"]["results"]
    states = {one["target"]["target-id"]: one["target"]["status"] for one in results[0]["findings"]}

    assert [] == errors(document, "assessment-results")
    assert [] == errors(oscal.assessment_results([links[0], hostile]), "assessment-results")
    assert 2 == len(results)
    assert {"state": "satisfied", "reason": "pass"} == states["rel_fault_isolation_multiaz_region_system_obj"]
    assert "rel_withstand_component_failures_monitoring_health_obj" not in states  # only supported
    assert ("simulated", "true") == tuple(results[0]["props"][0][key] for key in ("name", "value"))
    assert document == oscal.assessment_results(links)


def test_the_schema_can_say_no(store: ChainStore) -> None:
    """A validator that finds nothing in a broken document has not validated the whole one."""
    document = oscal.assessment_results(read_links(store))
    document["assessment-results"]["results"][0]["findings"][0]["target"]["target-id"] = "REL10 BP01"
    del document["assessment-results"]["import-ap"]

    assert 2 <= len(errors(document, "assessment-results"))


@pytest.mark.parametrize(
    ("verdict", "counts", "state", "reason", "result"),
    [
        ("held", True, "satisfied", "pass", "PASSED"),
        ("held", False, "not-satisfied", "other", "WARNED"),
        ("refuted", True, "not-satisfied", "fail", "FAILED"),
        ("inconclusive", True, "not-satisfied", "other", "WARNED"),
        ("unfinished", False, "not-satisfied", "other", "WARNED"),
    ],
)
def test_each_verdict_in_the_words_of_others(
    store: ChainStore, verdict: str, counts: bool, state: str, reason: str, result: str
) -> None:
    """What does not count satisfies nothing and passes nothing."""
    link = changed(read_links(store)[0], result={"verdict": verdict}, potency={"counts": counts})
    finding = oscal.assessment_results([link])["assessment-results"]["results"][0]["findings"][0]

    assert {"state": state, "reason": reason} == finding["target"]["status"]
    assert result == attestation.statement(link)["predicate"]["result"]


def test_the_catalog_is_oscal() -> None:
    """65 controls in 13 groups."""
    document = oscal.catalog()
    groups = document["catalog"]["groups"]

    assert [] == errors(document, "catalog")
    assert (13, 65) == (len(groups), sum(len(group["controls"]) for group in groups))


def test_the_statement_is_in_toto(store: ChainStore) -> None:
    """Every field is one that the published messages know; unknown ones are refused by their parser."""
    statement = attestation.statement(read_links(store)[0])
    parsed = json_format.ParseDict(statement, statement_pb2.Statement())
    result = json_format.ParseDict(statement["predicate"], result_pb2.TestResult())

    assert "https://in-toto.io/Statement/v1" == parsed.type
    assert all(one.digest for one in parsed.subject)
    assert ("PASSED", 4) == (result.result, len(result.passed_tests))
    assert statement["predicate"]["configuration"][-1]["annotations"]["simulated"] is True
    with pytest.raises(json_format.ParseError):
        json_format.ParseDict(statement["predicate"] | {"inconclusive": []}, result_pb2.TestResult())


def test_the_subject_is_the_workload(store: ChainStore) -> None:
    """A digest or a commit in its version is used as such; a version that is neither is named by its own digest."""
    link = read_links(store)[0]
    image = changed(link, version={"workload_version": f"shop@sha256:{'a' * 64}"})
    commit = changed(link, version={"workload_version": "b" * 40})

    assert {"sha256": "a" * 64} == attestation.statement(image)["subject"][0]["digest"]
    assert {"gitCommit": "b" * 40} == attestation.statement(commit)["subject"][0]["digest"]
    assert link.record["version"]["workload_version"] in attestation.statement(link)["subject"][0]["name"]


def test_an_envelope_is_signed_and_seen_through(store: ChainStore, tmp_path: Path) -> None:
    """DSSE's own test vector for what is signed; openssl's key and openssl's eyes on the signature."""
    assert b"DSSEv1 29 http://example.com/HelloWorld 11 hello world" == attestation.pre_authentication_encoding(
        "http://example.com/HelloWorld", b"hello world"
    )
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp_path / "key.pem"], check=True)
    public = tmp_path / "public.pem"
    subprocess.run(["openssl", "pkey", "-in", tmp_path / "key.pem", "-pubout", "-out", public], check=True)
    body = attestation.statement_bytes(read_links(store)[0])
    key = attestation.read_private_key(tmp_path / "key.pem")
    sealed = attestation.envelope(body, key)
    data = orjson.dumps(sealed)

    assert orjson.loads(body) == attestation.opened(data, attestation.read_public_key(public))
    assert "application/vnd.in-toto+json" == sealed["payloadType"]
    with pytest.raises(InputError, match="a signature of key"):
        attestation.opened(data, Ed25519PrivateKey.generate().public_key())
    with pytest.raises(InputError, match="a DSSE envelope"):
        attestation.opened(data[:-9], key.public_key())
    with pytest.raises(InputError, match="openssl genpkey"):
        attestation.read_private_key(public)
