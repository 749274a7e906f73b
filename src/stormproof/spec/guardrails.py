"""`guardrails:` of an environment file → `Guardrails`."""

from __future__ import annotations

import datetime as dt
import ipaddress
import urllib.parse
import zoneinfo
from pathlib import Path
from typing import TYPE_CHECKING

from stormproof.errors import SpecError
from stormproof.model.guardrails import ChangeWindow, Guardrails
from stormproof.spec.document import Location, dotted
from stormproof.spec.translate import nearest

if TYPE_CHECKING:
    from stormproof.spec.document import Document
    from stormproof.spec.fields import ChangeWindowFields, GuardrailsFields

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_AT: Location = ("guardrails",)


def guardrails_from(fields: GuardrailsFields, document: Document) -> Guardrails:
    """The guardrails that *fields* of *document* state. Raises `SpecError`."""
    windows = fields.change_windows
    if windows is not None and not windows:
        expected = "at least one window, or no change_windows"
        raise _wrong(document, ("change_windows",), expected, "an empty list, which would never allow a run")
    return Guardrails(
        faults=_names(fields.faults),
        allow_no_undo=tuple(fields.allow_no_undo),
        accounts=_names(fields.accounts),
        regions=_names(fields.regions),
        tags=dict(fields.tags),
        change_windows=tuple(_window(window, index, document) for index, window in enumerate(windows or [])),
        kill_switch=_kill_switch(fields.kill_switch, document) if fields.kill_switch is not None else None,
        confirm=fields.confirm is not None,
        duration_s_max=fields.max_duration,
        targets_max=fields.max_targets,
        where=document.file,
    )


def _names(values: list[str] | None) -> tuple[str, ...] | None:
    """An empty list is kept: it allows nothing."""
    return None if values is None else tuple(values)


def _window(fields: ChangeWindowFields, index: int, document: Document) -> ChangeWindow:
    at: Location = ("change_windows", index)
    if fields.from_ == fields.to and fields.to != "00:00":
        raise _wrong(document, (*at, "to"), "another time than `from`", f"`{fields.to}` again")
    days = sorted({_DAYS.index(day) for day in fields.days})
    shown = " ".join(_DAYS[day].capitalize() for day in days)
    return ChangeWindow(
        days=frozenset(days),
        start=dt.time.fromisoformat(fields.from_),
        end=dt.time.fromisoformat(fields.to),
        zone=_zone(fields.zone, (*at, "zone"), document),
        text=f"{shown} {fields.from_}–{fields.to} {fields.zone}",
    )


def _zone(name: str, at: Location, document: Document) -> dt.tzinfo:
    if name == "UTC":  # known without a time zone database
        return dt.UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        hint = nearest(name, zoneinfo.available_timezones(), or_all=False)
        raise _wrong(document, at, "an IANA time zone", f"`{name}`", hint=hint) from None


def _kill_switch(text: str, document: Document) -> str:
    """An absolute path (relative ones are the file's own), or a URL that cannot be read on its way."""
    if "://" not in text:
        return str((Path(document.file).resolve().parent / text).absolute())
    url = urllib.parse.urlsplit(text)
    loopback = url.hostname == "localhost" or _is_loopback(url.hostname or "")
    if not url.hostname or not (url.scheme == "https" or (url.scheme == "http" and loopback)):
        expected = "a path, an https:// URL, or an http:// URL of this machine"
        raise _wrong(document, ("kill_switch",), expected, f"`{text}`"[:80])
    if url.username or url.password:
        raise _wrong(document, ("kill_switch",), "a URL without credentials", "one with credentials")
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _wrong(document: Document, at: Location, expected: str, got: str, *, hint: str | None = None) -> SpecError:
    location = (*_AT, *at)
    return SpecError(where=document.where(location), what=dotted(location), expected=expected, got=got, hint=hint)
