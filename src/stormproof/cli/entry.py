"""The console script: one call, one exit code; an error is a message, never a traceback.

0 to 4 are verdicts. 64 usage, 65 bad input, 69 unavailable or not clean, 70 our own failure, 130 interrupted before
anything was started. An uncaught exception must never look like *refuted*, so it is 70 too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from types import FrameType

import typer.exceptions

from stormproof.errors import StormproofError, UsageError

INTERNAL = 70
INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit with its code."""
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
    except StormproofError as error:
        _say(f"error: {error}")
        return error.exit_code
    except typer.exceptions.Exit as done:
        return int(done.exit_code)
    except _InterruptedError as signalled:
        _say(f"interrupted ({signalled})")
        return INTERRUPTED
    except (typer.exceptions.Abort, KeyboardInterrupt):
        _say("interrupted")
        return INTERRUPTED
    except typer.exceptions.TyperException as error:  # the command line itself: unknown option, missing argument
        _say(f"error: {_usage(error)}\n\nhint: stormproof --help")
        return UsageError.exit_code
    except BrokenPipeError:  # `stormproof … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERNAL
    except Exception as error:  # noqa: BLE001 - the last line of defence: reported, coded 70, and never a verdict
        _report(error)
        return INTERNAL
    return int(code or 0)


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
