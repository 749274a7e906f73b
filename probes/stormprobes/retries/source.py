"""Files → arrivals: CSV and Parquet with the columns of `identify_retries`, our own arrivals, and access logs.

| format | what | client | call id |
| --- | --- | --- | --- |
| csv, parquet | the columns as they are | client | op |
| alb | Application Load Balancer access log, plain or gzip | address (and user agent) | trace id, if any comes twice |
| envoy | Envoy JSON access log | app/… of the user agent, else address | SDK's id, else a request id that comes twice |
| nginx | NGINX log in `escape=json` | address and user agent | request id, if any comes twice |

In CSV and Parquet arrived_at, duration_ms and status stand in for t_start_s, t_end_s and outcome. The keys of an
Envoy log are ours, or those of Envoy's operators (start_time, response_code, …). The format is told from the
content; saying it turns a guess into a check. A line that cannot be read is left out and counted; a file without
one that can is refused with what its first line was.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FORMATS", "read_arrivals", "sniff"]

FORMATS = ("csv", "parquet", "alb", "envoy", "nginx")
BYTES_MAX = 4 << 30  # after decompression: a bomb is not a log
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_ALB_TYPES = (b"http ", b"https ", b"h2 ", b"grpcs ", b"ws ", b"wss ")
_SHOWN = 60


def read_arrivals(path: str | Path, form: str | None = None, dependency: str | None = None) -> tuple[pd.DataFrame, str]:
    """The arrivals in *path*, and the format they were read as; of *dependency* only, where the file names several.

    Raises `ValueError` for an unknown format, a file that is not of it, or several dependencies and none chosen.
    """
    if form is not None and form not in FORMATS:
        raise ValueError(f"format: expected {', '.join(FORMATS)}, got {form!r}")
    file = Path(path)
    if file.is_dir():
        raise ValueError(f"{path}: expected a file of arrivals, got a folder")
    content = _bytes(file)
    used = form or sniff(content, str(path))
    frame = _READERS[used](content, str(path))
    return _of_one_dependency(frame, dependency, str(path)), used


def sniff(content: bytes, where: str) -> str:
    """The format that *content* has; `ValueError` when it is none of ours."""
    if content.startswith(_PARQUET):
        return "parquet"
    first = next((line.strip() for line in content[:65_536].splitlines() if line.strip()), b"")
    if first.startswith(b"{"):
        return "nginx" if b'"request_time"' in first or b'"msec"' in first else "envoy"
    if first.startswith(_ALB_TYPES):
        return "alb"
    if b"t_start_s" in first or b"arrived_at" in first:
        return "csv"
    raise ValueError(
        f"{where}: expected arrivals as one of {', '.join(FORMATS)}, got {_excerpt(first)}"
        + (" (say --format if it is one of them)" if first else "")
    )


def _excerpt(line: bytes) -> str:
    text = line[:_SHOWN].decode("utf-8", "replace")
    return f"a file that begins {text!r}" if text else "an empty file"


def _bytes(file: Path) -> bytes:
    with file.open("rb") as raw:
        head = raw.read(2)
        raw.seek(0)
        if head != _GZIP:
            if file.stat().st_size > BYTES_MAX:
                raise ValueError(f"{file}: expected at most {BYTES_MAX >> 30} GiB, got {file.stat().st_size >> 30}")
            return raw.read()
        try:
            with gzip.GzipFile(fileobj=raw) as unpacked:
                content = unpacked.read(BYTES_MAX + 1)
        except (OSError, EOFError) as error:
            raise ValueError(f"{file}: expected gzip, got a damaged file ({error})") from error
    if len(content) > BYTES_MAX:
        raise ValueError(f"{file}: expected at most {BYTES_MAX >> 30} GiB unpacked, got more")
    return content


def _csv(content: bytes, where: str) -> pd.DataFrame:
    import pandas as pd

    try:
        frame = pd.read_csv(io.BytesIO(content), dtype={"client": str, "op": str, "outcome": str, "dependency": str})
    except (ValueError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{where}: expected CSV, got: {error}") from error
    return _columns(frame, where)


def _parquet(content: bytes, where: str) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        frame = pq.read_table(io.BytesIO(content)).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{where}: expected Parquet, got: {error}") from error
    return _columns(frame, where)


def _columns(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Our own arrivals have more columns than are needed, and canaries that are no clients."""
    if "canary" in frame.columns:
        frame = frame[~frame["canary"].fillna(False).astype(bool)]
    if "t_start_s" not in frame.columns and "arrived_at" in frame.columns:
        frame = frame.assign(t_start_s=frame["arrived_at"])
    if "t_start_s" not in frame.columns:
        found = ", ".join(map(str, frame.columns)) or "none"
        raise ValueError(f"{where}: expected a column t_start_s (or arrived_at), got the columns: {found}")
    if "t_end_s" not in frame.columns and "duration_ms" in frame.columns:
        frame = frame.assign(t_end_s=frame["t_start_s"] + frame["duration_ms"] / 1000)
    return frame


def _log(parser: str) -> Callable[[bytes, str], pd.DataFrame]:
    def read(content: bytes, where: str) -> pd.DataFrame:
        import pandas as pd

        from stormprobes.retries import access_log

        parse = getattr(access_log, parser)
        rows = [parse(line) for line in _lines(content)]
        good = [row for row in rows if row is not None]
        if not good:
            first = next(_lines(content), b"")
            raise ValueError(f"{where}: expected lines of {access_log.NAMES[parser]}, got {_excerpt(first)}")
        frame = pd.DataFrame(good)
        frame.attrs["lines_skipped"] = len(rows) - len(good)
        return _repeated_ids_only(frame)

    return read


def _lines(content: bytes) -> Iterator[bytes]:
    return (line for line in content.splitlines() if line.strip())


def _repeated_ids_only(frame: pd.DataFrame) -> pd.DataFrame:
    """Ids that a proxy gives to each request say nothing; ids that come back are the caller's, and mark tries of a
    call.
    """
    ids = frame["op"]
    known = ids != ""
    if known.any() and not frame.loc[known, "is_callers"].any() and not ids[known].duplicated().any():
        frame = frame.assign(op="")
    return frame.drop(columns="is_callers")


def _of_one_dependency(frame: pd.DataFrame, dependency: str | None, where: str) -> pd.DataFrame:
    if "dependency" not in frame.columns:
        return frame
    names = sorted({str(name) for name in frame["dependency"].dropna()} - {""})
    if dependency is not None:
        if dependency not in names:
            raise ValueError(f"{where}: expected arrivals at {dependency!r}, got: {', '.join(names) or 'none'}")
        return frame[frame["dependency"] == dependency]
    if len(names) > 1:
        raise ValueError(f"{where}: expected arrivals at one dependency, got {', '.join(names)}: choose one of them")
    return frame


_READERS: dict[str, Callable[[bytes, str], Any]] = {
    "csv": _csv,
    "parquet": _parquet,
    "alb": _log("alb_line"),
    "envoy": _log("envoy_line"),
    "nginx": _log("nginx_line"),
}
