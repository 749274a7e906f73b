"""The conductor's end of the watchdog's pipe."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from stormproof.errors import UnavailableError
from stormproof.record.atomic import write_json
from stormproof.record.layout import RunDirectory

# How long the watchdog waits for the next beat. The conductor's loop beats twenty times a second; what takes longer
# says so first (`beat`).
LEASE_S = 5.0
ALIVE_WITHIN_S = 60.0  # imports: two seconds, many times that on a machine that is overloaded
SILENT_AFTER_S = 5.0  # it says `alive` five times a second
DEADLINE_GRACE_S = 60.0  # past the run's own limit: then the conductor has failed to keep it


@dataclass(slots=True)
class Guard:
    """A running watchdog."""

    process: subprocess.Popen[bytes]
    _heard_mono_s: float

    @classmethod
    def start(
        cls,
        run: RunDirectory,
        *,
        duration_s_max: float,
        environment: Mapping[str, str],
        people: Mapping[str, Any] | None = None,
    ) -> Guard:
        """Start the watchdog of *run* and wait until it says that it is alive; `UnavailableError` if it does not.

        *people* (`People.document`) are told by it when it had to end the run.
        """
        config = run.logs / "watchdog.json"
        write_json(
            config,
            {
                "ledger": str(run.ledger),
                "events": str(run.events),
                "conductor": [os.getpid(), psutil.Process().create_time()],
                "deadline_s": duration_s_max + DEADLINE_GRACE_S,
                "first_beat_within_s": ALIVE_WITHIN_S,
                "people": people,
            },
        )
        with (run.logs / "watchdog.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
                [sys.executable, "-m", "stormproof.run.watchdog", str(config)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(environment),
                start_new_session=True,
                cwd=Path("/"),  # holds no folder that somebody may want to remove
            )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        guard = cls(process, time.monotonic())
        give_up_at = time.monotonic() + ALIVE_WITHIN_S
        while not guard._listen():
            if process.poll() is not None or time.monotonic() > give_up_at:
                process.kill()
                raise UnavailableError(
                    f"the watchdog did not start; see {run.logs / 'watchdog.log'}; nothing was broken"
                )
            time.sleep(0.02)
        guard.beat()
        return guard

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def alive(self) -> bool:
        """Whether it runs and has been heard of lately."""
        if self._listen():
            self._heard_mono_s = time.monotonic()
        return self.process.poll() is None and time.monotonic() - self._heard_mono_s < SILENT_AFTER_S

    def beat(self, lease_s: float = LEASE_S) -> None:
        """Say that we are alive, and will say so again within *lease_s* seconds."""
        self._tell(f"beat {lease_s:g}")

    def watch_player(self, pid: int) -> None:
        """Say which process may break things: it is killed before an undo."""
        self._tell(f"player {pid} {psutil.Process(pid).create_time()!r}")

    def clean(self) -> None:
        """Say that nothing is left to undo, and let it go."""
        self._tell("clean")
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def hand_over(self) -> None:
        """Say that something could not be undone: from here on it is the watchdog's to try, again and again."""
        self._tell("undo")

    def wait(self, within_s: float) -> None:
        """Until the watchdog that took over has no more to try; the ledger says what came of it."""
        try:
            self.process.wait(timeout=within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _tell(self, text: str) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it died: `alive` says so, and the run is aborted for it
            os.write(self.process.stdin.fileno(), text.encode() + b"\n")

    def _listen(self) -> bool:
        assert self.process.stdout is not None
        try:
            return bool(os.read(self.process.stdout.fileno(), 65536))
        except (BlockingIOError, OSError):
            return False
