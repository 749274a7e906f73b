"""Secrets do not reach the disk: values are replaced before the first write."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

REDACTED = "[redacted]"

# Words that name a secret when they stand in a key, whatever the case and the separators.
_KEY = re.compile(
    r"(secret|passw|token$|credential|authorization|api[_-]?key|private[_-]?key|session[_-]?key|cookie)", re.IGNORECASE
)
# Shapes that are secrets wherever they stand: AWS access keys (AKIA/ASIA + 16), bearer tokens, URL passwords.
_VALUE = re.compile(
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|(?i:bearer\s+)[A-Za-z0-9._~+/=-]{8,}|(?<=://)[^/\s:@]+:[^/\s:@]+(?=@)"
)


def redact(value: Any) -> Any:
    """*value* with every secret in it replaced by a marker; containers are copied, never changed."""
    if isinstance(value, str):
        return _VALUE.sub(REDACTED, value)
    if isinstance(value, Mapping):
        return {key: REDACTED if _KEY.search(str(key)) and item else redact(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [redact(item) for item in value]
    return value
