"""pydantic's errors in our words: one `SpecError` with file, line, path, what was expected and what came."""

from __future__ import annotations

import difflib
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from stormproof.errors import SpecError
from stormproof.spec.document import Document, Location, dotted
from stormproof.spec.fields import OF_ONE, OF_SEVERAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)

_KINDS: dict[type, str] = {dict: "a mapping", list: "a list", type(None): "nothing", bool: "true or false"}
# pydantic's error type → what was expected, where its own sentence would puzzle a stranger
_EXPECTED: dict[str, str] = {
    "model_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
    "list_type": "a list",
    "string_type": "text",
    "int_type": "a whole number",
    "string_too_short": "some text",
}


def validate(
    model: type[Model],
    value: object,
    document: Document,
    *,
    at: Location = (),
    elsewhere: Mapping[str, str] | None = None,
) -> Model:
    """*value* as *model*; *at* is where it stands in *document*. Raises `SpecError` for the first fault.

    *elsewhere* are keys that are no slips though they are unknown here: each with the hint that says why.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False)
        # an unknown key is most often a known one misspelt: said before "the known one is missing"
        details.sort(key=lambda detail: detail["type"] != "extra_forbidden")
        raise _translate(details[0], len(details), model, document, at, elsewhere or {}) from None


def nearest(word: str, known: Iterable[str], *, or_all: bool = True) -> str | None:
    """The hint that names the known word nearest to *word*; else, with *or_all*, all of them if they are few."""
    words = sorted(known)
    near = difflib.get_close_matches(word.lower(), words, n=1)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"known: {', '.join(words)}" if or_all and 0 < len(words) <= 20 else None


def _translate(
    detail: ErrorDetails,
    count: int,
    model: type[BaseModel],
    document: Document,
    at: Location,
    elsewhere: Mapping[str, str],
) -> SpecError:
    inside = tuple(step for step in detail["loc"] if step not in {OF_ONE, OF_SEVERAL})
    location = (*at, *inside)
    context: Mapping[str, Any] = detail.get("ctx", {})
    kind, hint = detail["type"], None
    if kind == "extra_forbidden":
        known = _fields_at(model, inside[:-1])
        expected, got = "a known key", f"`{detail['loc'][-1]}`"[:80]
        key = str(detail["loc"][-1])
        hint = elsewhere[key] if key in elsewhere else nearest(key, known)
    elif kind == "missing":
        expected, got = f"the key `{detail['loc'][-1]}`", "none"
    elif kind == "quantity":
        expected, got, hint = context["expected"], context["got"], context["hint"]
    else:
        message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        expected = _EXPECTED.get(kind, message[:1].lower() + message[1:])
        got = _show(_as_written(document, location, detail["input"]))
    if count > 1:
        more = f"{count - 1} more after this one"
        hint = f"{hint} ({more})" if hint else more
    return SpecError(where=document.where(location), what=dotted(location), expected=expected, got=got, hint=hint)


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that the model knows at *location*."""
    for step in location:
        info = model.model_fields.get(str(step))
        inner = next(models_in(info.annotation), None) if info else None
        if inner is None:
            return []
        model = inner
    return [info.alias or name for name, info in model.model_fields.items()]


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that *annotation* allows, itself or as an option beside others; not those in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in {Union, UnionType, Annotated}:
        for option in get_args(annotation):
            yield from models_in(option)


def _as_written(document: Document, location: Location, fallback: object) -> object:
    """The file's own text at *location*: by the time a bound is checked, `3s` has become 3.0."""
    value: Any = document.value
    for step in location:
        is_there = step in value if isinstance(value, dict) else isinstance(value, list) and step in range(len(value))
        if not is_there:
            return fallback
        value = value[step]
    return value


def _show(value: object) -> str:
    """A value in a message: short, and its kind where the value would be long."""
    if type(value) in (dict, list, type(None)):
        return _KINDS[type(value)]
    text = repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
