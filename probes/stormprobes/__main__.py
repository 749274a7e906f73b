"""Samples probes at an interval until told to stop: ``python -m stormprobes CONFIG.json``.

The configuration names, for each probe, a function of this package, its arguments and its interval; each reading is
one line ``{"probe", "wall_s", "mono_s", "reading"}`` of the output file, each failure one with ``"error"``. The
sampler ends when its standard input closes or on SIGTERM.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any


def sample(probe: dict[str, Any], out: Path, stop: threading.Event) -> None:
    """Take readings of one probe at its interval until *stop*; a reading that fails is recorded as such."""
    module, function = str(probe["func"]).split(":")
    if module.split(".")[0] != __package__:
        raise SystemExit(f"{probe['func']}: only probes of {__package__} can be sampled")
    read = getattr(importlib.import_module(module), function)
    interval_s = float(probe["interval_s"])
    due = time.monotonic()
    while not stop.is_set():
        row: dict[str, Any] = {"probe": probe["name"], "wall_s": time.time(), "mono_s": time.monotonic()}
        try:
            row["reading"] = read(**probe["arguments"])
        except (OSError, ValueError, KeyError) as error:
            row["error"] = f"{type(error).__name__}: {error}"
        append(out, row)
        due = max(due + interval_s, time.monotonic())  # a slow probe skips beats, it does not pile them up
        stop.wait(max(0.0, due - time.monotonic()))


def append(out: Path, row: dict[str, Any]) -> None:
    """One line in one write, so that probes can share the file."""
    descriptor = os.open(out, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, json.dumps(row, separators=(",", ":")).encode() + b"\n")
    finally:
        os.close(descriptor)


def main() -> int:
    """Run the sampler; the exit code is 0 when it was told to stop."""
    config = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the conductor decides when probes stop
    out = Path(config["out"])
    threads = [
        threading.Thread(target=sample, args=(probe, out, stop), name=probe["name"], daemon=True)
        for probe in config["probes"]
    ]
    for thread in threads:
        thread.start()

    def stop_when_stdin_closes() -> None:
        while os.read(0, 4096):  # not sys.stdin: its lock would be held at exit
            pass
        stop.set()

    threading.Thread(target=stop_when_stdin_closes, daemon=True).start()
    while not stop.wait(0.5):
        if not any(thread.is_alive() for thread in threads):
            return 1
    for thread in threads:
        thread.join(timeout=3)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
