"""A message to a Slack-compatible webhook: one POST of JSON, to HTTPS or to loopback, never redirected."""

from __future__ import annotations

import ipaddress
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import IO, TYPE_CHECKING

from stormproof.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from http.client import HTTPMessage

    from stormproof.run.message import Message

TIMEOUT_S = 10.0
TRIES = 3
PAUSE_S = 1.0
LATER = (429, 500, 502, 503, 504)


def post(message: Message, *, variable: str, pause_s: float = PAUSE_S) -> None:
    """Send *message* to the URL in the environment variable *variable*; the URL is a secret and is never shown.

    Raises `UsageError` when there is none, `UnavailableError` when nobody takes the message.
    """
    url = _checked(os.environ.get(variable, ""), variable)
    body = json.dumps({"text": as_mrkdwn(message)}).encode()
    problem = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(pause_s * 2**attempt)
        request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})  # noqa: S310 - checked above
        try:
            with _opener().open(request, timeout=TIMEOUT_S) as answer:
                if answer.status < 300:
                    return
                problem = f"it answered {answer.status}"
        except urllib.error.HTTPError as error:
            problem = f"it answered {error.code}"
            if error.code not in LATER:
                break
        except (urllib.error.URLError, TimeoutError, OSError) as error:
            problem = f"it could not be reached ({getattr(error, 'reason', error).__class__.__name__})"
    raise UnavailableError(f"the webhook in {variable}: {problem}")


def unusable(variable: str) -> str | None:
    """Why nothing can be sent to the webhook in *variable*, as far as can be seen without sending; None if it can."""
    try:
        _checked(os.environ.get(variable, ""), variable)
    except UsageError as error:
        return error.message
    return None


def as_mrkdwn(message: Message) -> str:
    """*message* as Slack reads it: the three characters that mean something are escaped: nobody is called by it."""
    first, *rest = [_escaped(line) for line in message.lines]
    return "\n".join([f"*{first}*", *(f"• {line}" for line in rest), *([message.link] if message.link else [])])


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("*", "∗")


def _checked(url: str, variable: str) -> str:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return url
    if parts.scheme == "http" and _is_loopback(parts.hostname or ""):
        return url
    raise UsageError(
        f"{variable}: expected the https URL of a webhook in this environment variable",
        hint="a secret of the pipeline; plain http is for 127.0.0.1 only" if url else f"export {variable}=https://…",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Nowhere else: what is said is for whom it was addressed to."""


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirect)
