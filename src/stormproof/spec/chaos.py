"""A plain Chaos Toolkit experiment, JSON or YAML, read with the same defences as a spec."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from stormproof.errors import SpecError
from stormproof.spec.document import Document, Location, dotted, read_document
from stormproof.spec.loader import experiment_path
from stormproof.spec.translate import nearest

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".json", ".yaml", ".yml")

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_ACTIVITY_LISTS = ("method", "rollbacks")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosExperiment:
    """An experiment in Chaos Toolkit's own format; chaoslib checks its activities, in the player."""

    title: str
    description: str
    document: dict[str, Any]
    path: str


def is_chaostoolkit(document: Document) -> bool:
    """Whether *document* is a Chaos Toolkit experiment: it has a `method`, which a spec never has."""
    return isinstance(document.value.get("method"), list) and "hypotheses" not in document.value


def is_chaostoolkit_file(path: Path) -> bool:
    """`is_chaostoolkit` for the file or folder at *path*. Raises `SpecError` if it cannot be read."""
    return is_chaostoolkit(read_document(experiment_path(path)))


def load_chaos_experiment(path: Path) -> ChaosExperiment:
    """Read *path* and check what chaoslib lets pass: unresolved names, lists that are none.

    Unquoted YAML scalars mean what PyYAML makes of them, as under `chaos run`. Raises `SpecError`.
    """
    file = experiment_path(path)
    if file.suffix not in SUFFIXES:
        raise SpecError(where=str(path), what="", expected=f"one of {', '.join(SUFFIXES)}", got=repr(file.suffix))
    document = read_document(file, scalar=_yaml_1_1)
    if not is_chaostoolkit(document):
        raise SpecError(
            where=str(file), what="method", expected="a Chaos Toolkit experiment, which has one", got="none"
        )
    for key in ("title", "description"):
        if not isinstance(document.value.get(key), str) or not document.value[key].strip():
            raise SpecError(where=document.where((key,)), what=key, expected="some text", got="none")
    _check_shapes(document)
    _check_names(document)
    return ChaosExperiment(
        title=document.value["title"].strip(),
        description=document.value["description"].strip(),
        document=document.value,
        path=str(file),
    )


def _check_shapes(document: Document) -> None:
    """Lists of mappings where the player, and we, will walk."""
    for key in _ACTIVITY_LISTS:
        activities = document.value.get(key, [])
        if not isinstance(activities, list):
            raise SpecError(
                where=document.where((key,)), what=key, expected="a list of activities", got="something else"
            )
        for index, activity in enumerate(activities):
            if not isinstance(activity, dict):
                at: Location = (key, index)
                raise SpecError(
                    where=document.where(at),
                    what=dotted(at),
                    expected="an activity",
                    got=f"{activity!r}"[:80],
                )
    steady = document.value.get("steady-state-hypothesis")
    probes = steady.get("probes") if isinstance(steady, dict) else None
    if steady is not None and not isinstance(probes, list):
        raise SpecError(
            where=document.where(("steady-state-hypothesis",)),
            what="steady-state-hypothesis.probes",
            expected="a list of probes",
            got="something else",
        )


def _check_names(document: Document) -> None:
    """Every `${name}` is in `configuration` or `secrets`; chaoslib 1.44 leaves others as they are."""
    known = set(_mapping(document.value.get("configuration")))
    for group in _mapping(document.value.get("secrets")).values():
        known.update(_mapping(group))
    stack: list[tuple[Location, Any]] = [((), document.value)]
    while stack:
        at, value = stack.pop()
        if isinstance(value, dict):
            stack += [((*at, key), item) for key, item in value.items()]
        elif isinstance(value, list):
            stack += [((*at, index), item) for index, item in enumerate(value)]
        elif isinstance(value, str):
            for match in _REFERENCE.finditer(value):
                if match[1] not in known:
                    raise SpecError(
                        where=document.where(at),
                        what=dotted(at),
                        expected="a name from configuration or secrets",
                        got=f"`{match[0]}`"[:80],
                        hint=nearest(match[1], known),
                    )


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _yaml_1_1(text: str) -> Any:
    """An unquoted scalar as PyYAML's safe loader reads it; dates stay text, because the journal is JSON."""
    loader = yaml.SafeLoader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    try:
        value = loader.construct_object(yaml.ScalarNode(tag, text))
    except (ValueError, yaml.YAMLError):  # "2026-13-45" looks like a date and is none
        return text
    return text if isinstance(value, dt.date) else value
