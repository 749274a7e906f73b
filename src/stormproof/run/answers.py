"""What a child says to us, a line of JSON at a time, waited for no longer than told."""

from __future__ import annotations

import json
import os
import select
import time
from dataclasses import dataclass
from typing import IO, Any


@dataclass(slots=True)
class Answers:
    """The end that we read of a child's pipe."""

    source: IO[bytes]
    _unread: bytes = b""

    def next(self, *, within_s: float) -> dict[str, Any] | None:
        """The next line; None when there is none within *within_s* seconds, or ever again."""
        give_up_at = time.monotonic() + within_s
        while b"\n" not in self._unread:
            left_s = max(0.0, give_up_at - time.monotonic())
            if not select.select([self.source], [], [], left_s)[0]:
                return None
            data = os.read(self.source.fileno(), 65536)
            if not data:
                return None
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found
