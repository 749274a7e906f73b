"""What is built is what is here: both packages, their data, the versions that they claim."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

import stormproof
from repo.files import ROOT, repository_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = {"src/stormproof": "stormproof", "probes/stormprobes": "stormprobes"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from this checkout with the locked build backend."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_holds_every_file_of_both_packages(wheel: zipfile.ZipFile) -> None:
    """Code, templates, data and py.typed markers: nothing is left behind in the checkout."""
    expected = {
        f"{package}/{path.relative_to(root)}"
        for root, package in PACKAGES.items()
        for path in repository_files()
        if path.is_relative_to(root)
    }

    assert {"stormproof/py.typed", "stormprobes/py.typed"} <= expected
    assert expected <= set(wheel.namelist())


def test_the_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    """No tests, no runs, no third package: only the two, and the metadata."""
    assert {"stormproof", "stormprobes", f"stormproof-{stormproof.__version__}.dist-info"} == {
        name.split("/")[0] for name in wheel.namelist()
    }


def test_the_wheel_carries_the_licence(wheel: zipfile.ZipFile) -> None:
    """The licence that is declared is the text that is shipped."""
    (licence,) = [name for name in wheel.namelist() if name.endswith("LICENSE")]

    assert "Apache-2.0" == PROJECT["license"]
    assert (ROOT / "LICENSE").read_text() == wheel.read(licence).decode()
    assert "Version 2.0, January 2004" in wheel.read(licence).decode()


def test_classifiers_are_the_versions_that_are_allowed() -> None:
    """The oldest Python in the classifiers is the oldest that is allowed, and every one listed is allowed."""
    listed = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    allowed = SpecifierSet(PROJECT["requires-python"])

    assert listed
    assert all(allowed.contains(version) for version in listed)
    assert not allowed.contains(f"3.{min(int(version.split('.')[1]) for version in listed) - 1}")


def test_the_tools_check_the_oldest_python() -> None:
    """ruff and mypy read the code as the oldest supported Python would, and the lock starts there."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    oldest = PROJECT["requires-python"].removeprefix(">=")

    assert "py" + oldest.replace(".", "") == tools["ruff"]["target-version"]
    assert oldest == tools["mypy"]["python_version"]
    assert f"--python-version {oldest}" in (ROOT / "scripts" / "lock").read_text()


def test_there_is_one_version() -> None:
    """The package, its metadata and the changelog agree."""
    assert PROJECT["version"] == stormproof.__version__ == importlib.metadata.version("stormproof")
    assert re.search(r"^## \[Unreleased\]$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_the_public_surface_is_deliberate() -> None:
    """What `stormproof` exports is exactly what it lists, sorted."""
    listed = stormproof.__all__
    here = {
        name
        for name, thing in vars(stormproof).items()
        if not name.startswith("_") and getattr(thing, "__module__", "") == "stormproof"
    }

    assert sorted(listed) == listed
    assert here | {"__version__"} == set(listed)


def test_the_entry_point_is_there(tmp_path: Path) -> None:
    """`stormproof --version` works from any folder and prints the version."""
    script = Path(sys.executable).with_name("stormproof")
    shown = subprocess.run([script, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert stormproof.__version__ in shown.stdout
