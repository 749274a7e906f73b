"""Child processes that do not outlive their purpose."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from stormproof.kinship import die_with_parent


@dataclass(slots=True)
class Child:
    """A child in its own session, its output in a log, its stdin a pipe that closes when we die."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    _log_file: IO[bytes]

    @classmethod
    def spawn(
        cls,
        name: str,
        arguments: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        orphan_signal: int = signal.SIGTERM,
        output: Path | None = None,
        inherit: Sequence[int] = (),
        answers: bool = False,
    ) -> Child:
        """Start ``python -m …`` with *arguments*; it is sent *orphan_signal* should we die.

        What it prints goes to *log*; with *output*, its standard output goes there instead, with *answers* into a pipe
        to us. It keeps the descriptors *inherit* open, and none of ours beside them.

        An own session, so that a Ctrl-C on the terminal reaches the conductor alone, which decides.
        """
        parent = os.getpid()
        file = log.open("ab")
        answer = None if output is None else output.open("wb")
        process = subprocess.Popen(  # noqa: S603 - our own modules, by our own interpreter
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if answers else file if answer is None else answer,
            stderr=file,
            env=dict(environment),
            start_new_session=True,
            pass_fds=tuple(inherit),
            preexec_fn=lambda: die_with_parent(parent, orphan_signal),  # noqa: PLW1509 - no threads hold locks we need: prctl and getppid only
        )
        if answer is not None:
            answer.close()  # the child has its own
        return cls(name=name, process=process, log=log, _log_file=file)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def end(self, with_signal: int, *, within_s: float) -> int:
        """Ask it to end; kill it after *within_s* seconds. Returns its exit code."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(with_signal)
        return self.collect(within_s=within_s)

    def collect(self, *, within_s: float) -> int:
        """Wait for its end; kill it and its session after *within_s* seconds. Returns its exit code."""
        try:
            self.process.wait(timeout=within_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._log_file.close()
        return int(self.process.returncode)

    def tail(self, lines: int = 5) -> str:
        """The last *lines* lines that it printed."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
