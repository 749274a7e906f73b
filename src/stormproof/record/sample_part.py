"""A part of the samples that is read a batch at a time, so that memory does not grow with the rows.

A part is a Parquet file, here or in S3, or what a crashed worker left as raw rows. It may be sent to another process
that sees the same files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stormproof.errors import InputError, RunDirectoryError
from stormproof.record.part import check_schema
from stormproof.record.rows import ROW, ROWS_SUFFIX
from stormproof.record.samples import CONTROL, names_beside, raw_batches, schema_like

if TYPE_CHECKING:
    import pyarrow as pa

    from stormproof.record.layout import RunDirectory

BATCH_ROWS = 1 << 19
IN_MEMORY_ROWS_MAX = 2_000_000  # about 200 MB as a frame; more are counted in a stream


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePart:
    """One part. *is_ours* asks for all columns of the sample schema, or what can be cast to them without loss."""

    path: str
    filesystem: Any = None  # a `pyarrow.fs.FileSystem`; None: this machine's files
    is_ours: bool = True

    @property
    def name(self) -> str:
        """Its file's name."""
        return self.path.rpartition("/")[2]

    def sha256(self) -> str:
        """Of the file, in hex."""
        from pyarrow import fs

        digest = hashlib.sha256()
        with (self.filesystem or fs.LocalFileSystem()).open_input_stream(self.path) as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    @property
    def is_raw(self) -> bool:
        """Whether these are the raw rows of a worker that never became Parquet."""
        return self.path.endswith(ROWS_SUFFIX)

    @property
    def has_control(self) -> bool:
        """Whether its rows say who is in a control group."""
        if self.is_raw:
            return names_beside(Path(self.path)).has_control
        with self._open() as file:
            return CONTROL in file.schema_arrow.names

    def rows(self) -> int:
        """How many rows it has."""
        if self.is_raw:
            return Path(self.path).stat().st_size // ROW.size
        with self._open() as file:
            return int(file.metadata.num_rows)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows with just *columns*, at most `BATCH_ROWS` at a time.

        Raises `InputError` for a part that is not Parquet, or is not what it must be.
        """
        import pyarrow as pa

        if self.is_raw:
            yield from (batch.select(list(columns)) for batch in raw_batches(Path(self.path), BATCH_ROWS))
            return
        with self._open() as file:
            if missing := [name for name in columns if name not in file.schema_arrow.names]:
                got = f"none named {', '.join(missing)}"
                raise InputError(where=self.path, what="columns", expected=", ".join(columns), got=got)
            wanted = self._cast_to(file.schema_arrow, columns)
            try:
                for batch in _gathered(file.iter_batches(batch_size=BATCH_ROWS, columns=list(columns))):
                    yield batch if wanted is None else batch.select(list(columns)).cast(wanted)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, OSError) as error:
                raise self._unreadable(error) from error

    def _open(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            # Far away a read costs a round trip: neighbouring ones are asked for together.
            return pq.ParquetFile(self.path, filesystem=self.filesystem, pre_buffer=self.filesystem is not None)
        except (pa.ArrowInvalid, OSError) as error:
            raise self._unreadable(error) from error

    def _cast_to(self, schema: pa.Schema, columns: Sequence[str]) -> pa.Schema | None:
        """The types to cast to; None where the part has them already, or may have its own."""
        import pyarrow as pa

        expected = schema_like(schema)
        if not self.is_ours or not check_schema(self.path, schema, expected):
            return None
        return pa.schema([expected.field(name) for name in columns])

    def _unreadable(self, error: Exception) -> RunDirectoryError:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        return RunDirectoryError(where=self.path, what="", expected="a Parquet file", got=first_line)


def _gathered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """*batches*, put together until they have `BATCH_ROWS` rows.

    With a dictionary among its columns pyarrow ends a batch with each row group, and to add 20,000 rows to large
    counters costs as much as to add half a million.
    """
    import pyarrow as pa

    def together(some: list[pa.RecordBatch]) -> pa.RecordBatch:
        if len(some) == 1:
            return some[0]
        return pa.Table.from_batches(some).unify_dictionaries().combine_chunks().to_batches()[0]

    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        if len(batch):
            waiting.append(batch)
        if sum(map(len, waiting)) >= BATCH_ROWS:
            yield together(waiting)
            waiting = []
    if waiting:
        yield together(waiting)


def parts_of(run: RunDirectory) -> tuple[SamplePart, ...]:
    """The parts of *run*, in the order in which `read_samples` puts them together."""
    raw = [rows for rows in run.samples.glob(f"*{ROWS_SUFFIX}") if not rows.with_suffix(".parquet").exists()]
    return tuple(SamplePart(path=str(path)) for path in (*sorted(run.samples.glob("*.parquet")), *sorted(raw)))


def parts_in(folder: Path) -> tuple[SamplePart, ...]:
    """The Parquet files in *folder*, whoever wrote them. Raises `InputError` when there are none."""
    found = tuple(SamplePart(path=str(path), is_ours=False) for path in sorted(folder.glob("*.parquet")))
    if not found:
        raise InputError(where=str(folder), what="", expected="Parquet parts of samples", got="none")
    return found


def parts_at(url: str) -> tuple[SamplePart, ...]:
    """The Parquet files of a run in the folder *url*: a path, or ``s3://bucket/folder``.

    Credentials, region and endpoint are those of the environment. Raises `InputError` when it cannot be listed or holds
    none.
    """
    import pyarrow as pa
    from pyarrow import fs

    shown = re.sub(r"//[^/@]*@", "//", url)  # an address may hold a key and its secret
    try:
        system, folder = fs.FileSystem.from_uri(url if "://" in url else Path(url).resolve().as_uri())
        listed = system.get_file_info(fs.FileSelector(folder))
    except (pa.ArrowInvalid, OSError) as error:
        got = (str(error).splitlines() or [type(error).__name__])[0]
        hint = "a folder, or s3://bucket/folder with the usual AWS_ variables"
        raise InputError(where=shown, what="", expected="a folder of samples", got=got, hint=hint) from error
    away = None if isinstance(system, fs.LocalFileSystem) else system
    names = sorted(str(one.path) for one in listed if one.path.endswith(".parquet"))
    if not names:
        raise InputError(where=shown, what="", expected="Parquet parts of samples", got="none")
    return tuple(SamplePart(path=name, filesystem=away) for name in names)


def rows_of(parts: Sequence[SamplePart]) -> int:
    """How many rows *parts* have together."""
    return sum(part.rows() for part in parts)


def fit_in_memory(parts: Sequence[SamplePart]) -> bool:
    """Whether *parts* are read whole, so that every quantile is exact."""
    return rows_of(parts) <= IN_MEMORY_ROWS_MAX
