"""A zip with one possible sequence of bytes for its content, so that no byte of it can change unseen."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from stormproof.errors import InputError

EPOCH = (1980, 1, 1, 0, 0, 0)  # the first instant that a zip can name
BYTES_MAX = 2 << 30


def pack(files: Mapping[str, bytes]) -> bytes:
    """*files* (path → content) as a zip: sorted, stored, without times; the same files give the same bytes."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, files[name])
    return target.getvalue()


def unpack(data: bytes) -> tuple[dict[str, bytes], dict[str, str]]:
    """The files in a zip, in memory, and what is wrong with the zip itself: name (or "the archive") → what.

    Every byte outside the files' contents is held against the zip that `pack` makes of them. Raises `InputError` when
    there is no way to read it at all.
    """
    if len(data) > BYTES_MAX:
        raise InputError(where="", what="the archive", expected=f"at most {BYTES_MAX} bytes", got=str(len(data)))
    files: dict[str, bytes] = {}
    problems: dict[str, str] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                if info.compress_type != zipfile.ZIP_STORED:
                    problems[info.filename] = "was changed: it is compressed, and nothing in a bundle is"
                    continue
                try:
                    files[info.filename] = archive.read(info)
                except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError, OSError) as error:
                    problems[info.filename] = f"was changed: it cannot be read ({error})"
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise InputError(where="", what="the archive", expected="a zip", got=str(error)) from error
    if not problems and (again := pack(files)) != data:
        offset = next((at for at, (one, other) in enumerate(zip(again, data, strict=False)) if one != other), None)
        at = min(len(again), len(data)) if offset is None else offset
        problems[_around(again, at)] = f"was changed: byte {at} of the archive is not what it was"
    return files, problems


def _around(data: bytes, offset: int) -> str:
    """Whose header stands at *offset*; "the archive" for what belongs to no file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        before = [info for info in archive.infolist() if info.header_offset <= offset < archive.start_dir]
    return before[-1].filename if before else "the archive"
