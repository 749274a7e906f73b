"""A port on which connects hang while somebody says so: a full queue of a server that accepts nobody."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

_ASK_EVERY_S, _SERVE_EVERY_S = 0.1, 0.02
_FILLERS = 4  # more than a queue of none holds


@contextlib.contextmanager
def hanging_port(is_cut: Callable[[], bool]) -> Iterator[str]:
    """``host:port``; a connect is accepted while *is_cut* says no, and hangs while it says yes."""
    over, cut = threading.Event(), threading.Event()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        server.settimeout(_SERVE_EVERY_S)
        address = server.getsockname()

        def ask() -> None:  # in a thread of its own: whoever connects must not wait for the answer
            while not over.is_set():
                (cut.set if is_cut() else cut.clear)()
                over.wait(_ASK_EVERY_S)

        def serve() -> None:
            fillers: list[socket.socket] = []
            while not over.is_set():
                if cut.is_set():
                    if not fillers:
                        fillers += [_knock(address) for _ in range(_FILLERS)]
                    over.wait(_SERVE_EVERY_S)
                    continue
                while fillers:
                    fillers.pop().close()
                with contextlib.suppress(TimeoutError):
                    server.accept()[0].close()
            for one in fillers:
                one.close()

        threads = [threading.Thread(target=one, daemon=True) for one in (ask, serve)]
        for thread in threads:
            thread.start()
        try:
            yield f"{address[0]}:{address[1]}"
        finally:
            over.set()
            for thread in threads:
                thread.join(timeout=10)


def _knock(address: tuple[str, int]) -> socket.socket:
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex(address)
    return one
