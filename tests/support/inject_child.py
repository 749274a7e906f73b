"""A process that injects one fault and then hangs, to be killed: ``python inject_child.py KIND JSON [FILE_BYTES_MAX]``.

The JSON holds the keyword arguments of the fault's `inject`. It prints one line: what became of the inject, as JSON.
With FILE_BYTES_MAX no file of this process may grow beyond that, as on a disk that fills up.
"""

from __future__ import annotations

import json
import resource
import signal
import sys

from stormproof.errors import StormproofError
from stormproof.faults import catalogue


def _say(document: object) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Inject, say what became of it, wait for the end."""
    kind, arguments, *limit = sys.argv[1:]
    module = catalogue.module(kind)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit[0]), int(limit[0])))
    try:
        found = module.inject(**json.loads(arguments))
    except StormproofError as error:
        _say({"error": f"{type(error).__name__}: {error}"})
        return 1
    _say(found)
    signal.pause()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
