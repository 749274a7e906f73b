"""`samples/`: one row a request, from raw rows to Parquet to a frame. `docs/reference/samples.md` is the reference."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stormproof.errors import RunDirectoryError
from stormproof.record.atomic import sync_folder
from stormproof.record.layout import RunDirectory
from stormproof.record.part import SCHEMA_KEY, read_part
from stormproof.record.rows import (
    CONTROL_BIT,
    NAMES_SUFFIX,
    ROW,
    ROWS_SUFFIX,
    SCHEMA_VERSION,
    TEXT_COLUMNS,
    Names,
    read_names,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ROW_GROUP_ROWS = 20_000
CONTROL = "control"  # the column that only runs with a control group by header have

# The raw row as numpy reads it: `record.rows.ROW`, field by field, unaligned.
RAW_ROW = np.dtype(
    [
        ("scheduled_at", "<f8"),
        ("sent_at", "<f8"),
        ("latency_ms", "<f4"),
        ("service_ms", "<f4"),
        ("status", "<i2"),
        ("ok", "?"),
        ("endpoint", "<u2"),
        ("zone", "<u2"),
        ("error", "<u2"),
    ]
)
assert RAW_ROW.itemsize == ROW.size


def samples_schema(*, has_control: bool = False) -> pa.Schema:
    """The columns of a part, in order, with the schema version in the metadata.

    With *has_control* the last one says whether the request was the control group's.
    """
    import pyarrow as pa

    text = pa.dictionary(pa.int32(), pa.string())
    more = [(CONTROL, pa.bool_())] if has_control else []
    return pa.schema(
        [
            ("scheduled_at", pa.float64()),
            ("sent_at", pa.float64()),
            ("latency_ms", pa.float32()),
            ("service_ms", pa.float32()),
            ("status", pa.int16()),
            ("ok", pa.bool_()),
            ("endpoint", text),
            ("zone", text),
            ("error", text),
            ("worker", pa.int16()),
            *more,
        ],
        metadata={SCHEMA_KEY: str(SCHEMA_VERSION).encode()},
    )


def schema_like(found: pa.Schema) -> pa.Schema:
    """The schema that a part with *found* must have: with the control group's column where it has that."""
    return samples_schema(has_control=CONTROL in found.names)


def convert_rows(folder: Path) -> list[Path]:
    """Turn every raw part in *folder* into a Parquet part and remove the raw files; the new parts, sorted.

    Whole or not there: written beside, synced, renamed, and only then is the raw file removed. May be repeated.
    """
    import pyarrow.parquet as pq

    parts = []
    for rows in sorted(folder.glob(f"*{ROWS_SUFFIX}")):
        part = rows.with_suffix(".parquet")
        if not part.exists():  # else: a conversion that was cut off after the rename
            temporary = rows.with_name(f".{part.name}.tmp")
            try:
                table = _raw_table(rows)
                with pq.ParquetWriter(
                    temporary, table.schema, compression="zstd", use_dictionary=list(TEXT_COLUMNS)
                ) as writer:
                    writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
                with temporary.open("rb") as file:
                    os.fsync(file.fileno())
                temporary.replace(part)
            finally:
                temporary.unlink(missing_ok=True)
            sync_folder(folder)
        rows.unlink()
        _names_of(rows).unlink(missing_ok=True)
        parts.append(part)
    return parts


def read_samples(run: RunDirectory) -> pd.DataFrame:
    """All samples of *run*, sorted by scheduled_at; text columns are categories.

    Of a run with a control group by header they have the column `CONTROL`. Raw parts of a run that crashed are
    read too; without any part the frame is empty and has the right columns.
    Raises `RunDirectoryError` when a part is not what `samples_schema` says.
    """
    import pyarrow as pa

    tables = [read_part(path, schema_like) for path in sorted(run.samples.glob("*.parquet"))]
    raw = sorted(run.samples.glob(f"*{ROWS_SUFFIX}"))
    tables += [_raw_table(rows) for rows in raw if not rows.with_suffix(".parquet").exists()]
    tables = tables or [samples_schema().empty_table()]
    if len({CONTROL in one.schema.names for one in tables}) > 1:
        got = "some with and some without it"
        raise RunDirectoryError(where=str(run.samples), what=CONTROL, expected="the column in every part", got=got)
    table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    frame: pd.DataFrame = table.to_pandas()
    return frame.sort_values("scheduled_at", kind="stable", ignore_index=True)


def raw_batches(rows: Path, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """A raw part, at most *batch_rows* at a time. A last row that was cut off in the middle is left out."""
    # Its length first: a worker that is still writing rows names a text before the first row that uses it.
    left = rows.stat().st_size // ROW.size
    names = names_beside(rows)
    with rows.open("rb") as file:
        while left > 0:
            raw = np.fromfile(file, dtype=RAW_ROW, count=min(batch_rows, left))
            left = left - len(raw) if len(raw) else 0
            yield _raw_batch(raw, names)


def _raw_table(rows: Path) -> pa.Table:
    """A raw part as a table."""
    import pyarrow as pa

    schema = samples_schema(has_control=names_beside(rows).has_control)
    return pa.Table.from_batches(list(raw_batches(rows, max(1, rows.stat().st_size))), schema=schema)


def _raw_batch(raw: np.ndarray[Any, Any], names: Names) -> pa.RecordBatch:
    import pyarrow as pa

    schema = samples_schema(has_control=names.has_control)
    columns: list[Any] = []
    for field in schema:
        if field.name == "worker":
            columns.append(pa.array(np.full(len(raw), names.worker, dtype=np.int16)))
        elif field.name == CONTROL:
            columns.append(pa.array((raw["zone"] & CONTROL_BIT) != 0))
        elif field.name in TEXT_COLUMNS:
            ids = pa.array((raw[field.name] & ~np.uint16(CONTROL_BIT)).astype(np.int32))
            columns.append(pa.DictionaryArray.from_arrays(ids, pa.array(names.texts[field.name], pa.string())))
        else:
            columns.append(pa.array(np.ascontiguousarray(raw[field.name]), field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def names_beside(rows: Path) -> Names:
    """What the numbers in the raw part *rows* mean. Raises `RunDirectoryError`."""
    return read_names(_names_of(rows))


def _names_of(rows: Path) -> Path:
    return rows.with_name(rows.name.removesuffix(ROWS_SUFFIX) + NAMES_SUFFIX)
