"""The kill switch fails closed: everything but a clear "not thrown" stops."""

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stormproof.errors import GuardrailError
from stormproof.model.guardrails import Guardrails
from stormproof.run import killswitch
from stormproof.run.killswitch import KillSwitchWatch, check_kill_switch, kill_switch_thrown
from support.lab import until


def test_without_a_switch_nothing_stops() -> None:
    """Not every environment has one."""
    assert kill_switch_thrown(Guardrails()) is None
    with KillSwitchWatch(Guardrails()) as watch:
        assert watch.thrown() is None


def test_a_file_is_thrown_by_being_there(tmp_path: Path) -> None:
    """Whatever it is: a file, a folder, a link to nowhere."""
    switch = tmp_path / "stop"
    guardrails = Guardrails(kill_switch=str(switch))
    assert kill_switch_thrown(guardrails) is None

    switch.symlink_to(tmp_path / "nowhere")
    assert "is there" in (kill_switch_thrown(guardrails) or "")
    with pytest.raises(GuardrailError, match="nothing was touched"):
        check_kill_switch(guardrails)


def test_a_folder_that_is_not_there_is_thrown(tmp_path: Path) -> None:
    """An unmounted share would hide a switch that somebody has thrown."""
    assert "cannot be looked into" in (
        kill_switch_thrown(Guardrails(kill_switch=str(tmp_path / "share" / "stop"))) or ""
    )
    (tmp_path / "file").touch()
    assert kill_switch_thrown(Guardrails(kill_switch=str(tmp_path / "file" / "stop"))) is not None


class Server(http.server.BaseHTTPRequestHandler):
    """Answers with the status in its path; `/slow` never."""

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(3)
            return
        self.send_response(int(self.path.strip("/")))
        self.send_header("Location", "/404")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    """A server on a port of its own."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.mark.parametrize(
    ("answer", "thrown"),
    [("404", False), ("200", True), ("204", True), ("301", True), ("302", True), ("403", True), ("500", True)],
)
def test_a_url_is_not_thrown_only_while_it_answers_404(server: str, answer: str, thrown: bool) -> None:
    """A redirect (to something that is not there) is not followed: a login page must not look like all is well."""
    reason = kill_switch_thrown(Guardrails(kill_switch=f"{server}/{answer}"))

    assert (reason is not None) is thrown
    assert reason is None or answer in reason


def test_a_url_that_does_not_answer_is_thrown(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Refused, silent, or not speaking HTTP."""
    del tmp_path
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{nobody.getsockname()[1]}/stop"
        assert "does not answer" in (kill_switch_thrown(Guardrails(kill_switch=closed)) or "")

    monkeypatch.setattr(killswitch, "URL_TIMEOUT_S", 0.2)
    assert "does not answer" in (kill_switch_thrown(Guardrails(kill_switch=f"{server}/slow")) or "")


def test_a_server_that_speaks_something_else_is_thrown() -> None:
    """An answer that is no HTTP is no 404."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def babble() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"220 ready\r\n")

        thread = threading.Thread(target=babble, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/stop"
        assert "does not answer" in (kill_switch_thrown(Guardrails(kill_switch=url)) or "")
        thread.join(timeout=5)


def test_a_proxy_of_the_process_is_not_asked(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that says 404 to everything would hide the switch."""
    monkeypatch.setenv("http_proxy", f"{server}/404")

    assert "answers 200" in (kill_switch_thrown(Guardrails(kill_switch=f"{server}/200")) or "")


def test_the_watch_sees_a_switch_thrown_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And stays thrown when the switch is put back: what was to be stopped is stopped."""
    monkeypatch.setattr(killswitch, "EVERY_S", 0.01)
    switch = tmp_path / "stop"
    with KillSwitchWatch(Guardrails(kill_switch=str(switch))) as watch:
        assert watch.thrown() is None
        switch.touch()
        until(watch.thrown, within_s=5)
        switch.unlink()
        assert "is there" in (watch.thrown() or "")


def test_a_look_that_hangs_counts_as_thrown(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking returns at once, and a switch that has been silent for too long stops."""
    monkeypatch.setattr(killswitch, "SILENT_AFTER_S", 0.2)
    with KillSwitchWatch(Guardrails(kill_switch=f"{server}/slow")) as watch:
        begun = time.monotonic()
        assert watch.thrown() is None
        assert time.monotonic() - begun < 0.1
        until(watch.thrown, within_s=1.5)  # long before the look's own time-out
        assert "has not answered" in (watch.thrown() or "")
