"""`${name}` in a spec: resolved before anything starts, or an error that names it.

A value comes from `--set var.name=…`, or from the environment variable `STORMPROOF_VAR_NAME` (capitals, `-`
as `_`). Values are put in once: a `${` inside a value is not looked at again, it is an error.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stormproof.errors import SpecError
from stormproof.spec.document import Document, Location, dotted, resolve_scalar

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENT_PREFIX = "STORMPROOF_VAR_"

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_-]{0,63})\}")


def variables_from(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that *environ* offers, by the name that `${…}` uses, in small letters."""
    return {
        key.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for key, value in environ.items()
        if key.startswith(ENVIRONMENT_PREFIX)
    }


def resolve_variables(document: Document, variables: Mapping[str, str]) -> Document:
    """*document* with every `${name}` replaced. Raises `SpecError` for a name without a value."""
    known = {_normal(name): value for name, value in variables.items()}
    return replace(document, value=_walk(document.value, (), document, known))


def _walk(value: Any, location: Location, document: Document, known: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _walk(item, (*location, key), document, known) for key, item in value.items()}
    if isinstance(value, list):
        return [_walk(item, (*location, index), document, known) for index, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value

    def substitute(match: re.Match[str]) -> str:
        if _normal(match[1]) not in known:
            raise _unresolved(document, location, match[0], match[1], known)
        return known[_normal(match[1])]

    text = _REFERENCE.sub(substitute, value)
    if "${" in text:
        start = text.index("${")
        raise _unresolved(document, location, text[start : start + 40], text[start + 2 : start + 40], known)
    is_whole = _REFERENCE.fullmatch(value) is not None
    return resolve_scalar(text) if is_whole and location in document.plain else text


def _unresolved(document: Document, location: Location, shown: str, name: str, known: Mapping[str, str]) -> SpecError:
    near = difflib.get_close_matches(_normal(name), list(known), n=1)
    given = f"--set var.{name}=… or the environment variable {ENVIRONMENT_PREFIX}{_normal(name).upper()}"
    return SpecError(
        where=document.where(location),
        what=dotted(location),
        expected="every variable to have a value",
        got=f"`{shown}`, which has none",
        hint=f"did you mean `${{{near[0]}}}`?" if near else f"give it with {given}",
    )


def _normal(name: str) -> str:
    return name.lower().replace("-", "_")
