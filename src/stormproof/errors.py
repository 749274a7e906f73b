"""Every error Stormproof raises on purpose, and the exit code that each one means.

::

    StormproofError                 70  our own failure
    ├─ UsageError                   64  the command line asks for something that cannot be
    │  ├─ NotInThisVersionError     64  planned, documented, not built yet
    │  └─ GuardrailError            64  the environment does not allow it; nothing was touched
    ├─ InputError                   65  a file or value that we were given is wrong
    │  ├─ SpecError                     an experiment or environment file
    │  ├─ HypothesisError               the text of a hypothesis or stop condition
    │  └─ RunDirectoryError             a run directory that cannot be read back
    ├─ UnavailableError             69  something that must be there is not, or is not clean
    │  ├─ LabError                      the lab did not come up, go down, or stay whole
    │  └─ OutstandingUndoError          a fault of an earlier run is still to be undone
    ├─ FaultError                   70  a fault could not be injected, or not be undone
    │  ├─ IdentityError                 the thing at the address is not the thing in the plan
    │  └─ FaultEndedError               somebody else ended it while it was injected
    └─ LoadError                    70  the load generator did not start or died

Exit codes 0 to 4 belong to verdicts; no error uses them.
"""

from __future__ import annotations

from typing import Any, ClassVar


class StormproofError(Exception):
    """Something failed that is not a verdict; carries a message for the person who reads it."""

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = message
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.message}\n\nhint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # An error may come from a worker process; its class may take other arguments than a message.
        return _revive, (type(self), self.args, dict(self.__dict__))


def _revive(kind: type[StormproofError], args: tuple[Any, ...], fields: dict[str, Any]) -> StormproofError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class UsageError(StormproofError):
    """The command line asks for something that cannot be."""

    exit_code = 64


class NotInThisVersionError(UsageError):
    """A documented command that is not built yet."""

    def __init__(self, command: str) -> None:
        super().__init__(f"`stormproof {command}` is not in this version", hint="see CHANGELOG.md, 'Not yet'")


class GuardrailError(UsageError):
    """The environment's guardrails do not allow what was asked for; nothing was touched."""


class InputError(StormproofError):
    """A file or value that we were given is wrong.

    *where* is ``file:line`` (or the file), *what* the path inside it, *expected* and *got* one phrase each.
    """

    exit_code = 65

    def __init__(
        self, *, where: str, what: str, expected: str, got: str | None = None, hint: str | None = None
    ) -> None:
        self.where, self.what, self.expected, self.got = where, what, expected, got
        prefix = f"{where}: " if where else ""
        path = f"{what}: " if what else ""
        tail = f", got {got}" if got is not None else ""
        super().__init__(f"{prefix}{path}expected {expected}{tail}", hint=hint)


class SpecError(InputError):
    """An experiment or environment file does not say what it must."""


class HypothesisError(InputError):
    """The text of a hypothesis or stop condition is not in the language."""


class RunDirectoryError(InputError):
    """A run directory lacks what is needed to read it back."""


class UnavailableError(StormproofError):
    """Something that must be there is not there, or is not clean."""

    exit_code = 69


class LabError(UnavailableError):
    """The lab did not come up, did not go down, or is not whole."""


class OutstandingUndoError(UnavailableError):
    """A fault of an earlier run in the same environment is still to be undone."""


class FaultError(StormproofError):
    """A fault could not be injected, or could not be undone."""


class IdentityError(FaultError):
    """The thing at the address is not the thing in the plan; nothing was touched."""


class FaultEndedError(FaultError):
    """Whoever injects it for us ended it before it was in force: AWS FIS, on an alarm. That is no failure of ours."""


class LoadError(StormproofError):
    """The load generator did not start, or died."""
