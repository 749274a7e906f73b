"""Reading one Parquet part back: ours as it was written, or one that another tool has written since."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from stormproof.errors import RunDirectoryError
from stormproof.record.rows import SCHEMA_VERSION

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_KEY = b"stormproof.schema_version"


def read_part(path: Path, schema: pa.Schema | Callable[[pa.Schema], pa.Schema]) -> pa.Table:
    """The table at *path* with just the columns of *schema*, which may depend on the part's own.

    A part that says a schema version must say ours and have exactly our columns. One that says none has passed
    through another tool (pandas drops the metadata): it is taken if its columns can be cast without loss; that it was
    changed is for the seal to tell. Raises `RunDirectoryError` otherwise.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowInvalid, OSError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunDirectoryError(where=str(path), what="", expected="a Parquet file", got=first_line) from error
    expected = schema(table.schema) if callable(schema) else schema
    return _cast(path, table, expected) if check_schema(str(path), table.schema, expected) else table


def check_schema(where: str, found: pa.Schema, expected: pa.Schema) -> bool:
    """Whether a part with the schema *found* has to be cast to *expected*; see `read_part` for what it raises."""
    version = (found.metadata or {}).get(SCHEMA_KEY)
    if version is None:
        if missing := [name for name in expected.names if name not in found.names]:
            got = f"none named {', '.join(missing)}"
            raise RunDirectoryError(where=where, what="columns", expected=", ".join(expected.names), got=got)
        return True
    if version != expected.metadata[SCHEMA_KEY]:
        raise RunDirectoryError(
            where=where,
            what="schema_version",
            expected=str(SCHEMA_VERSION),
            got=version.decode(errors="replace"),
            hint="this run was made by another version of Stormproof; see CHANGELOG.md",
        )
    if not found.equals(expected):
        raise _other_columns(where, found, expected)
    return False


def _cast(path: Path, table: pa.Table, expected: pa.Schema) -> pa.Table:
    import pyarrow as pa

    try:
        return table.select(expected.names).cast(expected)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise _other_columns(str(path), table.schema, expected) from error


def _other_columns(where: str, found: pa.Schema, expected: pa.Schema) -> RunDirectoryError:
    return RunDirectoryError(where=where, what="columns", expected=describe(expected), got=describe(found))


def describe(schema: pa.Schema) -> str:
    """The columns of *schema* with their types, for a message."""
    return ", ".join(f"{field.name} {field.type}" for field in schema)
