"""The report as a browser sees it: nothing runs, nothing is fetched, something is there to look at."""

from __future__ import annotations

import http.server
import shutil
import struct
import subprocess
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from golden.report import storyboard
from stormproof.report.write import write_reports

pytestmark = pytest.mark.browser
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser; its absence is a failure, because a skipped look at the report is no look at all."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.fail("Chromium is not installed: run scripts/install-debian-packages, which installs it")


def browse(chromium: str, profile: Path, page: Path, *arguments: str) -> str:
    """Open *page* and return what Chromium prints (the DOM after loading, with --dump-dom)."""
    command = [chromium, *FLAGS, f"--user-data-dir={profile}", *arguments, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout


def pixels(path: Path) -> np.ndarray:
    """An 8-bit RGB or RGBA PNG as (height, width, 3); the five filters of the PNG specification, section 9."""
    data, at, packed = path.read_bytes(), 8, b""
    width = height = channels = 0
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            assert depth == 8
            channels = {2: 3, 6: 4}[colour]
        elif kind == b"IDAT":
            packed += body
        at += size + 12
    raw, stride = zlib.decompress(packed), width * channels
    before = bytearray(stride)
    rows = []
    for number in range(height):
        start = number * (stride + 1)
        row = bytearray(raw[start + 1 : start + 1 + stride])
        unfilter(raw[start], row, before, channels)
        rows.append(bytes(row))
        before = row
    return np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(height, width, channels)[:, :, :3]


def unfilter(kind: int, row: bytearray, before: bytearray, step: int) -> None:
    """Undo one row's filter in place."""
    for i in range(len(row)) if kind else ():
        left, up = (row[i - step] if i >= step else 0), before[i]
        corner = before[i - step] if i >= step else 0
        if kind == 4:
            guess = left + up - corner
            near = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
        else:
            near = {1: left, 2: up, 3: (left + up) // 2}[kind]
        row[i] = (row[i] + near) & 0xFF


def close_to(picture: np.ndarray, colour: str) -> int:
    """How many pixels have about the CSS *colour*."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return int((np.abs(picture.astype(int) - wanted).max(axis=2) <= 6).sum())


def test_hostile_strings_do_not_run(chromium: str, tmp_path: Path) -> None:
    """Every text of the run tries to change the document's title; after loading it is still ours."""
    page = write_reports(storyboard.hostile(tmp_path / "run"))[0]

    dom = browse(chromium, tmp_path / "profile", page, "--dump-dom")

    title = dom.split("<title>", 1)[1].split("</title>", 1)[0]
    assert title.startswith("Refuted: &lt;script&gt;")
    assert "<script" not in dom
    assert "<img" not in dom
    assert ' src="' not in dom
    assert ' href="' not in dom


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A server on loopback and the list of paths that it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    thread.join(timeout=5)
    server.server_close()


@pytest.mark.parametrize("with_policy", [True, False])
def test_the_policy_stops_what_escaping_would_have_missed(
    with_policy: bool, chromium: str, listener: tuple[str, list[str]], tmp_path: Path
) -> None:
    """An attack put into the page unescaped neither runs nor reaches a server; without the policy it does both."""
    address, asked = listener
    html = write_reports(storyboard.held(tmp_path / "run"))[0].read_text()
    attack = f"<script>document.title='owned'</script><img src='{address}/img'><style>@import '{address}/css';</style>"
    html = html.replace("<main>", f"<main>{attack}")
    if not with_policy:
        html = html.replace("Content-Security-Policy", "x-none")
    page = tmp_path / "attacked.html"
    page.write_text(html)

    dom = browse(chromium, tmp_path / "profile", page, "--dump-dom")

    assert ("<title>owned</title>" in dom) == (not with_policy)
    assert sorted(set(asked)) == ([] if with_policy else ["/css", "/img"])


@pytest.mark.parametrize(
    ("scheme", "width", "paper", "tone"),
    [(1, 1000, "#fdfdfb", "#c0272d"), (0, 1000, "#14171a", "#ff7b72"), (1, 500, "#fdfdfb", "#c0272d")],
    ids=["light", "dark", "narrow"],
)
def test_there_is_something_to_look_at(
    scheme: int, width: int, paper: str, tone: str, chromium: str, tmp_path: Path
) -> None:
    """The picture has the paper of its colour scheme, the verdict in its colour, and ink."""
    page = write_reports(storyboard.refuted(tmp_path / "run"))[0]
    shot = tmp_path / "shot.png"
    arguments = (
        f"--screenshot={shot}",
        f"--window-size={width},600",
        f"--blink-settings=preferredColorScheme={scheme}",
    )
    browse(chromium, tmp_path / "profile", page, *arguments)

    picture = pixels(shot)

    assert picture.shape == (600, width, 3)
    assert close_to(picture, paper) > 0.3 * 600 * width
    assert close_to(picture, tone) > 1000
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100
