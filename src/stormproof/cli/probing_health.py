"""`stormproof probe health`: a look at a live health endpoint, with the eyes of a balancer."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Annotated, Any

import typer

from stormproof.cli.printing import console, print_json
from stormproof.errors import InputError, UnavailableError, UsageError

GRACE_S = 10.0  # beyond what the looks may take


def health(
    url: Annotated[str, typer.Option(help="The endpoint, http or https; only its host is called.")],
    interval: Annotated[str, typer.Option(help="From one look to the next.")] = "1s",
    count: Annotated[int, typer.Option(help="How many looks, 1 to 10,000.", min=1, max=10_000)] = 10,
    timeout: Annotated[str, typer.Option(help="A look without an answer by then has failed.")] = "1s",
    unhealthy: Annotated[int, typer.Option(help="Failures in a row that eject.", min=1, max=100)] = 3,
    healthy: Annotated[int, typer.Option(help="Successes in a row that take back.", min=1, max=100)] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int:
    """Ask a health endpoint some times: does it answer, how fast, and what would a balancer have said?"""
    interval_s, timeout_s = _seconds("--interval", interval), _seconds("--timeout", timeout)
    command = [
        *(sys.executable, "-m", "stormprobes.health_endpoint", "--url", url),
        *("--interval-s", repr(interval_s), "--count", str(count), "--timeout-s", repr(timeout_s)),
        *("--unhealthy", str(unhealthy), "--healthy", str(healthy)),
    ]
    # A child, because stormproof never imports stormprobes (docs/adr/0001).
    limit_s = count * (interval_s + timeout_s) + GRACE_S
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{url}: the looks took longer than {limit_s:.0f} s") from error
    if done.returncode != 0:
        words = done.stderr.strip().splitlines()
        raise UsageError(words[-1] if words else f"the probe ended with code {done.returncode}")
    document = json.loads(done.stdout)
    if as_json:
        print_json(document)
    else:
        _print(document["value"])
    return 0


def _seconds(option: str, text: str) -> float:
    from stormproof.spec.quantity import parse_duration

    try:
        seconds = parse_duration(text)
    except InputError as error:
        raise UsageError(f"{option} {text}: expected {error.expected}", hint=error.hint) from error
    if seconds <= 0:
        raise UsageError(f"{option} {text}: expected a duration above 0")
    return seconds


def _print(value: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    latency, balancer = value["latency_ms"], value["balancer"]
    answers = ", ".join(f"{count} × {status}" for status, count in value["answers"].items())
    times = "–" if latency["p50"] is None else f"{latency['p50']:.1f} ms, slowest {latency['max']:.1f} ms"
    rows = [
        ("looks", f"{value['looks']} in {value['watched_s']:.1f} s"),
        ("healthy answers", f"{value['ok']} ({value['ok_share']:.1%})"),
        ("answers", answers),
        ("latency, median", times),
        ("changes, look to look", str(value["flips"])),
        ("a balancer would have said", f"{balancer['state']} at the end, healthy {balancer['healthy_share']:.1%}"),
        ("… and changed its mind", f"{len(balancer['changes'])} time(s)"),
    ]
    rows += [
        ("", f"{'healthy' if change['healthy'] else 'unhealthy'} after {change['after_s']:.2f} s")
        for change in balancer["changes"][:20]
    ]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for _ in range(2):
        table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(Text(name, style="dim"), Text(text))
    console().print(Text(value["url"]))
    console().print(table)
