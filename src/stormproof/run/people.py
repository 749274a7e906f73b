"""Tells the people whom an environment names, when a run begins, is aborted and has ended. Never waited for long.

Each message goes out in a thread of its own: neither the fault nor the undo waits for it. Whether it was taken stands
in `events.jsonl`, and changes nothing about what the run comes to. docs/adr/0066-people-are-told.md.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stormproof.errors import StormproofError
from stormproof.record import events
from stormproof.run.notice import Notice
from stormproof.run.topic import publisher

if TYPE_CHECKING:
    from stormproof.model.environment import Environment
    from stormproof.run.message import Message

BEGINS, ABORTED, ENDED = "begins", "aborted", "ended"
ATTEMPTS, TIMEOUT_S = 2, 3.0  # of each message
PATIENCE_S = 10.0  # with those, what is left is a name server, or a role, that does not answer


def _nobody(_text: str) -> None:
    """Where there is nobody at the terminal."""


@dataclass(slots=True, kw_only=True)
class People:
    """Who is told of the run in *notice*; without a topic nobody is, and nothing happens."""

    topic: str = ""
    notice: Notice | None = None
    configuration: Mapping[str, Any] = field(default_factory=dict)  # as whom, and where
    events: Path = Path()
    who: str = "conductor"
    say: Callable[[str], None] = _nobody
    _publish: Callable[[Message], None] | None = None
    _threads: list[threading.Thread] = field(default_factory=list)
    _waiting: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(
        cls, environment: Environment, notice: Notice, *, ledger: Path, say: Callable[[str], None] = _nobody
    ) -> People:
        """Whom *environment* names, for the run that has *ledger*."""
        topic = environment.cloud.topic_arn if environment.cloud else None
        if topic is None:
            return cls()
        # The ledger gives the session its name. Without the partition the call is not in `calls.jsonl`, which is under
        # the run's seal when a late answer comes.
        where = {**environment.aws.configuration, "ledger_path": str(ledger)}
        where.pop("aws_partition", None)
        return cls(topic=topic, notice=notice, configuration=where, events=ledger.with_name("events.jsonl"), say=say)

    @classmethod
    def from_document(cls, document: Mapping[str, Any] | None, *, events_path: Path, who: str) -> People:
        """Who `document` named, in another process."""
        if document is None:
            return cls()
        return cls(
            topic=str(document["topic"]),
            notice=Notice.from_document(document["notice"]),
            configuration=document["configuration"],
            events=events_path,
            who=who,
        )

    @property
    def document(self) -> dict[str, Any] | None:
        """JSON for a process that is to tell them when this one cannot; None for nobody."""
        if self.notice is None:
            return None
        return {"topic": self.topic, "notice": self.notice.document, "configuration": dict(self.configuration)}

    def begins(self) -> None:
        """Tell that it begins."""
        if self.notice is not None:
            self._send(BEGINS, self.notice.begins())

    def aborted(self, reason: str, *, left: Sequence[str] | None = None) -> None:
        """Tell that it ends early; *left* as in `Notice.aborted`."""
        if self.notice is not None:
            self._send(ABORTED, self.notice.aborted(reason, left=left))

    def ended(self, word: str, reasons: Sequence[str], *, left: Sequence[str]) -> None:
        """Tell what it came to."""
        if self.notice is not None:
            self._send(ENDED, self.notice.ended(word, reasons, left=left))

    def settle(self, within_s: float = PATIENCE_S) -> None:
        """Wait for what is still on its way; what is so after *within_s* was not told."""
        give_up_at = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, give_up_at - time.monotonic()))
        self._threads.clear()
        with self._lock:
            for when in self._waiting:
                self._note(when, f"no answer within {within_s:g} s")
            self._waiting.clear()

    def _send(self, when: str, message: Message) -> None:
        try:
            if self._publish is None:  # made here and once: an import in a thread would meet the run's own work
                self._publish = publisher(
                    self.topic, configuration=self.configuration, attempts=ATTEMPTS, timeout_s=TIMEOUT_S
                )
        except Exception as error:  # noqa: BLE001 - whatever it is, the run is not to end by it
            self._note(when, _reason(error))
            return
        self._waiting.append(when)
        thread = threading.Thread(
            target=self._deliver, args=(when, message, self._publish), name=f"tell {when}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _deliver(self, when: str, message: Message, publish: Callable[[Message], None]) -> None:
        problem = ""
        try:
            publish(message)
        except Exception as error:  # noqa: BLE001 - as above
            problem = _reason(error)
        with self._lock:
            if when in self._waiting:  # else nobody waits any more, and the record may be sealed
                self._waiting.remove(when)
                self._note(when, problem)

    def _note(self, when: str, problem: str) -> None:
        name = events.PEOPLE_NOT_TOLD if problem else events.PEOPLE_TOLD
        why = {"reason": problem} if problem else {}
        with contextlib.suppress(OSError):  # a full disk
            events.record_event(self.events, name, who=self.who, message=when, topic=self.topic, **why)
        self.say(f"NOT TOLD {self.topic}: {problem}" if problem else f"told     {self.topic}: {when}")


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, StormproofError) else f"{type(error).__name__}: {error}"
