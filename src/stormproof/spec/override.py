"""`--set path=value`: split by what they change, and put into the document before it is checked."""

from __future__ import annotations

import copy
import difflib
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from stormproof.errors import SpecError, UsageError
from stormproof.spec.document import Document, Location, resolve_scalar

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

# What says where a run may act, and as whom: changed in a reviewed file, never in passing (DESIGN 9.5).
REFUSED = frozenset({"guardrails", "account", "region", "tags", "role"})
# Sections that a spec may leave out, so that `--set limits.duration=2m` may begin them.
OPTIONAL_SECTIONS = frozenset({"load", "timeline", "limits"})

# What is said by one value or by several keys: `--set` may change the one way into the other.
EITHER_WAY: frozenset[Location] = frozenset({("timeline", "fault")})

_PATH = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """The `--set` arguments of one command."""

    spec: Mapping[str, str] = field(default_factory=dict)  # dotted path → text, `var.…` included
    lab: Mapping[str, str] = field(default_factory=dict)  # without the leading `lab.`
    noop: bool = False  # faults do everything but act

    def as_mapping(self) -> dict[str, str]:
        """What was given, as `run.json` records it."""
        lab = {f"lab.{key}": value for key, value in self.lab.items()}
        return {**self.spec, **lab, **({"fault.noop": "true"} if self.noop else {})}


def split_overrides(arguments: Sequence[str]) -> Overrides:
    """Sort the texts of `--set` into spec, lab and `fault.noop`. Raises `UsageError`."""
    spec: dict[str, str] = {}
    lab: dict[str, str] = {}
    noop = False
    for argument in arguments:
        path, equals, value = argument.partition("=")
        if not equals or not _PATH.fullmatch(path):
            raise UsageError(f"--set {argument}: expected path=value", hint="for example --set timeline.fault=30s")
        if path in spec or path.removeprefix("lab.") in lab:
            raise UsageError(f"--set {argument}: {path} is set twice")
        refused = REFUSED.intersection(path.lower().split("."))
        if refused:
            raise UsageError(f"--set {argument}: `{min(refused)}` cannot be overridden", hint="change the file")
        if path.startswith("lab."):
            lab[path.removeprefix("lab.")] = value
        elif path == "fault.noop":
            if value not in ("true", "false"):
                raise UsageError(f"--set {argument}: expected true or false")
            noop = value == "true"
        elif path.split(".")[0] in ("lab", "fault"):
            raise UsageError(f"--set {argument}: no such setting", hint="there are lab.variant and fault.noop")
        else:
            spec[path] = value
    return Overrides(spec=spec, lab=lab, noop=noop)


def apply_overrides(document: Document, overrides: Mapping[str, str], *, sections: Collection[str]) -> Document:
    """*document* with each dotted path set to its value; the original is not changed.

    A path must exist, or be a key of something that does (which the model then knows or refuses); *sections*
    are the top-level keys that there can be. Raises `SpecError`.
    """
    value = copy.deepcopy(document.value)
    plain, origins = set(document.plain), dict(document.origins)
    for path, text in overrides.items():
        origin = f"--set {path}={text}"
        location = _set(value, path, resolve_scalar(text), origin, sections)
        origins[location] = origin
        plain.add(location)
    return replace(document, value=value, plain=frozenset(plain), origins=origins)


def _set(root: dict[str, Any], path: str, value: Any, origin: str, sections: Collection[str]) -> Location:
    *parents, last = path.split(".")
    node: Any = root
    location: Location = ()
    if parents and parents[0] in OPTIONAL_SECTIONS:
        root.setdefault(parents[0], {})
    for step in parents:
        key = _step(node, step, path, origin, addable=())
        if (*location, key) in EITHER_WAY and not isinstance(node[key], dict):
            node[key] = {}
        node, location = node[key], (*location, key)
    key = _step(node, last, path, origin, addable=None if parents else sections)
    present = node.get(key) if isinstance(node, dict) else node[int(key)]
    if isinstance(present, dict | list) and (*location, key) not in EITHER_WAY:
        raise SpecError(where=origin, what=path, expected="the path of one value", got="the path of several")
    node[key] = value
    return (*location, key)


def _step(node: Any, step: str, path: str, origin: str, *, addable: Collection[str] | None) -> str | int:
    """*step* as a key of *node*, or one of *addable* (None: any); else an error with the nearest key."""
    if isinstance(node, dict):
        if step in node or addable is None or step in addable:
            return step
        known: list[str] = [*node, *addable]
    elif isinstance(node, list):
        if step.isdecimal() and int(step) < len(node):
            return int(step)
        known = [str(index) for index in range(len(node))]
    else:
        known = []
    near = difflib.get_close_matches(step, known, n=1)
    hint = f"did you mean `{near[0]}`?" if near else (f"there is {', '.join(known[:8])}" if known else None)
    raise SpecError(where=origin, what=path, expected="the path of a value in the spec", got=f"`{step}`", hint=hint)
