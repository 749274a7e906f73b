"""The console script: one call, one exit code; an error is a message, never a traceback.

0 to 4 are verdicts. 64 usage, 65 bad input, 69 unavailable or not clean, 70 our own failure, 130 interrupted before
anything was started. An uncaught exception must never look like *refuted*, so it is 70 too, and so is an output that
nobody reads any more, whatever the verdict in it.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import functools
import io
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

import typer.exceptions

from stormproof.errors import StormproofError, UnavailableError, UsageError

INTERNAL = 70
INTERRUPTED = 130
# What a disk, or whoever may write to it, says: news for the person at the keyboard, and no defect of ours.
_FULL = {errno.EDQUOT, errno.ENOSPC}
_NO_FILE = {errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EPERM, errno.EROFS}
_DISK = _FULL | _NO_FILE


def main() -> None:
    """Run the command line and exit with its code."""
    _open_streams()
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # what was begun is taken back on the way out
        signal.signal(ending, _interrupt)
    code = call(sys.argv[1:])
    for late in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(late, signal.SIG_IGN)  # the verdict is out: a signal may not change the exit code that says it
    sys.exit(code)


class _InterruptedError(BaseException):
    """A signal has come. Not a `KeyboardInterrupt`: typer would take that for the end, without a word."""


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise _InterruptedError(signal.Signals(number).name)


def call(arguments: list[str]) -> int:
    """Run the command line *arguments*; its exit code."""
    from stormproof.cli.app import app

    try:
        code = app(arguments, standalone_mode=False, prog_name="stormproof")
        sys.stdout.flush()  # here, where a failure still has a code of its own: at the interpreter's end it is 120
    except StormproofError as error:
        _say(f"error: {error}")
        return error.exit_code
    except typer.exceptions.Exit as done:
        return int(done.exit_code)
    except (_InterruptedError, typer.exceptions.Abort, KeyboardInterrupt) as signalled:
        _say(f"interrupted ({signalled})" if isinstance(signalled, _InterruptedError) else "interrupted")
        return INTERRUPTED
    except typer.exceptions.TyperException as error:  # the command line itself: unknown option, missing argument
        _say(f"error: {_usage(error)}\n\nhint: stormproof --help")
        return UsageError.exit_code
    except (BrokenPipeError, SystemExit):  # `stormproof … | head`; typer's answer to it is exit code 1: our *refuted*
        sys.stdout = _nowhere()
        return INTERNAL
    except Exception as error:  # noqa: BLE001 - the last line of defence: reported, coded, and never a verdict
        return _unexpected(error)
    return int(code or 0)


def _unexpected(error: Exception) -> int:
    """Say what nobody has caught; its exit code. What the disk refuses is the person's to mend, all else is ours."""
    if isinstance(error, FileNotFoundError) and not _has_folder():
        _say("error: the current folder: expected one that is there, got one that was deleted\n\nhint: cd")
        return UnavailableError.exit_code
    disk = isinstance(error, OSError) and error.errno in (_FULL if error.filename is None else _DISK)
    if not isinstance(error, OSError) or not disk:
        _report(error)
        return INTERNAL
    sys.stdout = _nowhere()  # perhaps what could not be written; what is left in its buffer would fail again
    _say(f"error: {_expected(error)}, got {error.strerror}")
    return UnavailableError.exit_code


def _has_folder() -> bool:
    """Whether the current folder is still there; `stat` says so of a deleted one, too."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _open_streams() -> None:
    """Streams that take whatever we say.

    A closed one (`>&-`) leads nowhere: Python's None would be a crash, and code 1. In one whose encoding lacks a
    character of ours (`…` in ASCII) it becomes `?`: the crash that it was took the verdict's code with it.
    """
    if sys.stdout is None:
        sys.stdout = _nowhere()
    if sys.stderr is None:
        sys.stderr = _nowhere()
    if isinstance(sys.stdout, io.TextIOWrapper):  # stderr never fails on a character
        has_all = codecs.lookup(sys.stdout.encoding).name == "utf-8"
        sys.stdout.reconfigure(errors="backslashreplace" if has_all else "replace")


@functools.cache
def _nowhere() -> io.TextIOWrapper:
    return Path(os.devnull).open("w", encoding="utf-8")


def _expected(error: OSError) -> str:
    """What *error* kept us from, with the file that it is about where it names one (a full disk often does not)."""
    named = error.filename2 or error.filename
    if named is None:
        return "expected room to write"
    return f"{os.fsdecode(named) if isinstance(named, str | bytes) else named}: expected to read or write it"


def _usage(error: typer.exceptions.TyperException) -> str:
    say = getattr(error, "format_message", None)
    return str(say()) if callable(say) else str(error)


def _report(error: Exception) -> None:
    _say(f"error: this is a defect in stormproof: {type(error).__name__}: {error}")
    if os.environ.get("STORMPROOF_DEBUG"):
        traceback.print_exception(error)
    else:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        _say(f"\nhint: at {frame.name}, line {frame.lineno}; STORMPROOF_DEBUG=1 shows the traceback")


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # stderr may be a terminal that has gone away
        sys.stderr.write(text + "\n")
