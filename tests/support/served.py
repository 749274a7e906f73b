"""A process that says that it serves an instance, as the lab's shops do, for tests that need no lab."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import psutil

SHOP = "stormproof.lab.shop"
_CODE = "import time; print(flush=True); time.sleep(60)"


@contextlib.contextmanager
def serving(instance: str) -> Iterator[psutil.Process]:
    """It is up and does nothing; it is gone at the end whatever was done to it."""
    words = [sys.executable, "-c", _CODE, SHOP, "--instance", instance]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"\n"
            yield psutil.Process(child.pid)
        finally:
            child.kill()
