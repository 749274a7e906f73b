"""Whether a bundle or a chain is what it was when it was written, file by file; and whether anybody outside says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from stormproof.errors import InputError, UsageError
from stormproof.evidence.archive import unpack
from stormproof.evidence.attestation import opened, statement
from stormproof.evidence.bundle import MANIFEST, SEAL
from stormproof.evidence.canonical import canonical_json, sha256
from stormproof.evidence.chain import ChainStore, Link, Problem, check_chain
from stormproof.evidence.simulation import is_simulated

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchored:
    """What somebody outside holds: that record *sequence* had that digest."""

    sequence: int
    sha256: str
    by: str  # "git tag …"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found."""

    links: tuple[Link, ...]
    problems: tuple[Problem, ...]
    anchors: tuple[Anchored, ...] = ()  # that agree
    signatures: Mapping[str, bytes] = field(default_factory=dict)  # of heads, by KMS: file → content

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; says nothing of anchors."""
        return not self.problems


def verify_bundle(path: Path, *, key: Ed25519PublicKey | None = None) -> Verified:
    """Hold the bundle at *path*, folder or zip, against its manifest, and its chain against itself."""
    if path.is_dir():
        files, problems = _read_folder(path)
    elif path.is_file():
        return verify_zip(path.read_bytes(), key=key)
    else:
        raise UsageError(f"{path}: there is no bundle")
    found = verify_files(files, key=key)
    return replace(found, problems=(*problems, *found.problems))


def verify_zip(data: bytes, *, key: Ed25519PublicKey | None = None) -> Verified:
    """As `verify_bundle`, for a zip in memory: every byte of it, headers too."""
    try:
        files, wrong = unpack(data)
    except InputError as error:
        return Verified(links=(), problems=(Problem(file="the archive", what=f"was changed: {error.got}"),))
    found = verify_files(files, key=key)
    outer = tuple(Problem(file=name, what=what) for name, what in wrong.items())
    return replace(found, problems=outer + found.problems)


def verify_files(files: Mapping[str, bytes], *, key: Ed25519PublicKey | None = None) -> Verified:
    """As `verify_bundle`, for path → content. With *key* the envelopes' signatures are checked as well."""
    problems = _check_seal(files)
    moved = _moved_manifest(files)
    if moved is not None:  # it stands under another name: what it lists can still be looked for
        problems += [Problem(file=moved, what=f"was moved: it is {MANIFEST}")]
        manifest = _manifest(files[moved])
    else:
        manifest = _manifest(files.get(MANIFEST, b""))
    if manifest is None:
        if MANIFEST not in {one.file for one in problems}:
            problems += [Problem(file=MANIFEST, what="was changed: it is no manifest any more")]
    else:
        wrong_files = _check_files(files, manifest["files"])
        if not _is_of_the_manifest(problems, wrong_files):
            problems += wrong_files
    records = {name.removeprefix("records/"): data for name, data in files.items() if name.startswith("records/")}
    links, wrong = check_chain(records, head=manifest.get("head") if manifest else None)
    # Without a manifest its head is missing because the manifest is; and where a record is damaged, so is the chain.
    if manifest is not None and not any(one.file.startswith("records/") or one.file == MANIFEST for one in problems):
        problems += [Problem(file=_in_bundle(one.file), what=one.what) for one in wrong]
        problems += _check_simulated(links, manifest)
    if key is not None:
        problems += _check_signatures(files, links, key)
    signatures = {name.removeprefix("anchors/"): data for name, data in files.items() if name.startswith("anchors/")}
    return Verified(links=tuple(links), problems=tuple(dict.fromkeys(problems)), signatures=signatures)


def verify_store(store: ChainStore) -> Verified:
    """Hold a chain as it stands under `reports/evidence/` against itself and its head."""
    if not store.records.is_dir():
        raise UsageError(f"{store.path}: there are no records", hint="stormproof evidence record")
    files = {path.name: path.read_bytes() for path in sorted(store.records.iterdir()) if path.is_file()}
    head = None
    if store.head.is_file():
        try:
            head = orjson.loads(store.head.read_bytes())
        except orjson.JSONDecodeError:
            head = {}
    links, problems = check_chain(files, head=head)
    if head is not None and store.head.read_bytes() != canonical_json(head):
        problems.append(Problem(file="head.json", what="was changed: it is not written as heads are"))
    signatures = {path.name: path.read_bytes() for path in sorted(store.anchors.glob("*.json"))}
    return Verified(links=tuple(links), problems=tuple(problems), signatures=signatures)


def hold_against(found: Verified, anchors: Sequence[Anchored]) -> Verified:
    """*found* with what is anchored outside: a chain that was cut, or written anew, does not agree with it."""
    by_sequence = {link.sequence: link.sha256 for link in found.links}
    agree, problems = [], []
    for one in anchors:
        there = by_sequence.get(one.sequence)
        if there == one.sha256:
            agree.append(one)
        elif there is None:
            what = f"is missing, and {one.by} holds its digest: the chain was cut"
            problems.append(Problem(file=f"record {one.sequence}", what=what))
        else:
            what = f"is not the one that {one.by} holds the digest of: the chain was written anew"
            problems.append(Problem(file=f"record {one.sequence}", what=what))
    return replace(found, problems=(*found.problems, *problems), anchors=(*found.anchors, *agree))


def _read_folder(path: Path) -> tuple[dict[str, bytes], list[Problem]]:
    files: dict[str, bytes] = {}
    problems = []
    for one in sorted(path.rglob("*")):
        name = one.relative_to(path).as_posix()
        if one.is_symlink():
            problems.append(Problem(file=name, what="is a link, and was added: a bundle has none"))
        elif one.is_file():
            files[name] = one.read_bytes()
    return files, problems


def _check_seal(files: Mapping[str, bytes]) -> list[Problem]:
    """`manifest.sha256` first against itself, then the manifest against it."""
    gone = [Problem(file=name, what="is missing") for name in (MANIFEST, SEAL) if name not in files]
    if SEAL not in files:
        return gone
    lines = files[SEAL].split(b"\n")
    first = lines[0] + b"\n"
    if files[SEAL] != first + f"{sha256(first)}  {SEAL}\n".encode():
        return [*gone, Problem(file=SEAL, what="was changed: it does not have its own digest")]
    if MANIFEST in files and first != f"{sha256(files[MANIFEST])}  {MANIFEST}\n".encode():
        return [Problem(file=MANIFEST, what="was changed: it does not have the digest that was written down")]
    return gone


def _is_of_the_manifest(sealed: Sequence[Problem], files: Sequence[Problem]) -> bool:
    """Whether the one file that is not as the manifest says is the manifest's own damage, which is told already.

    A damaged entry shows as one changed file; a damaged name as one that is missing, and one that is it under another.
    """
    if [one.file for one in sealed] != [MANIFEST] or not sealed[0].what.startswith("was changed"):
        return False
    gone = [one.file for one in files if one.what == "is missing"]
    others = [one for one in files if one.what != "is missing"]
    if not gone:
        return len(others) <= 1
    return len(gone) == 1 and [f"was moved: it is {gone[0]}"] == [one.what for one in others]


def _moved_manifest(files: Mapping[str, bytes]) -> str | None:
    """Which other file is the manifest, by the digest that was written down for it; None where none is."""
    digest = files.get(SEAL, b"").split(b" ", 1)[0].decode(errors="replace")
    if MANIFEST in files and sha256(files[MANIFEST]) == digest:
        return None
    return next((name for name, data in files.items() if name != MANIFEST and sha256(data) == digest), None)


def _manifest(data: bytes) -> Mapping[str, Any] | None:
    try:
        manifest = orjson.loads(data)
        is_whole = all(isinstance(one["sha256"], str) for one in manifest["files"].values())
    except (KeyError, TypeError, AttributeError, ValueError):
        return None
    return manifest if is_whole and isinstance(manifest, dict) else None


def _check_files(files: Mapping[str, bytes], listed: Mapping[str, Mapping[str, Any]]) -> list[Problem]:
    there = {name for name in files if name not in (MANIFEST, SEAL)}
    by_digest = {one["sha256"]: name for name, one in listed.items()}
    problems = [Problem(file=name, what="is missing") for name in sorted(listed.keys() - there)]
    for name in sorted(there - listed.keys()):
        moved = by_digest.get(sha256(files[name]))
        problems.append(Problem(file=name, what=f"was moved: it is {moved}" if moved else "was added"))
    for name in sorted(there & listed.keys()):
        if (digest := sha256(files[name])) != listed[name]["sha256"]:
            moved, size = by_digest.get(digest), len(files[name]) - int(listed[name].get("bytes", 0))
            grown = f"{size:+d} bytes" if size else "the same length"
            problems.append(Problem(file=name, what=f"was moved: it is {moved}" if moved else f"was changed ({grown})"))
    return problems


def _check_simulated(links: Sequence[Link], manifest: Mapping[str, Any]) -> list[Problem]:
    """A bundle says what its records are: one of the lab cannot be relabelled."""
    told = manifest.get("simulated") is not False
    return [
        Problem(
            file=f"records/{link.name}",
            what=f"is {'' if is_simulated(link.record) else 'not '}simulated, unlike the manifest",
        )
        for link in links
        if is_simulated(link.record) != told
    ]


def _check_signatures(files: Mapping[str, bytes], links: Sequence[Link], key: Ed25519PublicKey) -> list[Problem]:
    problems = []
    for link in links:
        name = f"in-toto/{link.sequence:06d}.dsse.json"
        if name not in files:
            problems.append(Problem(file=name, what="is missing: this record is not signed"))
            continue
        try:
            signed = opened(files[name], key)
        except InputError as error:
            problems.append(Problem(file=name, what=f"was changed: expected {error.expected}, got {error.got}"))
            continue
        if signed != statement(link):
            problems.append(Problem(file=name, what=f"is signed, but not of records/{link.name}"))
    return problems


def _in_bundle(name: str) -> str:
    return MANIFEST if name == "head.json" else f"records/{name}"
