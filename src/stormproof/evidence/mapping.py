"""Which best practices of the Reliability pillar a run can be evidence for, by the kind of experiment that it was.

Keyed on choice ids, which stay; numbers such as REL11-BP02 move from one edition of the pillar to the next and are
labels. The table is data (`data/mapping.json`): a kind of experiment, what makes a run one of that kind, and the
practices that it shows directly or supports.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stormproof.model.experiment import AT, COMPOSITE, STEPS
from stormproof.spec.loader import reliability_choices

Strength = Literal["direct", "supporting"]
DIRECT: Strength = "direct"
SUPPORTING: Strength = "supporting"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentKind:
    """One row of the table."""

    kind: str
    title: str
    direct: tuple[str, ...]
    supporting: tuple[str, ...]
    when: tuple[Mapping[str, Any], ...] | None  # None: no fault or claim of this version makes such a run

    def strength_for(self, choice_id: str) -> Strength | None:
        """How strongly a run of this kind speaks for a practice; None: not at all."""
        if choice_id in self.direct:
            return DIRECT
        return SUPPORTING if choice_id in self.supporting else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """A practice that a run speaks for."""

    choice_id: str
    strength: Strength
    kinds: tuple[str, ...]  # the kinds of experiment that give it that strength


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A practice that a spec names and that its runs cannot speak for."""

    choice_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidenced:
    """What a run is evidence for, what it is not although its spec says so, and what its spec could name as well."""

    kinds: tuple[str, ...]
    mapped: tuple[Mapped, ...]
    refused: tuple[Refused, ...]
    not_claimed: tuple[str, ...]  # choice ids that the run would show directly, had its spec named them


@functools.cache
def _table() -> Mapping[str, Any]:
    data = importlib.resources.files("stormproof.evidence").joinpath("data/mapping.json").read_bytes()
    table: Mapping[str, Any] = json.loads(data)
    return table


def framework_date() -> str:
    """The day of the edition of the pillar that the labels come from, ISO 8601."""
    return str(_table()["framework_date"])


def not_by_fault_injection() -> Mapping[str, str]:
    """Choice id → what the practice is about, for each that no run can show."""
    found: Mapping[str, str] = _table()["not_by_fault_injection"]
    return found


def testing_itself() -> frozenset[str]:
    """The practices that ask for tests: a refuted run is as good a test as one that held."""
    return frozenset(_table()["testing_itself"])


@functools.cache
def kinds() -> tuple[ExperimentKind, ...]:
    """All rows of the table."""
    return tuple(
        ExperimentKind(
            kind=row["kind"],
            title=row["title"],
            direct=tuple(row["direct"]),
            supporting=tuple(row["supporting"]),
            when=None if row["when"] is None else tuple(row["when"]),
        )
        for row in _table()["kinds"]
    )


def kinds_of(spec: Mapping[str, Any], claims: Sequence[str]) -> tuple[ExperimentKind, ...]:
    """The kinds that a run was of: from its *spec* as data (`spec.yaml`) and its *claims*' texts."""
    faults = list(_faults(spec))
    return tuple(one for one in kinds() if any(_holds(way, faults, claims) for way in one.when or ()))


def map_run(spec: Mapping[str, Any], claims: Sequence[str]) -> Evidenced:
    """What a run of *spec* with *claims* speaks for; only what the spec names under ``reliability``."""
    found = kinds_of(spec, claims)
    named = [str(one) for one in spec.get("reliability") or () if isinstance(one, str)]
    answers = [_one(choice_id, found) for choice_id in dict.fromkeys(named)]
    direct = dict.fromkeys(choice_id for kind in found for choice_id in kind.direct)
    return Evidenced(
        kinds=tuple(kind.kind for kind in found),
        mapped=tuple(one for one in answers if isinstance(one, Mapped)),
        refused=tuple(one for one in answers if isinstance(one, Refused)),
        not_claimed=tuple(choice_id for choice_id in direct if choice_id not in named),
    )


def _one(choice_id: str, found: Sequence[ExperimentKind]) -> Mapped | Refused:
    if choice_id not in reliability_choices():
        return Refused(choice_id=choice_id, reason="not a choice id of the Reliability pillar")
    if choice_id in not_by_fault_injection():
        about = not_by_fault_injection()[choice_id]
        return Refused(choice_id=choice_id, reason=f"fault injection cannot show it: it is about {about}")
    for strength in (DIRECT, SUPPORTING):
        kinds_with = tuple(kind.kind for kind in found if kind.strength_for(choice_id) == strength)
        if kinds_with:
            return Mapped(choice_id=choice_id, strength=strength, kinds=kinds_with)
    of = ", ".join(kind.kind for kind in found) or "no kind that the table knows"
    return Refused(choice_id=choice_id, reason=f"a run of this kind does not show it ({of})")


def _faults(spec: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every fault of *spec* as (kind, arguments): those of steps and composites, too."""
    steps = spec.get("steps")
    groups = [spec.get("faults"), *(step.get("faults") for step in steps or () if isinstance(step, Mapping))]
    for group in groups:
        for entry in group if isinstance(group, list) else ():
            yield from _named(entry)


def _named(entry: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(entry, str):
        yield entry, {}
    if not isinstance(entry, Mapping):
        return
    for kind, arguments in entry.items():
        given = arguments if isinstance(arguments, Mapping) else {}
        if kind == COMPOSITE:
            for step in given.get(STEPS) or ():
                yield from _named(step)
        elif kind != AT:
            yield str(kind), given


def _holds(way: Mapping[str, Any], faults: Sequence[tuple[str, Mapping[str, Any]]], claims: Sequence[str]) -> bool:
    """Whether a run is of a kind in this *way*: all of its faults are there, and any of its claims."""
    wanted, patterns = way.get("faults", ()), way.get("claims", ())
    is_there = all(any(_matches(one, kind, given) for kind, given in faults) for one in wanted)
    return is_there and (not patterns or any(re.search(pattern, claim) for pattern in patterns for claim in claims))


def _matches(wanted: Mapping[str, Any], kind: str, given: Mapping[str, Any]) -> bool:
    conditions = wanted.get("where", {}).items()
    return wanted["fault"] == kind and all(given.get(name) in values for name, values in conditions)
