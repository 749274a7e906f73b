"""The command line as its users call it: a process, its exit code, its two streams."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stormproof.cli.entry import call

ROOT = Path(__file__).parents[2]
STORMPROOF = Path(sys.executable).with_name("stormproof")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.out)


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Ours, with *extra*; nothing of the caller's lab or runs leaks in."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("STORMPROOF_", "AWS_"))}
    return {**own, **extra}


def stormproof(*arguments: str | Path, timeout_s: float = 120, cwd: Path = ROOT, **extra: str) -> Done:
    """Run `stormproof` with *arguments*; *extra* are environment variables."""
    done = subprocess.run(
        [str(STORMPROOF), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        cwd=cwd,
        env=environment(extra),
        check=False,
    )
    return Done(code=done.returncode, out=done.stdout, err=done.stderr)


def stormproof_here(*arguments: str | Path, **extra: str) -> Done:
    """The same without a process of its own, which takes a second or two to import what we have imported.

    For what only looks, or is refused: nothing of it may outlive the call, nor need the entry's signal handlers.
    """
    own = environment(extra)
    before, stdout, stderr = dict(os.environ), io.StringIO(), io.StringIO()
    try:
        os.environ.clear()
        os.environ.update(own)
        with contextlib.chdir(ROOT), contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            code = call([*map(str, arguments)])
    finally:
        os.environ.clear()
        os.environ.update(before)
    return Done(code=code, out=stdout.getvalue(), err=stderr.getvalue())


@contextmanager
def started(
    *arguments: str | Path, cwd: Path = ROOT, command: Sequence[str] = (str(STORMPROOF),), **extra: str
) -> Iterator[subprocess.Popen[str]]:
    """`stormproof` going on in the background, in a process group of its own; killed if it is still there after."""
    process = subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=environment(extra),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


def wait_for(what: str, ask: Callable[[], Any], *, within_s: float, every_s: float = 0.05) -> Any:
    """The first answer of *ask* that is true; fails after *within_s* seconds."""
    deadline = time.monotonic() + within_s
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {within_s:g} s for {what}"
        time.sleep(every_s)


def variables(lab: Path, state: Path) -> dict[str, str]:
    """The environment variables under which the lab in *lab* is the one that is up, with locks under *state*."""
    return {"STORMPROOF_LAB_DIR": str(lab), "STORMPROOF_STATE_DIR": str(state / "state")}
