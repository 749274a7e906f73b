"""Samples as they happen: fixed-size binary rows, packed into a buffer and appended to a file.

Made for the hot path of a load worker: no pyarrow, no pandas, no locust, one `pack_into` a request and one small
write a flush. What was flushed survives `kill -9`; what was not is lost, so flush at least once a second.
`record.samples` turns the file into Parquet in another process.

Two files a worker: ``part-000.rows`` (rows of `ROW`) and ``part-000.names.jsonl`` (a header, then one line for each
text that got a number). A text is written before the first row that uses it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from stormproof.errors import RunDirectoryError
from stormproof.record.atomic import read_lines

SCHEMA_VERSION = 1
# scheduled_at, sent_at (Unix s), latency_ms, service_ms, status, ok, endpoint, zone, error (numbers of texts)
ROW = struct.Struct("<ddffh?HHH")
TEXT_COLUMNS = ("endpoint", "zone", "error")
BUFFER_ROWS = 8192
# A locustfile that forgets `name=` makes an endpoint of every URL; beyond this the rest shares one text.
TEXTS_MAX = 4096
OTHER = "(other)"
# Set in a row's number of a zone where the request was the control group's: numbers of texts stay below `TEXTS_MAX`.
CONTROL_BIT = 0x8000
ROWS_SUFFIX = ".rows"
NAMES_SUFFIX = ".names.jsonl"


def part_name(worker: int) -> str:
    """The stem of a worker's files."""
    return f"part-{worker:03d}"


class RowWriter:
    """Appends the samples of one worker. Not for several threads; greenlets that do not yield inside are fine.

    *on_flush* gets the packed rows that were just written, valid only during the call: what is counted from them
    there costs nothing per request.

    The hot path of a worker packs most rows itself, at `used` in `buffer`, with the numbers of texts that `ids` has
    already, and moves `used` on: that is half the price of a call of `append`. All else is for `append`.
    """

    def __init__(
        self,
        folder: Path,
        worker: int,
        *,
        on_flush: Callable[[memoryview], None] | None = None,
        has_control: bool = False,
    ) -> None:
        stem = part_name(worker)
        self.path = folder / f"{stem}{ROWS_SUFFIX}"
        self._rows = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        self._names = os.open(folder / f"{stem}{NAMES_SUFFIX}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        self.buffer = bytearray(ROW.size * BUFFER_ROWS)
        self.used = 0  # bytes of the buffer
        self.ids: dict[str, dict[str, int]] = {column: {} for column in TEXT_COLUMNS}
        self._on_flush = on_flush
        header = {"schema_version": SCHEMA_VERSION, "worker": worker, "row_bytes": ROW.size}
        self._write_name({**header, "control": True} if has_control else header)

    def append(  # noqa: PLR0913, PLR0917  # one argument a column
        self,
        scheduled_at: float,
        sent_at: float,
        latency_ms: float,
        service_ms: float,
        status: int,
        ok: bool,
        endpoint: str,
        zone: str,
        error: str,
        in_control: bool = False,
    ) -> None:
        """Add one sample; *in_control* only by a writer that `has_control`. Raises OSError when the disk is full."""
        texts = (endpoint, zone, error)
        numbers = [self.number_of(column, text) for column, text in zip(TEXT_COLUMNS, texts, strict=True)]
        if in_control:
            numbers[1] |= CONTROL_BIT
        if self.used == len(self.buffer):
            self.flush()
        ROW.pack_into(self.buffer, self.used, scheduled_at, sent_at, latency_ms, service_ms, status, ok, *numbers)
        self.used += ROW.size

    def number_of(self, column: str, text: str) -> int:
        """The number of *text* in *column*, a new one if it has none yet; beyond `TEXTS_MAX`, that of `OTHER`."""
        ids = self.ids[column]
        if text in ids:
            return ids[text]
        if len(ids) >= TEXTS_MAX and text != OTHER:
            return self.number_of(column, OTHER)
        number = ids[text] = len(ids)
        self._write_name({"column": column, "id": number, "text": text})
        return number

    def flush(self) -> None:
        """Hand all buffered rows to the operating system; OSError when it does not take them."""
        if self.used:
            rows = memoryview(self.buffer)[: self.used]
            _write_all(self._rows, rows)
            self.used = 0
            if self._on_flush is not None:
                self._on_flush(rows)

    def close(self) -> None:
        """Flush, make durable, close."""
        self.flush()
        for descriptor in (self._rows, self._names):
            os.fsync(descriptor)
            os.close(descriptor)

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_name(self, document: dict[str, Any]) -> None:
        _write_all(self._names, memoryview(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the rows of one worker mean."""

    worker: int
    texts: dict[str, list[str]]  # by column and number
    has_control: bool  # whether rows say if they are the control group's


def read_names(path: Path) -> Names:
    """The file of names at *path*. Raises `RunDirectoryError` for a foreign one."""
    lines = read_lines(path)
    header = lines[0] if lines else {}
    if header.get("schema_version") != SCHEMA_VERSION or header.get("row_bytes") != ROW.size:
        raise RunDirectoryError(
            where=str(path),
            what="line 1",
            expected=f"raw samples of schema_version {SCHEMA_VERSION}, {ROW.size} bytes a row",
            got=str(header) if header else "nothing",
        )
    texts: dict[str, list[str]] = {column: [] for column in TEXT_COLUMNS}
    for line in lines[1:]:
        texts[line["column"]].append(line["text"])
    return Names(worker=int(header["worker"]), texts=texts, has_control=bool(header.get("control", False)))


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
