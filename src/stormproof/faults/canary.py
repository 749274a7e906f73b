"""One request of our own to a dependency, as the workload would make it, and what became of it.

Always over a new connection: an old one may still lead to where nothing is broken.
"""

from __future__ import annotations

import http.client
import time
import urllib.parse
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

_BODY_BYTES_MAX = 600  # an answer's text is evidence, not a document


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What became of one request: *status* 0 and a *failure* when there was no answer."""

    status: int
    text: str  # the beginning of the body
    failure: str  # "" | "no answer" (we gave up waiting) | "refused" | "reset" | "unreachable: …"
    took_ms: float
    headers: Mapping[str, str] = field(default_factory=dict)  # by their small names

    def evidence(self) -> dict[str, Any]:
        """As JSON for the record."""
        outcome = self.failure or f"answered {self.status}"
        return {"outcome": outcome, "text": self.text[:400].strip(), "took_ms": round(self.took_ms, 1)}


def ask(url: str, *, timeout_s: float, source: str | None = None) -> Reply:
    """GET *url*, marked as ours; from the local address *source* where the mark may not be readable.

    Never raises for what the network does; *timeout_s* bounds each wait, not their sum.
    """
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port, timeout=timeout_s, source_address=(source, 0) if source else None
    )
    begun = time.monotonic()
    status, text, failure = 0, "", ""
    headers: dict[str, str] = {}
    try:
        connection.request("GET", parts.path or "/", headers={"x-stormproof-canary": "1", "connection": "close"})
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        status, text = answer.status, answer.read(_BODY_BYTES_MAX).decode(errors="replace")
    except TimeoutError:
        failure = "no answer"
    except ConnectionRefusedError:
        failure = "refused"
    except http.client.RemoteDisconnected as error:  # also a ConnectionResetError by its class, but a FIN by its nature
        failure = f"unreachable: {error}"
    except ConnectionResetError:
        failure = "reset"
    except (OSError, http.client.HTTPException) as error:
        failure = f"unreachable: {type(error).__name__}: {error}"
    finally:
        connection.close()
    took_ms = (time.monotonic() - begun) * 1000
    return Reply(status=status, text=text, failure=failure, took_ms=took_ms, headers=headers)


def ask_together(url: str, count: int, *, timeout_s: float) -> list[Reply]:
    """*count* requests at once, so that several that are held back take no longer than one."""
    with ThreadPoolExecutor(max_workers=count, thread_name_prefix="canary") as pool:
        return list(pool.map(lambda _: ask(url, timeout_s=timeout_s), range(count)))
