"""The keys of the files as Markdown tables, from the models; `docs/reference/spec.md` holds exactly these."""

from __future__ import annotations

import types
import typing
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, WithJsonSchema

from stormproof.spec.aws_fields import AwsEnvironmentFields
from stormproof.spec.fields import EnvironmentFields, ExperimentFields
from stormproof.spec.quantity import Duration, Rate, Share, format_duration, format_rate, format_share, phrase
from stormproof.spec.translate import models_in

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
    return _table(ExperimentFields)


def environment_table() -> str:
    """Every key of an environment file."""
    return _table(EnvironmentFields)


def aws_environment_table() -> str:
    """Every key of an environment file of kind `aws`, but for the guardrails, which all kinds have."""
    rows = _table(AwsEnvironmentFields).splitlines(keepends=True)
    return "".join(row for row in rows if not row.startswith("| `guardrails."))


def _table(model: type[BaseModel]) -> str:
    rows = ["| key | takes | if left out | meaning |", "| --- | --- | --- | --- |", *_rows(model, "")]
    return "\n".join(rows) + "\n"


def _rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, info in model.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from _rows(section, f"{prefix}{name}.")
            continue
        form, default = _form(info)
        key = f"{prefix}{info.alias or name}"
        yield f"| `{key}` | {form} | {default} | {info.description or ''} |"
        for item in _parts(info.annotation):
            if isinstance(item, type) and issubclass(item, BaseModel):
                yield from _rows(item, f"{key}{_step(info)}.")


def _step(info: FieldInfo) -> str:
    """From a key to the section in it: one of a list, one by a name of the reader's, or the only one."""
    text = str(info.annotation)
    return "[]" if "list[" in text else ".<name>" if text.startswith("dict[") else ""


def _form(info: FieldInfo) -> tuple[str, str]:
    """What a key takes and its default, as the file would write them."""
    schema = next((one for one in _metadata(info) if isinstance(one, WithJsonSchema)), None)
    if schema is not None and schema.json_schema is not None:
        takes = str(schema.json_schema["description"])
        return takes, _default(info, _WRITE[takes])
    is_list = typing.get_origin(info.annotation) is list
    bottom = list(_parts(info.annotation))
    if any(models_in(info.annotation)):
        one = next((part for part in bottom if isinstance(part, WithJsonSchema)), None)
        takes = f"{(one.json_schema or {})['description']}, or the keys below" if one else "the keys below"
        return takes, _default(info, str)
    choices = [] if is_list else [one for one in bottom if isinstance(one, str | int)]
    if choices:
        return " or ".join(f"`{choice}`" for choice in choices), _default(info, str)
    text = str(info.annotation)
    form = (
        "a list"
        if "list[" in text
        else "a mapping"
        if text.startswith("dict[")
        else "a whole number"
        if int in bottom
        else "true or false"
        if bool in bottom
        else "a section"
        if any(isinstance(one, type) and issubclass(one, BaseModel) for one in bottom)
        else "text"
    )
    return form, _default(info, str)


def _parts(annotation: Any) -> Iterator[Any]:
    """What an annotation is made of, at the bottom: classes, the words of a `Literal`."""
    inner = typing.get_args(annotation)
    if not inner:
        yield annotation
    for one in inner:
        yield from _parts(one)


def _metadata(info: FieldInfo) -> Iterator[Any]:
    """What is annotated on the field itself, or on the one kind of value that it may have beside nothing."""
    yield from info.metadata
    if isinstance(info.annotation, types.UnionType) or typing.get_origin(info.annotation) is typing.Union:
        for option in typing.get_args(info.annotation):
            yield from typing.get_args(option)[1:]


def _default(info: FieldInfo, write: Callable[[Any], str]) -> str:
    if info.is_required():
        return "**required**"
    if isinstance(info.default, bool):
        return f"`{str(info.default).lower()}`"
    return "" if info.default in (None, "", [], {}) else f"`{write(info.default)}`"
