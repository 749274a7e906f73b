"""Tests that are played in turn: of many cases of one kind each commit plays some, and `--every-case` all of them.

Two cores and twenty minutes do not suffice for every fault, killed at every moment, at every commit. Which cases are
played is drawn by the commit and not by anybody's choice, so a defect in any of them shows within a few commits. Who
names tests (`-k`, a node id) gets all of those.
"""

from __future__ import annotations

import subprocess
import zlib

import pytest

LEFT_OUT = pytest.StashKey[int]()


def add_option(parser: pytest.Parser) -> None:
    """`--every-case`, and `--rota-seed` to play the cases of another commit again."""
    group = parser.getgroup("rota", "tests that are played in turn")
    group.addoption("--every-case", action="store_true", help="play every case of the tests marked `rota`")
    group.addoption("--rota-seed", help="draw the cases by this word instead of by the commit")


def draw(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out of *items* the cases of `@pytest.mark.rota(share)` whose turn it is not; *share* is in (0, 1]."""
    seed = _seed(config)
    if seed is None:
        return
    played: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        mark = item.get_closest_marker("rota")
        (played if mark is None or _turn(seed, item, mark) else left_out).append(item)
    if left_out:
        config.stash[LEFT_OUT] = len(left_out)
        config.hook.pytest_deselected(items=left_out)
        items[:] = played


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
    return config.option.rota_seed or _commit(config)


def _turn(seed: str, item: pytest.Item, mark: pytest.Mark) -> bool:
    share: float = mark.args[0]
    return zlib.crc32(f"{seed} {item.nodeid}".encode()) < share * 2**32


def _commit(config: pytest.Config) -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=config.rootpath, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "no commit"
