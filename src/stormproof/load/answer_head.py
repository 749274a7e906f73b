"""The head of an answer, put together in fewer steps than geventhttpclient does: half the CPU of reading an answer.

The parser names each header line in two calls, or more where a line came in pieces. The library makes four of its own
of them for each line, and lowers each name anew though answers have the same few names.
"""

from __future__ import annotations

from typing import Any

from geventhttpclient.response import HEADER_STATE_FIELD, HEADER_STATE_VALUE, HTTPResponse

# A workload that answers with ever new names must not fill the memory.
NAMES_MAX = 4096
_small: dict[str, str] = {}


def install() -> None:
    """For every answer from now on. Once per process: it is for good."""
    HTTPResponse._on_header_field = on_field  # noqa: SLF001 - there is no public way
    HTTPResponse._on_header_value = on_value  # noqa: SLF001


def on_field(answer: Any, text: str) -> None:
    """The name of the next line, or more of the name: the line before is complete. The last one the library adds."""
    state = answer._header_state  # noqa: SLF001
    if state == HEADER_STATE_FIELD:
        answer._current_header_field += text  # noqa: SLF001
        return
    if state == HEADER_STATE_VALUE:
        _add(answer._headers_index, answer._current_header_field, answer._current_header_value)  # noqa: SLF001
        answer._current_header_value = None  # noqa: SLF001
    answer._current_header_field = text  # noqa: SLF001
    answer._header_state = HEADER_STATE_FIELD  # noqa: SLF001


def on_value(answer: Any, text: str) -> None:
    """The value of the line, or more of it."""
    if answer._header_state == HEADER_STATE_VALUE:  # noqa: SLF001
        answer._current_header_value += text  # noqa: SLF001
        return
    answer._current_header_value = text  # noqa: SLF001
    answer._header_state = HEADER_STATE_VALUE  # noqa: SLF001


def _add(headers: Any, name: str, value: str) -> None:
    """`Headers.add`, of a name that is not there yet; that of others."""
    small = _small.get(name)
    if small is None:
        if len(_small) >= NAMES_MAX:
            _small.clear()
        small = _small[name] = name.lower()
    if dict.__contains__(headers, small):
        headers.add(name, value)
    else:
        dict.__setitem__(headers, small, (name, value))
