"""Shop processes that need no time to start: forked from one that has imported everything already.

``python -m stormproof.lab.forge``, a child of the supervisor. An import of the shop costs more than half a second of
processor time, as much again its AWS client, and an instance that is started again waits for both, on a machine that is
busy serving what is left. A line of JSON in, ``{"arguments": […], "log": "…"}``; a line out, ``{"pid": N}``, or
``{"ready": true}`` once at the beginning. The new process is forked twice, so that it becomes the supervisor's own
child (`kinship.adopt_orphans`), dies with it, and has the command line that it would have had otherwise: that is how
faults find it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stormproof.kinship import die_with_parent
from stormproof.lab.processes import Adopted
from stormproof.run.answers import Answers

SHOP = "stormproof.lab.shop"
ANSWER_WITHIN_S = 2.0  # a fork takes milliseconds; later than this the supervisor starts the shop itself
ADOPTED_WITHIN_S = 5.0
ROOM = "-" * 1000  # an argument that means nothing: its place in memory is where a shop's own command line goes


@dataclass(slots=True)
class Forge:
    """The supervisor's end of it."""

    process: subprocess.Popen[bytes]
    ready: bool = False
    _answers: Answers | None = None

    @classmethod
    def command(cls) -> list[str]:
        """What starts it; its stdin and stdout must be pipes to the supervisor."""
        return [sys.executable, "-m", "stormproof.lab.forge", ROOM]

    def is_ready(self) -> bool:
        """Whether it has imported everything by now."""
        if not self.ready:
            self.ready = bool((self._answer(within_s=0) or {}).get("ready"))
        return self.ready

    def shop(self, arguments: Sequence[str], log: Path) -> Adopted | None:
        """A shop process with *arguments*, its output in *log*; None when none can be had here."""
        if not self.is_ready():
            return None
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"arguments": list(arguments), "log": str(log)}).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:  # it has died, which the supervisor will see
            return None
        answer = self._answer(within_s=ANSWER_WITHIN_S)
        return Adopted(pid=int(answer["pid"])) if answer else None

    def _answer(self, *, within_s: float) -> dict[str, Any] | None:
        if self._answers is None:
            assert self.process.stdout is not None
            self._answers = Answers(self.process.stdout)
        return self._answers.next(within_s=within_s)


def main() -> None:
    """Import, say so, and fork until the supervisor is gone."""
    from stormproof.lab import shop

    supervisor = os.getppid()
    _warm_up()
    gc.freeze()  # what is there now is shared by all of them, and stays shared when it is not looked through
    _say({"ready": True})
    for line in sys.stdin:
        order = json.loads(line)
        become = functools.partial(_become, shop.main, order["arguments"], Path(order["log"]), supervisor)
        _say({"pid": _fork_twice(become)})


def _warm_up() -> None:
    """Let botocore read its descriptions of DynamoDB: its session, which every shop inherits, remembers them."""
    from stormproof.lab.cart import cart_client
    from stormproof.lab.variants import VARIANTS

    cart_client(url="http://127.0.0.1:9", instance_id="none", policy=next(iter(VARIANTS.values())).cart)


def _say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def _fork_twice(program: Callable[[], None]) -> int:
    """Run *program* in a process whose parent has ended; its number."""
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        try:
            shop = os.fork()
            if shop == 0:
                program()
            os.write(writing, str(shop).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(between, 0)  # from here on the shop is the supervisor's child
    number = os.read(reading, 32)
    os.close(reading)
    return int(number)  # nothing, when a fork was refused: then we end, and the supervisor starts shops itself


def _become(serve: Callable[[Sequence[str]], None], arguments: list[str], log: Path, supervisor: int) -> None:
    """Be that shop, from here to the end of the process."""
    code = 1
    try:
        sink = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        _show_command_line([sys.executable, "-m", SHOP, *arguments])
        give_up_at = time.monotonic() + ADOPTED_WITHIN_S
        while os.getppid() != supervisor and time.monotonic() < give_up_at:
            time.sleep(0.001)
        die_with_parent(supervisor)
        serve(arguments)
        code = 0
    except BaseException:  # noqa: BLE001 - this is the outermost frame of a process, which nothing may leave
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(code)


def _show_command_line(words: Sequence[str]) -> None:
    """Write *words* where ``/proc/self/cmdline`` is read from (arg_start, arg_end in proc(5)), as far as they fit."""
    fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    text = b"\0".join(word.encode() for word in words) + b"\0"
    ctypes.memmove(start, text[: end - start - 1].ljust(end - start, b"\0"), end - start)


if __name__ == "__main__":
    main()
