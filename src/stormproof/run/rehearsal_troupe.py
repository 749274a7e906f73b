"""Players that need no time to start: forked from one that has imported everything already.

``python -m stormproof.run.rehearsal_troupe``, a child of whoever rehearses. Some seventeen processes play one fault,
and each would spend half a second of processor time on importing what it needs, in AWS as much again on botocore's
descriptions of the services: more than on what it is there for. Orders are lines of JSON, ``{"step", "order", "log"}``;
for each come two answers, ``{"pid": N}`` and, when that process has ended, ``{"code": N}``. One plays at a time. What
is forked knows no account, has asked nobody anything, and has no threads: nothing passes from one player to the next.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stormproof.errors import FaultError
from stormproof.kinship import die_with_parent
from stormproof.run import rehearsal_player
from stormproof.run.answers import Answers
from stormproof.run.children import Child

FORKED_WITHIN_S = 60.0  # the first one after everything has been imported, on a busy machine


@dataclass(slots=True, kw_only=True)
class Player:
    """One process that plays a step; what a `Child` can be asked, it can."""

    pid: int
    log: Path
    troupe: Troupe
    code: int | None = None  # its exit code once it has ended; below 0 the signal that ended it

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self._has_ended(within_s=0)

    def end(self, with_signal: int, *, within_s: float) -> int:
        """Send it *with_signal*; kill it after *within_s* seconds. Returns its exit code."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, with_signal)
        return self.collect(within_s=within_s)

    def collect(self, *, within_s: float) -> int:
        """Wait for its end; kill it and its session after *within_s* seconds. Returns its exit code."""
        if not self._has_ended(within_s=within_s):
            for kill in (os.killpg, os.kill):  # the second for one that has no session of its own yet
                with contextlib.suppress(ProcessLookupError):
                    kill(self.pid, signal.SIGKILL)
            self._has_ended(within_s=10)
        if self.code is None:
            raise FaultError(f"a rehearsal's player (pid {self.pid}) does not end", hint=str(self.log))
        return self.code

    def tail(self, lines: int = 5) -> str:
        """The last *lines* lines that it printed."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def _has_ended(self, *, within_s: float) -> bool:
        if self.code is None and (answer := self.troupe.answer(within_s=within_s)):
            self.code = int(answer["code"])
        return self.code is not None


@dataclass(slots=True, kw_only=True)
class Troupe:
    """The rehearsing process' end of it."""

    log: Path  # what the process prints that all are forked from
    environment: Mapping[str, str]
    _child: Child | None = None
    _answers: Answers | None = None

    def player(self, step: str, order: Mapping[str, Any], *, log: Path) -> Player:
        """A process that plays *order* up to *step*, its output in *log*. Raises `FaultError` when there is none."""
        child = self._child = self._child or self._gathered()
        assert child.process.stdin is not None
        assert child.process.stdout is not None
        self._answers = self._answers or Answers(child.process.stdout)
        try:
            child.process.stdin.write(json.dumps({"step": step, "order": order, "log": str(log)}).encode() + b"\n")
            child.process.stdin.flush()
            answer = self.answer(within_s=FORKED_WITHIN_S)
        except OSError:
            answer = None
        if answer is None:
            why = child.tail(1) or f"none within {FORKED_WITHIN_S:g} s, and no word"
            raise FaultError(f"a rehearsal needs a process to play in, got none: {why}", hint=str(self.log))
        return Player(pid=int(answer["pid"]), log=log, troupe=self)

    def answer(self, *, within_s: float) -> dict[str, Any] | None:
        """The next line of it; None when there is none within *within_s* seconds, or ever again."""
        assert self._answers is not None
        return self._answers.next(within_s=within_s)

    def dismiss(self) -> None:
        """End it, and with it whoever still plays. Harmless when there is none."""
        if self._child is not None:
            self._child.end(signal.SIGKILL, within_s=5)
            self._child = self._answers = None

    def _gathered(self) -> Child:
        return Child.spawn(
            "rehearsal troupe",
            ["-m", "stormproof.run.rehearsal_troupe"],
            log=self.log,
            environment=self.environment,
            orphan_signal=signal.SIGKILL,
            answers=True,
        )


def main() -> None:
    """Fork a player for each order, one after the other, until there are no more orders."""
    known: set[str] = set()
    for line in sys.stdin:
        asked = json.loads(line)
        _learn(asked["order"], known)
        gc.freeze()  # what is there now is shared by all of them, and stays shared when it is not looked through
        pid = os.fork()
        if pid == 0:
            _become(asked["step"], asked["order"], asked["log"])
        _say({"pid": pid})
        _, status = os.waitpid(pid, 0)
        _say({"code": os.waitstatus_to_exitcode(status)})


def _learn(order: Mapping[str, Any], known: set[str]) -> None:
    """Import what the faults of *order* need, and read what botocore knows of the services that they call."""
    from stormproof.faults import aws, catalogue
    from stormproof.faults.api_call import CallsAws

    for one in (order, *order["before"]):
        if one["kind"] in known:
            continue
        known.add(one["kind"])
        bound = catalogue.bind(one["kind"], one["target"], one["configuration"])
        services = {call.service for call in bound.api_calls} if isinstance(bound, CallsAws) else set()
        if services:
            aws.warm_up(*sorted({"sts", *services}))


def _say(document: Mapping[str, int]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def _become(step: str, order: Mapping[str, Any], log: str) -> None:
    """Be the player, from here to the end of the process: in a session of its own, with its own log."""
    code = 1
    try:
        parent = os.getppid()
        os.setsid()
        die_with_parent(parent)
        sink = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        code = rehearsal_player.play(step, order)
    except BaseException:  # noqa: BLE001 - this is the outermost frame of a process, which nothing may leave
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
