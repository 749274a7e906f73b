"""Tests that are played in turn: of many cases of one kind each commit plays some, and `--every-case` all of them.

Two cores and twenty minutes do not suffice for every fault, killed at every moment, at every commit. Which cases are
played is drawn by the commit and not by anybody's choice, so a defect in any of them shows within a few commits. How
many is not left to chance: of each kind at least one is played. A kind is a test function, or with `by=` the cases of
it that have the same value of that parameter. Who names tests (`-k`, a node id) gets all of those.
"""

from __future__ import annotations

import functools
import math
import subprocess
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

LEFT_OUT = pytest.StashKey[int]()


def add_option(parser: pytest.Parser) -> None:
    """`--every-case`, and `--rota-seed` to play the cases of another commit again."""
    group = parser.getgroup("rota", "tests that are played in turn")
    group.addoption("--every-case", action="store_true", help="play every case of the tests marked `rota`")
    group.addoption("--rota-seed", help="draw the cases by this word instead of by the commit")


def draw(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out of *items* the cases of `@pytest.mark.rota(share)` whose turn it is not; *share* is in (0, 1]."""
    kinds: dict[tuple[float, str, str], list[str]] = {}
    for item in items:
        if (mark := item.get_closest_marker("rota")) is not None:
            kinds.setdefault(_kind(item, mark), []).append(item.nodeid)
    seed = _seed(config)
    if seed is None or not kinds:
        return
    in_turn = {case for (share, *_), cases in kinds.items() for case in _drawn(seed, cases, share)}
    left_out = [item for item in items if item.get_closest_marker("rota") and item.nodeid not in in_turn]
    if left_out:
        config.stash[LEFT_OUT] = len(left_out)
        config.hook.pytest_deselected(items=left_out)
        gone = set(map(id, left_out))
        items[:] = [item for item in items if id(item) not in gone]


def header(config: pytest.Config) -> str | None:
    """By what the cases are drawn; None where all are played. In the header, as xdist's workers have no summary."""
    seed = _seed(config)
    return None if seed is None else f"rota: cases drawn by {seed}; --every-case plays them all"


def line(config: pytest.Config) -> str | None:
    """What the summary says of the cases that were left out; None where none was."""
    count = config.stash.get(LEFT_OUT, 0)
    return f"{count} cases were not in turn (drawn by {_seed(config)})" if count else None


def _seed(config: pytest.Config) -> str | None:
    named = any(argument.partition(".py")[2] for argument in config.args)  # a node id, and no mere file
    if config.option.every_case or config.option.keyword or named:
        return None
    return config.option.rota_seed or _commit(config.rootpath)


def _kind(item: pytest.Item, mark: pytest.Mark) -> tuple[float, str, str]:
    """The share of it that is played; the function, and the value of the parameter that tells kinds apart."""
    by = mark.kwargs.get("by")
    value = repr(item.callspec.params[by]) if by else ""  # type: ignore[attr-defined] - what is parametrized has one
    return float(mark.args[0]), item.nodeid.partition("[")[0], value


def _drawn(seed: str, cases: Sequence[str], share: float) -> list[str]:
    """Of *cases* the first by a checksum that nobody foresees: *share* of them, rounded up."""
    ordered = sorted(cases, key=lambda case: zlib.crc32(f"{seed} {case}".encode()))
    return ordered[: math.ceil(share * len(ordered))]


@functools.cache
def _commit(root: Path) -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "no commit"
