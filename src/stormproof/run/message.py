"""What people are sent, by a run or by a suite: a subject and some lines in plain text, redacted and bounded. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stormproof.record.redact import redact

LINE_MAX = 750
SUBJECT_MAX = 100  # SNS: ASCII, no line break, at most that many characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message; whoever sends it escapes it for where it goes."""

    subject: str
    lines: tuple[str, ...]
    link: str  # "" where nobody said where the pages can be found

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join([*self.lines, *([self.link] if self.link else [])])


def written(subject: str, lines: Iterable[str], *, link: str = "") -> Message:
    """The message of *subject* and *lines*, without their secrets and within the bounds."""
    return Message(
        subject=_ascii(str(redact(subject)))[:SUBJECT_MAX],
        lines=tuple(_short(str(redact(one))) for one in lines),
        link=link,
    )


def _ascii(text: str) -> str:
    return " ".join("".join(letter if " " <= letter <= "~" else "?" for letter in text).split())


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LINE_MAX else f"{line[: LINE_MAX - 1]}…"
