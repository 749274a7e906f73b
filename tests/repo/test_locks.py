"""The locks pin what pyproject.toml asks for, byte for byte, and name no index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from repo import tidy
from repo.files import ROOT

LOCKS = (Path("requirements/run.txt"), Path("requirements/dev.txt"))
GOOD = "a==1.0 ; python_version < '3.12' \\\n    --hash=sha256:00\n"


@pytest.mark.parametrize("lock", LOCKS, ids=str)
def test_every_requirement_is_pinned_with_a_hash_and_no_index(lock: Path) -> None:
    """What pip installs with --require-hashes is what was locked, from whichever index pip is told to use."""
    assert [] == list(tidy.unlocked_requirements(lock, (ROOT / lock).read_text()))


@pytest.mark.parametrize(
    "bad",
    [
        "--index-url https://index.test/simple\n" + GOOD,
        "--extra-index-url=x\n" + GOOD,
        "-f wheels\n" + GOOD,
        "a @ file:///wheels/a.whl\n",
        "a>=1.0 \\\n    --hash=sha256:00\n",
        "a==1.0\n",
    ],
)
def test_a_lock_that_is_none_is_found(bad: str) -> None:
    """An index, an address, a range and a missing hash are each refused; a proper line is not."""
    assert [] != list(tidy.unlocked_requirements(Path("run.txt"), bad))
    assert [] == list(tidy.unlocked_requirements(Path("run.txt"), GOOD))


@pytest.mark.parametrize(("lock", "extras"), [(LOCKS[0], ("lab",)), (LOCKS[1], ("lab", "cluster", "dev"))], ids=str)
def test_the_lock_satisfies_what_is_declared(lock: Path, extras: tuple[str, ...]) -> None:
    """Every declared dependency is in the lock, in its range: nobody forgot `make lock`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = [
        *project["project"]["dependencies"],
        *project["build-system"]["requires"],
        *(line for extra in extras for line in project["project"]["optional-dependencies"][extra]),
    ]
    pinned = pins(lock)

    assert [] == [line for line in declared if not is_satisfied(Requirement(line), pinned)]


def test_a_forgotten_lock_is_found() -> None:
    """A dependency that is not locked, or locked outside its range, is not satisfied."""
    pinned = {"pandas": {Version("2.9")}}

    assert not is_satisfied(Requirement("pandas>=3"), pinned)
    assert not is_satisfied(Requirement("numpy"), pinned)
    assert is_satisfied(Requirement("pandas>=2"), pinned)


def test_the_tests_run_on_the_versions_of_the_demo() -> None:
    """Both locks agree on every package that they share."""
    run, dev = pins(LOCKS[0]), pins(LOCKS[1])

    assert run == {name: dev.get(name) for name in run}


def is_satisfied(requirement: Requirement, pinned: dict[str, set[Version]]) -> bool:
    """Whether every version pinned for it is one that *requirement* allows, and there is one."""
    versions = pinned.get(canonicalize_name(requirement.name), set())
    return bool(versions) and all(requirement.specifier.contains(version) for version in versions)


def pins(lock: Path) -> dict[str, set[Version]]:
    """The versions that *lock* pins, by name; several where they depend on the Python version."""
    found: dict[str, set[Version]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)", (ROOT / lock).read_text(), re.M):
        found.setdefault(canonicalize_name(name), set()).add(Version(version))
    return found
