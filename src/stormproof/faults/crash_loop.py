"""Kills processes, and whatever is started in their place, as long as it lasts: a crash loop.

``python -m stormproof.faults.crash_loop LEASE --parent PID STARTED --instance-of INSTANCE …``, started by
`companion`. A successor is a child of the same parent that says it serves the same instance; nothing else is touched.
Ends when its lease is over, when it is told to, or when the parent is gone. It leaves nothing behind: whoever started
the processes again goes on doing so.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from stormproof.faults import companion, processes

MODULE = "stormproof.faults.crash_loop"
EVERY_S = 0.05  # a new process needs several times as long before it can serve anybody


def begin(found: Sequence[psutil.Process], instance_ids: Sequence[str], *, lease_s: float) -> None:
    """Start a companion that does this to the instances, whose processes are *found*."""
    (parent,) = {process.ppid() for process in found}
    record = processes.to_record(psutil.Process(parent))
    words = ["--parent", str(record["pid"]), repr(record["started_s"])]
    instances = [word for name in instance_ids for word in ("--instance-of", name)]
    companion.start(MODULE, [*words, *instances], lease_s=lease_s)


def kill(parent: psutil.Process, instance_ids: Sequence[str]) -> int:
    """SIGKILL to the children of *parent* that serve one of the instances; how many there were."""
    count = 0
    for process in _children(parent):
        # Between two questions a process may end, and its number be used again: psutil refuses to kill a stranger.
        with contextlib.suppress(psutil.Error):
            if processes.serves(process.cmdline(), instance_ids):
                process.kill()
                count += 1
    return count


def play(parent: psutil.Process, instance_ids: Sequence[str], *, lease: companion.Lease) -> None:
    """Kill until the lease is over, until told to end, or until the parent is gone."""
    while not lease.over(time.monotonic()) and processes.is_alive(parent):
        kill(parent, instance_ids)
        if companion.told_to_end(EVERY_S):
            return


def _children(parent: psutil.Process) -> Iterator[psutil.Process]:
    """Of its main thread, as Linux lists them; psutil, where it does not, reads every process there is."""
    listed = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    try:
        numbers = [int(word) for word in listed.read_text(encoding="utf-8").split()]
    except OSError:
        with contextlib.suppress(psutil.NoSuchProcess):
            yield from parent.children()
        return
    for number in numbers:
        with contextlib.suppress(psutil.NoSuchProcess):
            yield psutil.Process(number)


def main(arguments: Sequence[str] | None = None) -> None:
    """Kill as the command line says."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    companion.add_lease(parser)
    parser.add_argument("--parent", nargs=2, required=True, metavar=("PID", "STARTED"))
    parser.add_argument("--instance-of", action="append", required=True, metavar="INSTANCE")
    options = parser.parse_args(arguments)
    pid, started = options.parent
    parent = processes.again({"pid": int(pid), "started_s": float(started)})
    if parent is None or not companion.begin():
        return
    lease = companion.lease_of(options)
    kill(parent, options.instance_of)
    companion.say_begun()
    play(parent, options.instance_of, lease=lease)


if __name__ == "__main__":
    main()
