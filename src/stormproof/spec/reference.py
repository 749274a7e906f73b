"""The spec's keys as a Markdown table, from the models; `docs/reference/spec.md` holds exactly this."""

from __future__ import annotations

import types
import typing
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, WithJsonSchema

from stormproof.spec.fields import ExperimentFields
from stormproof.spec.quantity import Duration, Rate, Share, format_duration, format_rate, format_share, phrase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic.fields import FieldInfo

# how the default of a quantity is written, by the phrase that describes the quantity in its schema
_WRITE: dict[str, Callable[[float], str]] = {
    phrase(Duration): format_duration,
    phrase(Rate): format_rate,
    phrase(Share): format_share,
}


def key_table() -> str:
    """Every key of `experiment.yaml`: what it takes, what it is when left out, what it means."""
    rows = ["| key | takes | if left out | meaning |", "| --- | --- | --- | --- |"]
    rows += _rows(ExperimentFields, "")
    return "\n".join(rows) + "\n"


def _rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, info in model.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from _rows(section, f"{prefix}{name}.")
            continue
        form, default = _form(info)
        yield f"| `{prefix}{name}` | {form} | {default} | {info.description or ''} |"


def _form(info: FieldInfo) -> tuple[str, str]:
    """What a key takes and its default, as the file would write them."""
    schema = next((one for one in _metadata(info) if isinstance(one, WithJsonSchema)), None)
    if schema is not None and schema.json_schema is not None:
        takes = str(schema.json_schema["description"])
        return takes, _default(info, _WRITE[takes])
    choices = typing.get_args(info.annotation) if typing.get_origin(info.annotation) is typing.Literal else ()
    if choices:
        return " or ".join(f"`{choice}`" for choice in choices), _default(info, str)
    text = str(info.annotation)
    form = "a list" if "list[" in text else "a whole number" if "int" in text else "text"
    return form, _default(info, str)


def _metadata(info: FieldInfo) -> Iterator[Any]:
    """What is annotated on the field itself, or on the one kind of value that it may have beside nothing."""
    yield from info.metadata
    if isinstance(info.annotation, types.UnionType) or typing.get_origin(info.annotation) is typing.Union:
        for option in typing.get_args(info.annotation):
            yield from typing.get_args(option)[1:]


def _default(info: FieldInfo, write: Callable[[Any], str]) -> str:
    if info.is_required():
        return "**required**"
    return "" if info.default in (None, "", []) else f"`{write(info.default)}`"
