"""The one way in which evidence is written as bytes, so that equal content has equal bytes and one digest."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import orjson

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "evidence.stormproof")
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


def canonical_json(document: Any) -> bytes:
    """*document* as UTF-8 JSON: keys in order, two blanks of indent, shortest numbers, one newline at the end."""
    return orjson.dumps(document, option=_OPTIONS)


def sha256(data: bytes) -> str:
    """The SHA-256 of *data* in hex."""
    return hashlib.sha256(data).hexdigest()


def stable_id(*names: str) -> str:
    """A UUID that is the same for the same *names* wherever it is made (version 5)."""
    return str(uuid.uuid5(NAMESPACE, "\n".join(names)))
