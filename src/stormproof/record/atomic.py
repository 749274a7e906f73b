"""Writes that are whole or not there: write, fsync, rename; and single-line appends."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import orjson


def write_bytes(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Put *data* at *path* so that a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` for text, UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, document: Any) -> None:
    """`write_bytes` for JSON: indented, keys in the order given, one trailing newline."""
    write_bytes(path, dump_json(document))


def dump_json(document: Any) -> bytes:
    """*document* as this project writes JSON: indented, a trailing newline; NaN and infinity become null."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)


def append_line(path: Path, document: Any, *, sync: bool = False) -> None:
    """Append one JSON line in a single write, so that several processes can share the file.

    With *sync* the line is on disk when this returns (the ledger needs that, events do not).
    """
    line = orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        end = os.fstat(descriptor).st_size
        if end and os.pread(descriptor, 1, end - 1) != b"\n":
            line = b"\n" + line  # somebody died half-way through a line: it must not swallow this one
        written = os.write(descriptor, line)
        if written != len(line):  # disk full: a torn line, which readers tolerate and the caller must know of
            raise OSError(errno.ENOSPC, f"only {written} of {len(line)} bytes could be written", str(path))
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Every whole JSON object of a line file; a torn line (a crash, a full disk) is passed over."""
    if not path.exists():
        return []
    rows: list[dict[str, Any]] = []
    for line in path.read_bytes().split(b"\n"):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def sync_folder(folder: Path) -> None:
    """Make a rename in *folder* durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
