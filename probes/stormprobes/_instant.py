"""Instants as Chaos Toolkit can hand them over: Unix seconds, or ISO 8601 with its offset."""

from __future__ import annotations

import datetime as dt


def instant(value: str | float) -> dt.datetime:
    """*value* as an aware instant. Raises `ValueError` for a text without an offset: whose clock would it be?"""
    if isinstance(value, int | float):
        return dt.datetime.fromtimestamp(value, dt.UTC)
    parsed = dt.datetime.fromisoformat(value)
    if parsed.tzinfo is None:
        raise ValueError(f"expected an instant with its offset (2026-03-04T12:00:00+00:00), got {value!r}")
    return parsed


def text(value: dt.datetime) -> str:
    """ISO 8601, in UTC."""
    return value.astimezone(dt.UTC).isoformat()
