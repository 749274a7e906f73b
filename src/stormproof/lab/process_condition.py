"""What is done to the lab's processes: paused, held back, killed again and again, kept from memory."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator

import psutil

from stormproof.faults import companion, crash_loop, duty_cycle
from stormproof.faults.memory_pressure import is_ours
from stormproof.lab.state import LabRecord

_DOING = {duty_cycle.MODULE: "holds back", crash_loop.MODULE: "kills again and again"}


def process_faults(record: LabRecord, cut_off: Collection[str] = ()) -> Iterator[dict[str, str]]:
    """Each as kind and what, in words; that a network cut holds the processes of *cut_off* is not another one."""
    for name, identity in record.processes.items():
        process = identity.find()
        with contextlib.suppress(psutil.Error):
            if process is None:
                continue
            if process.status() == psutil.STATUS_STOPPED and name not in cut_off:  # alive, and does nothing
                yield {"kind": "process", "what": f"the process of {name} is paused"}
            if hasattr(psutil, "RLIMIT_AS") and is_ours(soft := process.rlimit(psutil.RLIMIT_AS)[0]):
                yield {"kind": "memory", "what": f"the process of {name} may have {soft >> 20} MiB at most"}
    instances = [instance.id for instance in record.topology.instances] if record.topology else []
    for module, does in _DOING.items():
        for process in companion.find(module, instances):
            with contextlib.suppress(psutil.Error):
                its = [word for word in process.cmdline() if word in instances]
                yield {"kind": "process", "what": f"process {process.pid} {does} {', '.join(its)}"}
