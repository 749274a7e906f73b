"""The records of one environment, each holding the digest of the one before it: `reports/evidence/<environment>/`.

A chain shows that nothing between its ends was changed, taken out, put in or moved. It does not show that its end is
the end, nor that the whole was not written anew: for that the head is anchored outside (`anchor_git`, `anchor_aws`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from stormproof.errors import InputError
from stormproof.evidence.canonical import canonical_json, sha256
from stormproof.evidence.simulation import is_simulated, refuse_mixture
from stormproof.record.atomic import write_bytes

STORE = "evidence"
_NAME = re.compile(r"(\d{6})-[A-Za-z0-9._-]+\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One record of a chain, as it stands on disk."""

    name: str  # of its file
    data: bytes
    record: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """The digest that the next record holds."""
        return sha256(self.data)

    @property
    def sequence(self) -> int:
        """Its place in the chain, from 1."""
        return int(self.record["integrity"]["sequence"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that is not as it was written: *file* is relative to what was verified."""

    file: str
    what: str


@dataclass(frozen=True, slots=True)
class ChainStore:
    """The folder that holds one environment's chain."""

    path: Path

    @property
    def records(self) -> Path:
        """A file a record."""
        return self.path / "records"

    @property
    def head(self) -> Path:
        """Sequence and digest of the last record."""
        return self.path / "head.json"

    @property
    def anchors(self) -> Path:
        """What was anchored where."""
        return self.path / "anchors"


def store_of(reports: Path, environment: str) -> ChainStore:
    """The chain of *environment* under *reports*. `InputError` for a name that is no folder's name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", environment):
        raise InputError(where="", what="environment", expected="a name of letters, digits, . _ and -", got=environment)
    return ChainStore(reports / STORE / environment)


def environments(reports: Path) -> list[str]:
    """The environments under *reports* that have a chain."""
    folder = reports / STORE
    return sorted(one.name for one in folder.iterdir() if (one / "records").is_dir()) if folder.is_dir() else []


def read_links(store: ChainStore) -> list[Link]:
    """The records of *store* in their order. `InputError` when the chain is not whole: nothing is built on it then."""
    files = {path.name: path.read_bytes() for path in sorted(store.records.glob("*.json"))}
    head = _read_head(store)
    links, problems = check_chain(files, head=head)
    if problems:
        raise InputError(
            where=str(store.records / problems[0].file),
            what="",
            expected="a whole chain",
            got=problems[0].what,
            hint="stormproof evidence verify",
        )
    return links


def _read_head(store: ChainStore) -> Mapping[str, Any] | None:
    try:
        head = orjson.loads(store.head.read_bytes())
    except FileNotFoundError:
        return None
    except orjson.JSONDecodeError:
        return {}
    return head if isinstance(head, dict) else {}


def append(
    store: ChainStore, build: Callable[[int, str | None], Mapping[str, Any]], *, name: str
) -> tuple[Link, Mapping[str, Any]]:
    """Add the record that *build* (sequence, previous digest) gives, under the chain's lock; the link and the new head.

    *name* ends the file's name. The record is on disk before the head says so. Raises `InputError` when the chain is
    not whole, or when the record is simulated and the chain's others are not (or the other way round).
    """
    with _locked(store):
        links = read_links(store)
        sequence = len(links) + 1
        record = build(sequence, links[-1].sha256 if links else None)
        refuse_mixture([*(link.record for link in links[:1]), record], where=str(store.path))
        link = Link(name=f"{sequence:06d}-{name}.json", data=canonical_json(record), record=record)
        write_bytes(store.records / link.name, link.data)
        head = head_of(link)
        write_bytes(store.head, canonical_json(head))
    return link, head


def head_of(link: Link) -> dict[str, Any]:
    """What is anchored: environment, sequence and digest of the last record."""
    return {
        "schema_version": 1,
        "environment": link.record["scope"]["environment"],
        "simulated": is_simulated(link.record),
        "sequence": link.sequence,
        "sha256": link.sha256,
        "record": link.name,
    }


def check_chain(files: Mapping[str, bytes], *, head: Mapping[str, Any] | None) -> tuple[list[Link], list[Problem]]:
    """The links in *files* (name → bytes) in order, and everything that is wrong with them as a chain with *head*."""
    links: list[Link] = []
    problems: list[Problem] = []
    expected, previous, is_sound = 1, None, True  # of the one before: nothing follows from what is damaged, it is told
    for name in sorted(files):
        link, problem = _link(name, files[name])
        wrong = [problem] if problem else []
        if link is not None:
            links.append(link)
            wrong = wrong or list(_out_of_place(link, expected, previous if is_sound else None, is_sound=is_sound))
        problems += [Problem(file=name, what=what) for what in wrong]
        number = _NAME.fullmatch(name)
        if number is not None:  # what stands there has taken this place, whatever it is
            expected, previous, is_sound = int(number[1]) + 1, link, not wrong
    if is_sound or head is None or head.get("sequence") != expected - 1:  # else it names what is damaged, and told
        problems += _against_head(links[-1] if links else None, head)
    return links, problems


def _link(name: str, data: bytes) -> tuple[Link | None, str]:
    if not (matched := _NAME.fullmatch(name)):
        return None, "is no record: its name is not <six digits>-<run>.json"
    try:
        record = orjson.loads(data)
        integrity, content = record["integrity"], record["integrity"]["content_sha256"]
        body = {key: value for key, value in record.items() if key != "integrity"}
        Link(name=name, data=data, record=record).sequence  # noqa: B018 - raises where there is none
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None, "was changed: it is no record any more"
    link = Link(name=name, data=data, record=record)
    if sha256(canonical_json(body)) != content:
        return link, "was changed: its content does not have the digest that it holds"
    if canonical_json(record) != data:
        return link, "was changed: it is not written as records are"
    if int(matched[1]) != integrity["sequence"]:
        return link, f"was moved: it is record {integrity['sequence']}"
    return link, ""


def _out_of_place(link: Link, place: int, previous: Link | None, *, is_sound: bool) -> Iterator[str]:
    held = link.record["integrity"].get("previous_sha256")
    if link.sequence != place:
        yield f"is record {link.sequence} where record {place} should be: something was removed, added or moved"
    elif is_sound and held != (previous.sha256 if previous else None):
        before = f"record {previous.sequence}" if previous else "no record"
        yield f"does not hold the digest of what stands before it, {before}: that was changed, or this was"


def _against_head(last: Link | None, head: Mapping[str, Any] | None) -> list[Problem]:
    if last is None:
        return [Problem(file="head.json", what="names a record, and there are none")] if head else []
    if head is None:
        return [Problem(file="head.json", what="is missing")]
    if head != head_of(last):
        told, there = head.get("sequence"), last.sequence
        return [Problem(file="head.json", what=f"names record {told}; the last one here is {there}, or it was changed")]
    return []


@contextlib.contextmanager
def _locked(store: ChainStore) -> Iterator[None]:
    store.records.mkdir(parents=True, exist_ok=True)
    guard = os.open(store.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX)  # two recorders at once: neither may take the other's number
        _adopt(store)
        yield
    finally:
        os.close(guard)


def _adopt(store: ChainStore) -> None:
    """A record written before a crash, which the head does not name yet, becomes the head."""
    files = {path.name: path.read_bytes() for path in sorted(store.records.glob("*.json"))}
    links, _ = check_chain(files, head=None)
    if not links:
        return
    head, before = _read_head(store), links[-2] if len(links) > 1 else None
    if head == (head_of(before) if before else None):
        write_bytes(store.head, canonical_json(head_of(links[-1])))


def records_of(links: Sequence[Link]) -> list[Mapping[str, Any]]:
    """The records of *links*; `InputError` when simulated and real ones stand together."""
    records = [link.record for link in links]
    refuse_mixture(records, where="the chain")
    return records
