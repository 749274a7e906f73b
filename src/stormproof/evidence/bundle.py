"""The bundle: everything that an auditor takes away, in a folder or a zip, with a manifest of every byte.

The same records and runs give the same bytes: no clock, no path, no random number (Ed25519 signs without one).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stormproof.errors import UsageError
from stormproof.evidence import attestation, oscal
from stormproof.evidence.archive import pack
from stormproof.evidence.canonical import canonical_json, sha256
from stormproof.evidence.chain import ChainStore, Link, head_of, records_of
from stormproof.evidence.page import render_audit
from stormproof.evidence.paper import render_pdf
from stormproof.evidence.simulation import is_simulated
from stormproof.record.atomic import write_bytes
from stormproof.record.layout import RunDirectory

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
SEAL = "manifest.sha256"
OF_A_RUN = ("report.html", "report.md", "junit.xml", "verdict.json", "run.json", "spec.yaml", "plan.json", "SHA256SUMS")


def build_bundle(
    store: ChainStore, links: Sequence[Link], *, runs: Mapping[str, Path], key: Ed25519PrivateKey | None
) -> dict[str, bytes]:
    """The bundle of *links*, all of one chain and in order: path → content. *runs*: run id → directory, where it is.

    Without a *key* the statements are there, and not signed. Raises `UsageError` when there are no records.
    """
    if not links:
        raise UsageError("there are no records to bundle", hint="stormproof evidence record")
    records = records_of(links)
    about = {
        "workload": records[-1]["scope"]["workload"],
        "environment": records[-1]["scope"]["environment"],
        "simulated": is_simulated(records[-1]),
        "head": head_of(links[-1]),
    }
    files: dict[str, bytes] = {f"records/{link.name}": link.data for link in links}
    missing = []
    for link in links:
        run_id = str(link.record["run_id"])
        if run_id in runs:
            files |= _of_run(link, runs[run_id])
        else:
            missing.append(run_id)
        files |= _attested(link, key)
    for path in sorted(store.anchors.glob("*.json")):
        files[f"anchors/{path.name}"] = path.read_bytes()
    files["oscal/assessment-results.json"] = canonical_json(oscal.assessment_results(links))
    files[oscal.CATALOG] = canonical_json(oscal.catalog())
    files["audit.html"] = render_audit(records, about=about).encode()
    files["audit.pdf"] = render_pdf(records, about=about)
    return files | _sealed(files, about=about, missing=missing)


def write_bundle(files: Mapping[str, bytes], out: Path) -> None:
    """Write *files* at *out*: a zip where its name ends so, else a folder, which must not be there yet."""
    if out.suffix == ".zip":
        write_bytes(out, pack(files))
        return
    if out.exists():
        raise UsageError(f"--out {out}: there is something already", hint="a bundle is written once")
    for name, data in files.items():
        write_bytes(out / name, data)


def _of_run(link: Link, path: Path) -> dict[str, bytes]:
    """The reports of a run, as they stand in it, and the digests of its raw data, which stay where they are."""
    run = RunDirectory(path)
    found = {
        f"runs/{link.sequence:06d}/{name}": (run.path / name).read_bytes()
        for name in OF_A_RUN
        if (run.path / name).is_file()
    }
    raw = "".join(f"{digest}  {name}\n" for name, digest in sorted(link.record["observed"]["raw_sha256"].items()))
    return found | {f"runs/{link.sequence:06d}/raw.sha256": raw.encode()}


def _attested(link: Link, key: Ed25519PrivateKey | None) -> dict[str, bytes]:
    body = attestation.statement_bytes(link)
    if key is None:
        return {f"in-toto/{link.sequence:06d}.statement.json": body}
    return {f"in-toto/{link.sequence:06d}.dsse.json": canonical_json(attestation.envelope(body, key))}


def _sealed(files: Mapping[str, bytes], *, about: Mapping[str, Any], missing: Sequence[str]) -> dict[str, bytes]:
    """The manifest, and its digest twice over: a change of the one or of the other can be told apart."""
    manifest = canonical_json(
        {
            "schema_version": SCHEMA_VERSION,
            "format": "stormproof evidence bundle",
            **about,
            "files": {name: {"sha256": sha256(data), "bytes": len(data)} for name, data in files.items()},
            "runs_missing": list(missing),
        }
    )
    first = f"{sha256(manifest)}  {MANIFEST}\n"
    return {MANIFEST: manifest, SEAL: f"{first}{sha256(first.encode())}  {SEAL}\n".encode()}
