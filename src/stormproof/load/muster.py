"""Where the load workers of other machines report: who holds the token and is fit to take part, until all are there."""

from __future__ import annotations

import hashlib
import importlib.metadata
import queue
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from stormproof.errors import LoadError
from stormproof.load import wire
from stormproof.load.clock_offset import EXCHANGES_FIRST, ClockOffset, exchange
from stormproof.load.peer import Peer, greet
from stormproof.model.load_listener import LoadListener

GREETING_S = 5.0  # for a handshake and the first look at the clocks
GREETED_AT_ONCE_MAX = 32  # strangers who connect and say nothing must not use up the threads
_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A worker that is fit to take part."""

    peer: Peer
    clock: ClockOffset


def identity_of(locustfile: Path) -> dict[str, str]:
    """What must be the same on every machine, or the workers share no schedule: the locustfile, and who reads it."""
    return {
        "locustfile": hashlib.sha256(locustfile.read_bytes()).hexdigest(),
        **{name: importlib.metadata.version(name) for name in ("stormproof", "locust", "numpy")},
    }


class Muster:
    """Listens from construction to the end of the `with`; *token* is what proves a worker. `LoadError` if it cannot."""

    def __init__(self, listener: LoadListener, token: bytes, identity: dict[str, str]) -> None:
        self._listener, self._token, self._identity = listener, token, identity
        family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((listener.host, listener.port))
            self._socket.listen(GREETED_AT_ONCE_MAX)
        except OSError as error:
            self._socket.close()
            raise LoadError(f"load workers cannot be awaited at {listener.address}: {error.strerror}") from error
        self._socket.settimeout(_POLL_S)
        self.port: int = self._socket.getsockname()[1]
        self._over = threading.Event()
        self._places = threading.Semaphore(GREETED_AT_ONCE_MAX)
        self._found: queue.Queue[Joined | LoadError] = queue.Queue()
        self._strangers: list[str] = []
        self._thread = threading.Thread(target=self._accept, name="load-muster", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(timeout=GREETING_S)
        while not self._found.empty():  # one too many
            extra = self._found.get_nowait()
            if isinstance(extra, Joined):
                _refuse(extra.peer, "the load has all the workers that it needs")

    def next_worker(self, deadline_mono_s: float, *, interrupted: Callable[[], str | None]) -> Joined:
        """The next worker that joins.

        `LoadError` when none does before the deadline, when *interrupted* gives a reason, and when one that holds the
        token is unfit: whoever started it believes that it takes part.
        """
        while True:
            if (reason := interrupted()) is not None:
                raise LoadError(f"{reason} while load workers were awaited")
            try:
                found = self._found.get(timeout=_POLL_S)
            except queue.Empty:
                if time.monotonic() > deadline_mono_s:
                    raise self._missing() from None
                continue
            if isinstance(found, LoadError):
                raise found
            return found

    def _missing(self) -> LoadError:
        turned_away = "; ".join(dict.fromkeys(self._strangers[-5:]))
        return LoadError(
            f"a load worker is missing: none joined at {self._listener.host}:{self.port} in time"
            + (f" (turned away: {turned_away})" if turned_away else ""),
            hint="on each machine: stormproof load worker LOCUSTFILE --connect HOST:PORT --token-file FILE",
        )

    def _accept(self) -> None:
        with self._socket:
            while not self._over.is_set():
                try:
                    connection, _ = self._socket.accept()
                except TimeoutError:
                    continue
                except OSError:  # the caller was gone again, or we are out of descriptors
                    self._over.wait(_POLL_S)
                    continue
                if self._places.acquire(blocking=False):
                    threading.Thread(target=self._greet, args=(connection,), daemon=True).start()
                else:
                    connection.close()

    def _greet(self, connection: socket.socket) -> None:
        host = "somebody"
        try:
            host = str(connection.getpeername()[0])
            peer = greet(connection, self._token, within_s=GREETING_S, send_within_s=wire.SILENCE_OF_WORKER_S)
        except (LoadError, OSError) as error:  # a stranger: nothing that it does may end the run
            self._strangers.append(f"{host}: {error}")
            connection.close()
            return
        finally:
            self._places.release()
        try:
            joined = self._examine(peer)
        except (LoadError, KeyError, TypeError, ValueError) as error:
            _refuse(peer, str(error))
            self._found.put(LoadError(f"the load worker of {peer.host} cannot take part: {error}"))
        else:
            self._found.put(joined)

    def _examine(self, peer: Peer) -> Joined:
        hello = peer.receive_message(GREETING_S)
        theirs: dict[str, Any] = hello["identity"]
        for name, ours in self._identity.items():
            if theirs.get(name) != ours:
                what = "its locustfile is another one: SHA-256" if name == "locustfile" else f"its version of {name} is"
                raise LoadError(f"{what} {theirs.get(name)}, the conductor's is {ours}")
        clock = ClockOffset()
        for _ in range(EXCHANGES_FIRST):
            asked = time.monotonic()
            peer.send_message({"kind": wire.BEAT, "asked_mono_s": asked})
            answer = peer.receive_message(GREETING_S)
            heard, wall = time.monotonic(), time.time()
            clock.note(exchange(asked, answer, heard, mono_s=heard, wall_s=wall))
        if (unfit := clock.unfit()) is not None:
            raise LoadError(unfit)
        return Joined(peer=peer, clock=clock)


def _refuse(peer: Peer, reason: str) -> None:
    try:
        peer.send_message({"kind": wire.REFUSED, "reason": reason})
    except LoadError:
        pass  # it is gone already
    finally:
        peer.close()
