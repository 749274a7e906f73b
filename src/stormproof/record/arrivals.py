"""`arrivals/`: one row a request as a dependency's proxy saw it, out of Envoy's JSON access log.

Written and read some rows at a time, so that memory does not grow with them.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from stormproof.errors import RunDirectoryError
from stormproof.record.atomic import sync_folder
from stormproof.record.layout import RunDirectory
from stormproof.record.part import SCHEMA_KEY, check_schema, read_part

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SCHEMA_VERSION = 1
ROW_GROUP_ROWS = 20_000  # as of samples: a dictionary of Python objects for each row of one, while it is written
BATCH_ROWS = 1 << 17
# The user agent carries the caller's process identity as "app/<id>" (botocore's user_agent_appid, our own clients).
_CLIENT = re.compile(r"\bapp/([^\s;,)]+)")
_ATTEMPT = re.compile(r"\battempt=(\d+)")
# Envoy's response flags, by what the *caller* saw of an answer that has no status.
_HANG_FLAGS = frozenset({"DC", "SI", "DPE", "UT"})  # the caller gave up waiting, or the stream idled out
_RESET_FLAGS = frozenset({"LR", "UR", "UC", "UF"})  # a reset, ours or the upstream's


def arrivals_schema() -> pa.Schema:
    """The columns of a part, in order, with the schema version in the metadata."""
    import pyarrow as pa

    return pa.schema(
        [
            ("dependency", pa.string()),
            ("arrived_at", pa.float64()),
            ("t_start_s", pa.float64()),
            ("t_end_s", pa.float64()),
            ("duration_ms", pa.float32()),
            ("status", pa.int16()),
            ("outcome", pa.string()),
            ("retry_after_s", pa.float32()),
            ("client", pa.string()),
            ("op", pa.string()),
            ("attempt", pa.int16()),
            ("flags", pa.string()),
            ("canary", pa.bool_()),
        ],
        metadata={SCHEMA_KEY: str(SCHEMA_VERSION).encode()},
    )


def collect_arrivals(run: RunDirectory, dependency: str, log_path: Path, start_offset: int) -> int:
    """Write `arrivals/<dependency>.parquet` from the access log after byte *start_offset*; how many rows.

    A part is written even for none, so that "nobody called" and "nobody looked" differ. Lines that are no JSON
    object, or have no start, are left out (the last line may be torn: the proxy is still writing). Repeating
    the call replaces the part, which is whole or not there.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    part, schema, count = run.arrivals / f"{dependency}.parquet", arrivals_schema(), 0
    temporary = part.with_name(f".{part.name}.tmp")
    rows = (row for line in _log_lines(log_path, start_offset) if (row := parse_line(line, dependency)) is not None)
    try:
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            while some := list(itertools.islice(rows, ROW_GROUP_ROWS)):
                writer.write_table(pa.Table.from_pylist(some, schema=schema))
                count += len(some)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(part)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(run.arrivals)
    return count


def arrival_batches(run: RunDirectory, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """All arrivals of *run* with just *columns*, at most `BATCH_ROWS` at a time, in no order.

    Raises `RunDirectoryError` as `read_arrivals`, once it comes to the part in question.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    expected = arrivals_schema()
    wanted = pa.schema([expected.field(name) for name in columns])
    for path in sorted(run.arrivals.glob("*.parquet")):
        try:
            with pq.ParquetFile(path) as file:
                must_cast = check_schema(str(path), file.schema_arrow, expected)
                for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(columns)):
                    yield batch.select(list(columns)).cast(wanted) if must_cast else batch
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, OSError) as error:
            got = (str(error).splitlines() or [type(error).__name__])[0]
            expected_text = "a Parquet file with the columns of arrivals"
            raise RunDirectoryError(where=str(path), what="", expected=expected_text, got=got) from error


def read_arrivals(run: RunDirectory) -> pd.DataFrame:
    """All arrivals of *run*, sorted by arrived_at; empty, with the right columns, when there is no part.

    Raises `RunDirectoryError` when a part has other columns or another schema version.
    """
    import pyarrow as pa

    expected = arrivals_schema()
    tables = [read_part(path, expected) for path in sorted(run.arrivals.glob("*.parquet"))]
    tables.insert(0, expected.empty_table())
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    return frame.sort_values("arrived_at", kind="stable", ignore_index=True)


def parse_line(line: bytes, dependency: str) -> dict[str, Any] | None:
    """One access log line as a row, None when it is none.

    Keys read (``-``, "" and null all mean absent, as Envoy writes them): start_s (Unix s), duration_us or duration_ms,
    status, flags, user_agent, invocation_id, sdk_request, op_id, attempt, canary, retry_after (s).
    """
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    start_s = _number(entry, "start_s") if isinstance(entry, dict) else None
    if start_s is None:
        return None
    duration_us = _number(entry, "duration_us")  # finer, but absent when the exchange was cut off
    duration_ms = (_number(entry, "duration_ms") or 0.0) if duration_us is None else duration_us / 1000
    status = int(_number(entry, "status") or 0)
    flags = _text(entry, "flags")
    retry_after_s = _number(entry, "retry_after")
    client = _CLIENT.search(_text(entry, "user_agent"))
    return {
        "dependency": dependency,
        "arrived_at": start_s,
        "t_start_s": start_s,
        "t_end_s": start_s + duration_ms / 1000,
        "duration_ms": duration_ms,
        "status": status,
        "outcome": _outcome(status, flags),
        "retry_after_s": math.nan if retry_after_s is None else retry_after_s,
        "client": client.group(1) if client else "",
        # The caller's own id first: an application that retries around its SDK makes several of the SDK's operations.
        "op": _text(entry, "op_id") or _text(entry, "invocation_id"),
        "attempt": _attempt(entry),
        "flags": flags,
        "canary": _text(entry, "canary").lower() not in ("", "0", "false"),
    }


def _attempt(entry: Mapping[str, Any]) -> int:
    """From x-attempt, else from ``amz-sdk-request: attempt=2; max=3``; 0 when neither says."""
    if own := _number(entry, "attempt"):
        return min(int(own), 32_767)
    match = _ATTEMPT.search(_text(entry, "sdk_request"))
    return min(int(match.group(1)), 32_767) if match else 0


def _outcome(status: int, flags: str) -> str:
    """The status as text; without one, how the exchange ended for the caller: "hang", "reset" or "close"."""
    if status > 0:
        return str(status)
    seen = set(flags.split(","))
    if seen & _HANG_FLAGS:
        return "hang"
    return "reset" if seen & _RESET_FLAGS else "close"


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return "" if value is None or value == "-" else str(value)


def _number(entry: Mapping[str, Any], key: str) -> float | None:
    try:
        number = float(_text(entry, key))
    except ValueError:  # absent, or an HTTP date where seconds are usual
        return None
    return number if math.isfinite(number) else None


def _log_lines(path: Path, start_offset: int) -> Iterator[bytes]:
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(start_offset)
        yield from file
