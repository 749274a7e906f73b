"""`stormproof probe retries`: how clients retry, read off a file of arrivals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from stormproof.cli.printing import console, print_json
from stormproof.errors import InputError, StormproofError, UnavailableError, UsageError

TIMEOUT_S = 300.0
FORMATS = ("csv", "parquet", "alb", "envoy", "nginx")
BAD_INPUT = 65
SURE = 0.9


def retries(
    file: Annotated[Path, typer.Argument(help="Arrivals: CSV, Parquet, or an access log.", show_default=False)],
    format_: Annotated[
        str | None, typer.Option("--format", help=f"{', '.join(FORMATS)}; told from the content if not given.")
    ] = None,
    dependency: Annotated[
        str | None, typer.Option("--dependency", help="Which one, where the file has arrivals at several.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int:
    """Tell how clients retry: attempts, back-off, jitter, amplification, synchrony, each with a confidence."""
    if format_ is not None and format_ not in FORMATS:
        raise UsageError(f"--format {format_}: expected one of {', '.join(FORMATS)}")
    reading = _reading(file, format_, dependency)
    if as_json:
        print_json(reading)
    else:
        _print(reading)
    return 0


def _reading(file: Path, format_: str | None, dependency: str | None) -> dict[str, Any]:
    """From a child, because stormproof never imports stormprobes (docs/adr/0001)."""
    command = [sys.executable, "-m", "stormprobes.retry_with_jitter"]
    command += [] if format_ is None else [f"--format={format_}"]
    command += [] if dependency is None else [f"--dependency={dependency}"]
    try:
        done = subprocess.run(  # noqa: S603
            [*command, "--", str(file)], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{file}: the reading took longer than {TIMEOUT_S:.0f} s") from error
    words = done.stderr.strip().splitlines()
    if done.returncode == BAD_INPUT:
        raise _BadArrivalsError(words[-1] if words else f"{file}: no arrivals")
    if done.returncode != 0:
        raise StormproofError(
            f"the probe ended with code {done.returncode}: {words[-1] if words else 'no reason given'}"
        )
    reading: dict[str, Any] = json.loads(done.stdout)
    return reading


class _BadArrivalsError(InputError):
    """The probe's own sentence says where, what was expected and what was found."""

    def __init__(self, sentence: str) -> None:
        super().__init__(where="", what="", expected="")
        self.message = sentence
        self.hint = "docs/guides/retry-with-jitter.md lists the formats and the columns"


def _print(reading: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.print(Text(_sentence(reading), style="bold"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("", "reading", "confidence"):
        table.add_column(column, justify="right" if column == "confidence" else "left", overflow="fold")
    for name, value, key in _rows(reading):
        confidence = reading["confidence"].get(key)
        shown = "" if confidence is None else f"{confidence:.2f}"
        table.add_row(name, Text(value), Text(shown, style="green" if (confidence or 0) >= SURE else "yellow"))
    out.print(table)
    for note in [*_notes(reading), *_others(reading)]:
        out.print(Text(f"  {note}", style="dim"))


def _sentence(reading: dict[str, Any]) -> str:
    counted = f"{reading['n_arrivals']:,} arrivals of {reading['n_ops']:,} calls"
    if reading["detail"]["link"] == "none":
        counted = f"{reading['n_arrivals']:,} arrivals that cannot be put together to calls"
    if not reading["retries"]:
        return f"{counted}: no retry seen"
    least = "at least " if reading["attempts_is_lower_bound"] else "at most "
    return f"{counted}: the client retries, {least}{reading['attempts_max']} attempts a call"


def _rows(reading: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Label, value and the key of its confidence."""
    claims = {True: "yes", False: "no", None: "cannot be told"}
    rows = [("back-off", reading["family"], "family")]
    for name, key, unit in (
        ("base", "base_s", " s"),
        ("multiplier", "multiplier", ""),
        ("increment", "increment_s", " s"),
        ("cap", "cap_s", " s"),
    ):
        if reading[key] is not None:
            rows.append((name, f"{reading[key]:g}{unit}", key))
    rows += [
        ("jitter", _jitter(reading), "jitter"),
        ("attempts", str(reading["attempts_max"]), "attempts_max"),
        ("honours Retry-After", claims[reading["honours_retry_after"]], "honours_retry_after"),
        ("retry budget", claims[reading["budget"]], "budget"),
        ("circuit breaker", claims[reading["breaker"]], "breaker"),
        ("amplification", f"{reading['amplification']:.2f}", "amplification"),
    ]
    if reading["amplification_peak"] is not None:
        rows.append(("  in the busiest second", f"{reading['amplification_peak']:.2f}", "amplification"))
    rows.append(("synchrony", f"{reading['synchrony']:.2f}", "synchrony"))
    return rows


def _jitter(reading: dict[str, Any]) -> str:
    parameter = reading["detail"].get("jitter_param") or {}
    if "minus" in parameter:
        return f"{reading['jitter']} (−{parameter['minus']:.0%} … +{parameter['plus']:.0%})"
    if "width_s" in parameter:
        return f"{reading['jitter']} (up to {parameter['width_s']:g} s)"
    return str(reading["jitter"])


def _notes(reading: dict[str, Any]) -> list[str]:
    detail = reading["detail"]
    notes = list(detail["notes"])
    if reading["attempts_is_lower_bound"] and reading["retries"]:
        notes.append("nothing here shows that it would stop at that number of attempts")
    if detail.get("lead"):
        notes.append(f"the first {detail['lead']} retries come at once")
    if detail.get("deadline_s") is not None:
        notes.append(f"calls end about {detail['deadline_s']:g} s after they began, however many attempts they had")
    notes += [f"left out: {count:,} rows {reason}" for reason, count in detail["dropped"].items()]
    return notes


def _others(reading: dict[str, Any]) -> list[str]:
    rivals = reading["candidates"][1:4]
    return [f"or {one['family']}, jitter {one['jitter']} (weight {one['weight']:.2f})" for one in rivals]
