"""Cases that are played in turn: nobody's choice, none left out for good, and all of them when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from support import rota

CASES = [f"tests/e2e/test_catalogue.py::test_it[{number}]" for number in range(60)]
WHO = ("player", "load", "watchdog")
SHARE = 1 / 3


def _marked(case: str, **mark: str) -> Any:
    who = WHO[0] if case == CASES[0] else WHO[1] if case in CASES[:20] else WHO[2]  # of one kind there is one case
    return SimpleNamespace(
        nodeid=case,
        get_closest_marker=lambda _: SimpleNamespace(args=(SHARE,), kwargs=mark),
        callspec=SimpleNamespace(params={"who": who}),
    )


def _play(
    seed: str | None, *, every: bool = False, keyword: str = "", arguments: Sequence[str] = (), **mark: str
) -> list[str]:
    marked = [_marked(case, **mark) for case in CASES]
    unmarked = [SimpleNamespace(nodeid="tests/a.py::test_other", get_closest_marker=lambda _: None)]
    items: list[Any] = [*marked, *unmarked]
    told: list[int] = []
    config = SimpleNamespace(
        option=SimpleNamespace(every_case=every, keyword=keyword, rota_seed=seed),
        args=list(arguments),
        rootpath=".",
        stash=pytest.Stash(),
        hook=SimpleNamespace(pytest_deselected=lambda items: told.append(len(items))),
    )
    rota.draw(cast("pytest.Config", config), items)
    assert len(items) + sum(told) == len(CASES) + 1
    said = rota.line(cast("pytest.Config", config))
    assert (said is not None) == bool(told), "what is left out is said, and nothing else is"
    return [item.nodeid for item in items]


def test_its_share_is_played_and_the_same_for_the_same_commit() -> None:
    """Of 60 cases 20, whatever the commit, in their order; every other test stays."""
    played = _play("4d994d9876ea")

    assert played == _play("4d994d9876ea") != _play("4d994d9876eb")
    assert played[-1] == "tests/a.py::test_other"
    assert played[:-1] == [case for case in CASES if case in played]
    assert {len(_play(f"commit {commit}")) - 1 for commit in range(30)} == {20}


def test_of_each_kind_one_case_is_played_at_least() -> None:
    """Kinds by a parameter: of one case that one, of 19 seven, of 40 fourteen."""
    for commit in range(30):
        played = _play(f"commit {commit}", by="who")

        assert CASES[0] in played
        assert [sum(case in played for case in cases) for cases in (CASES[1:20], CASES[20:])] == [7, 14]


def test_no_case_is_left_out_for_good() -> None:
    """After 30 commits each case was played, which a case misses by chance once in 190,000."""
    seen = {case for commit in range(30) for case in _play(f"commit {commit}")}

    assert seen >= set(CASES)


def test_who_names_tests_gets_all_of_those() -> None:
    """A node id, a keyword or --every-case: nothing is drawn."""
    for played in (_play("s", every=True), _play("s", keyword="it"), _play("s", arguments=[f"{CASES[0]}"])):
        assert len(played) == len(CASES) + 1
