"""One YAML or JSON file → plain values that remember their lines; hostile files end in one message.

The tree is built from the parser's events with a stack of our own: no recursion, so depth costs nothing,
and every bound below is checked before the thing it bounds exists. Scalars follow YAML 1.2's core (only `true`
and `false` are booleans, so that a zone may be called `no`); anchors, aliases and tags are refused.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from stormproof.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_BYTES = 1024 * 1024  # the longest sensible file has a few KiB
MAX_DEPTH = 32
MAX_NODES = 20_000

_LEVELS = f"at most {MAX_DEPTH} levels"

Location = tuple[str | int, ...]  # keys and indexes from the top: ("faults", 0, "az-loss", "zone")

_INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]{0,14})")
_FLOAT = re.compile(r"[+-]?[0-9]{1,15}\.[0-9]{1,18}([eE][+-]?[0-9]{1,2})?")
_CONSTANTS: dict[str, bool | None] = {"": None, "~": None, "null": None, "true": True, "false": False}
# what a terminal, a report or UTF-8 would choke on; tab, newline and carriage return are text
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# libyaml where the wheel has it (ten times faster), the same grammar without
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file's content as plain values, and where each of them stands."""

    file: str  # as it was named, for messages
    value: dict[str, Any]
    lines: dict[Location, int]  # 1-based
    plain: frozenset[Location] = frozenset()  # scalars without quotes: their type is guessed from the text
    origins: dict[Location, str] = field(default_factory=dict)  # values that come from elsewhere: "--set …"

    def where(self, location: Location) -> str:
        """`file:line` of *location*, or of the nearest thing around it that has a line."""
        for end in range(len(location), -1, -1):
            if location[:end] in self.origins:
                return self.origins[location[:end]]
            if location[:end] in self.lines:
                return f"{self.file}:{self.lines[location[:end]]}"
        return self.file


def read_document(path: Path, *, scalar: Callable[[str], Any] | None = None) -> Document:
    """The mapping in *path*; `.json` is read as JSON, everything else as YAML.

    *scalar* turns an unquoted YAML scalar into a value (default: `resolve_scalar`). Raises `SpecError`.
    """
    text = _read_text(path)
    if path.suffix == ".json":
        return _read_json(text, str(path))
    return _Builder(str(path), scalar or resolve_scalar).build(text)


def resolve_scalar(text: str) -> Any:
    """The value of an unquoted scalar: null, a boolean, an integer, a decimal number, else the text."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def dotted(location: Location) -> str:
    """How messages and `--set` write a location: `faults.0.az-loss.zone`."""
    return ".".join(str(step)[:60] for step in location)


def _read_text(path: Path) -> str:
    name = str(path)
    if not path.is_file():
        raise SpecError(where=name, what="", expected="a file", got="none" if not path.exists() else "something else")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecError(where=name, what="", expected="a readable file", got=error.strerror) from error
    if len(data) > MAX_BYTES:
        raise SpecError(where=name, what="", expected="at most 1 MiB", got=f"{path.stat().st_size:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SpecError(where=f"{name}:{line}", what="", expected="UTF-8 text", got="other bytes") from error
    control = _NOT_TEXT.search(text)
    if control is not None:
        line = text.count("\n", 0, control.start()) + 1
        raise SpecError(where=f"{name}:{line}", what="", expected="text", got=f"control character {control[0]!r}")
    return text


@dataclass(slots=True)
class _Open:
    """A mapping or a list that is being filled."""

    container: dict[str, Any] | list[Any]
    location: Location
    key: str | None = None  # the key whose value comes next


class _Builder:
    """Events in, `Document` out."""

    def __init__(self, file: str, scalar: Callable[[str], Any]) -> None:
        self.file, self.scalar = file, scalar
        self.stack: list[_Open] = []
        self.lines: dict[Location, int] = {(): 1}
        self.plain: set[Location] = set()
        self.root: Any = None
        self.documents = 0
        self.nodes = 0

    def build(self, text: str) -> Document:
        """Parse *text*."""
        try:
            for event in yaml.parse(text, Loader=_LOADER):
                self._take(event)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = (mark.line + 1) if mark else 1
            problem = error.problem or error.context or "something else"
            self._fail(line, "valid YAML", f"an error: {problem}", hint=_yaml_hint(text, line))
        except yaml.YAMLError as error:
            self._fail(1, "valid YAML", str(error).splitlines()[0])
        if not isinstance(self.root, dict):
            kind = {type(None): "an empty file", list: "a list", str: "text"}.get(type(self.root), "a single value")
            self._fail(1, "a mapping of keys to values", kind)
        return Document(file=self.file, value=self.root, lines=self.lines, plain=frozenset(self.plain))

    def _take(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self._fail(line, "one document", "a second one after `---`")
        elif isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            self._fail(line, "plain values", f"the anchor or alias `{event.anchor}`", hint="write the value out")
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self.stack.pop()
        elif isinstance(event, yaml.NodeEvent):
            self._node(event, line)

    def _node(self, event: Any, line: int) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self._fail(line, f"at most {MAX_NODES:,} values", "more")
        if event.tag not in (None, "!"):
            self._fail(line, "plain values", f"the tag `{event.tag}`"[:80])
        if isinstance(event, yaml.ScalarEvent) and (found := _NOT_TEXT.search(event.value)):
            self._fail(line, "text", f"the control character {found[0]!r}")  # from an escape: "\x1b"
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.container, dict) and top.key is None:
            self._key(event, top, line)
            return
        location = self._place(top, line)
        if isinstance(event, yaml.ScalarEvent):
            is_plain = event.style is None or event.style == ""
            if is_plain:
                self.plain.add(location)
            self._attach(top, self.scalar(event.value) if is_plain else event.value)
            return
        if len(self.stack) >= MAX_DEPTH:
            self._fail(line, _LEVELS, "deeper nesting")
        container: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._attach(top, container)
        self.stack.append(_Open(container=container, location=location))

    def _key(self, event: Any, top: _Open, line: int) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            self._fail(line, "a key of one word", "a list or a mapping as a key", hint="quote text that has braces")
        if event.value in top.container:
            first = self.lines[(*top.location, event.value)]
            self._fail(line, "each key once", f"`{event.value}` again"[:80], hint=f"the first is in line {first}")
        top.key = event.value
        self.lines[(*top.location, event.value)] = line

    def _place(self, top: _Open | None, line: int) -> Location:
        if top is None:
            return ()
        if isinstance(top.container, dict):
            return (*top.location, top.key or "")  # its line is the key's
        location = (*top.location, len(top.container))
        self.lines[location] = line
        return location

    def _attach(self, top: _Open | None, value: Any) -> None:
        if top is None:
            self.root = value
        elif isinstance(top.container, dict):
            top.container[top.key or ""] = value
            top.key = None
        else:
            top.container.append(value)

    def _fail(self, line: int, expected: str, got: str, *, hint: str | None = None) -> NoReturn:
        raise SpecError(where=f"{self.file}:{line}", what="", expected=expected, got=got, hint=hint)


def _yaml_hint(text: str, line: int) -> str | None:
    """The two slips that YAML's own messages do not explain."""
    near = text.split("\n")[max(0, line - 2) : line]  # the parser may notice only in the line after
    if any(part.lstrip(" ").startswith("\t") for part in near):
        return "indent with spaces, not with tabs"
    variable = next((found for part in near if (found := re.search(r"\$\{[^}\s]*\}?", part))), None)
    return f'inside braces or brackets, quote a variable: "{variable[0]}"' if variable else None


def _read_json(text: str, file: str) -> Document:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        mapping = dict(pairs)
        if len(mapping) != len(pairs):
            keys = [key for key, _ in pairs]
            again = next(key for index, key in enumerate(keys) if key in keys[:index])
            raise SpecError(where=file, what="", expected="each key once", got=f"`{again}` again"[:80])
        return mapping

    def number(word: str) -> NoReturn:
        raise SpecError(where=file, what="", expected="JSON numbers", got=word)

    try:
        value = json.loads(text, object_pairs_hook=unique, parse_constant=number)
    except json.JSONDecodeError as error:
        raise SpecError(where=f"{file}:{error.lineno}", what="", expected="valid JSON", got=error.msg) from error
    except RecursionError:
        raise SpecError(where=file, what="", expected=_LEVELS, got="deeper nesting") from None
    except ValueError as error:  # an integer of thousands of digits: Python refuses to read it
        raise SpecError(where=file, what="", expected="JSON numbers", got="an endless one") from error
    if not isinstance(value, dict):
        raise SpecError(where=f"{file}:1", what="", expected="a mapping of keys to values", got="something else")
    _check_json(value, file)
    return Document(file=file, value=value, lines={(): 1})


def _check_json(value: dict[str, Any], file: str) -> None:
    """The bounds that JSON's own reader does not have, level by level."""
    level: list[Any] = [value]
    depth = nodes = 0
    while level:
        depth, nodes = depth + 1, nodes + len(level)
        if depth > MAX_DEPTH:
            raise SpecError(where=file, what="", expected=_LEVELS, got="deeper nesting")
        if nodes > MAX_NODES:
            raise SpecError(where=file, what="", expected=f"at most {MAX_NODES:,} values", got="more")
        keys = [key for item in level if isinstance(item, dict) for key in item]
        texts = [item for item in level if isinstance(item, str)]
        if any(_NOT_TEXT.search(text) for text in (*keys, *texts)):
            raise SpecError(where=file, what="", expected="text", got="a control character, from an escape")
        inner = [item for item in level if isinstance(item, dict | list)]
        level = [child for item in inner for child in (item.values() if isinstance(item, dict) else item)]
