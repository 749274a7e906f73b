"""The environment's kill switch: a file or a URL that anybody can throw, without access to who runs.

It fails closed: whatever cannot be asked counts as thrown.
"""

from __future__ import annotations

import http.client
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from stormproof.errors import GuardrailError
from stormproof.model.guardrails import Guardrails

EVERY_S = 1.0
URL_TIMEOUT_S = 2.0
# A look that has not ended by then (a hanging file system, a name server) counts as thrown.
SILENT_AFTER_S = 5.0


def kill_switch_thrown(guardrails: Guardrails) -> str | None:
    """Why nothing may be broken (any more), or None; asks the file or the URL once, within `URL_TIMEOUT_S`.

    A file: thrown when something is there, or when its folder cannot be looked into. A URL: not thrown only while it
    answers 404; 200 is thrown, and so are other answers, a redirect, and no answer.
    """
    switch = guardrails.kill_switch
    if switch is None:
        return None
    return _url_thrown(switch) if "://" in switch else _file_thrown(Path(switch))


def check_kill_switch(guardrails: Guardrails) -> None:
    """Raise `GuardrailError` when the switch is thrown: before a start."""
    if reason := kill_switch_thrown(guardrails):
        raise GuardrailError(f"guardrails.kill_switch: {reason}; nothing was touched")


class KillSwitchWatch:
    """Asks every second, in a thread, so that a slow answer never holds up who waits for it."""

    def __init__(self, guardrails: Guardrails) -> None:
        self._guardrails = guardrails
        self._reason: str | None = None
        self._looked_mono_s = time.monotonic()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> KillSwitchWatch:
        """Begin asking; does nothing where there is no switch."""
        if self._guardrails.kill_switch is not None:
            self._thread = threading.Thread(target=self._run, name="kill-switch", daemon=True)
            self._thread.start()
        return self

    def thrown(self) -> str | None:
        """The reason to stop, or None; returns at once. Once thrown it stays so."""
        if self._reason is None and self._thread is not None:
            silent_s = time.monotonic() - self._looked_mono_s
            if silent_s > SILENT_AFTER_S:
                self._reason = f"the kill switch {self._guardrails.kill_switch} has not answered for {silent_s:.0f} s"
        return self._reason

    def __exit__(self, *_: object) -> None:
        """Stop asking; a look in flight is not waited for."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set() and self._reason is None:
            reason = kill_switch_thrown(self._guardrails)
            self._looked_mono_s = time.monotonic()
            self._reason = self._reason or reason
            self._stop.wait(EVERY_S)


def _file_thrown(path: Path) -> str | None:
    try:
        path.lstat()
    except FileNotFoundError:
        pass
    except OSError as error:
        return f"the kill switch {path} cannot be looked at ({error.strerror})"
    else:
        return f"the kill switch {path} is there"
    # Its folder must be there: an unmounted share would hide a thrown switch.
    try:
        reachable = path.parent.is_dir()
    except OSError:
        reachable = False
    return None if reachable else f"the folder of the kill switch {path} cannot be looked into"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like another: neither 200 nor 404."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none."""


def _url_thrown(url: str) -> str | None:
    # Plain HTTP is this machine: a proxy of the process's environment would answer in its place.
    direct = [urllib.request.ProxyHandler({})] if url.startswith("http://") else []
    opener = urllib.request.build_opener(_NoRedirects, *direct)
    try:
        with opener.open(url, timeout=URL_TIMEOUT_S) as answer:
            return f"the kill switch {url} answers {answer.status}"
    except urllib.error.HTTPError as error:
        error.close()
        return None if error.code == 404 else f"the kill switch {url} answers {error.code}, neither 200 nor 404"
    except (OSError, ValueError, http.client.HTTPException) as error:  # URLError is an OSError
        return f"the kill switch {url} does not answer ({getattr(error, 'reason', error)})"
