"""What a run asked of AWS and changed in its side-car: a line of `calls.jsonl` each, from every process that acts.

Names, answers and request ids, which CloudTrail has as well; never arguments or credentials.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stormproof.record.atomic import append_line

FILE_NAME = "calls.jsonl"
ENVOY = "envoy"  # the side-car: what is set in it, and each file of its that is replaced
READS = ("Describe", "Get", "List", "AssumeRole")  # to become who the plan says is no change to anything


def path_of(configuration: Mapping[str, Any]) -> str:
    """Where the calls of *configuration* are written down; "" where there is no run, or only a lab."""
    ledger = configuration.get("ledger_path")
    if not isinstance(ledger, str) or not configuration.get("aws_partition"):
        return ""
    return str(Path(ledger).with_name(FILE_NAME))


def changes(name: str) -> bool:
    """Whether the operation *name* is not one that only reads."""
    return not name.startswith(READS)


def write_down(path: str, *, service: str, operation: str, **fields: Any) -> None:
    """A line for one call that was answered; nothing where *path* is "". A full disk stops no call."""
    if not path:
        return
    row = {"at": time.time(), "pid": os.getpid(), "service": service, "operation": operation}
    with contextlib.suppress(OSError):
        append_line(Path(path), {**row, **(fields or {"status": 200, "error": None})})


def log_calls(client: Any, path: str) -> None:
    """Write down each answer that *client* gets, and each call that got none. A full disk stops no call."""
    if not path:
        return

    def answered(model: Any, http_response: Any, parsed: Mapping[str, Any], **_: Any) -> None:
        told = parsed.get("ResponseMetadata", {})
        write(model, status=int(http_response.status_code), error=parsed.get("Error", {}).get("Code"),
              request_id=told.get("RequestId"), attempts=1 + int(told.get("RetryAttempts") or 0))  # fmt: skip

    def failed(exception: Exception, **context: Any) -> None:
        operation = context.get("context", {}).get("client_operation") or context.get("event_name", "")
        row(str(operation).rpartition(".")[2], status=None, error=type(exception).__name__)

    def write(model: Any, **fields: Any) -> None:
        row(str(model.name), **fields)

    def row(operation: str, **fields: Any) -> None:
        service = client.meta.service_model.service_name
        write_down(path, service=service, operation=operation, **fields)

    client.meta.events.register("after-call", answered)
    client.meta.events.register("after-call-error", failed)
