"""Rooms import one way, and what is heavy is imported only when it is used."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from repo.files import ROOT, python_files

HEAVY = (
    "pandas",
    "scipy",
    "pyarrow",
    "boto3",
    "botocore",
    "locust",
    "gevent",
    "chaoslib",
    "moto",
    "aiohttp",
    "sqlalchemy",
    "alembic",
)
LIGHT_COMMANDS = (
    ["--help"],
    ["--version"],
    ["run", "--help"],
    ["validate", "experiments/az-loss"],
)

# Runs the command in a fresh interpreter and says which modules it loaded; what the command prints is lost.
PROBE = """
import contextlib, io, json, sys
sys.argv = ["stormproof", *json.loads(sys.argv[1])]
from stormproof.cli.entry import main
code = 0
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    try:
        code = main() or 0
    except SystemExit as end:
        code = end.code or 0
print(json.dumps({"code": code, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


def test_rooms_import_one_way() -> None:
    """The contracts in pyproject.toml are kept by the code as it is."""
    contracts = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == contracts.returncode, contracts.stdout + contracts.stderr
    assert "0 broken" in contracts.stdout


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("analysis", "import stormproof.faults"),
        ("model", "from stormproof import record"),
        ("verdict", "import stormproof.plan"),
        ("report", "import stormproof.run"),
        ("run", "import locust"),
    ],
)
def test_an_import_against_the_direction_is_found(room: str, line: str, tmp_path: Path) -> None:
    """A copy of the packages with one import the wrong way breaks a contract."""
    copied_packages(tmp_path)
    (tmp_path / "src" / "stormproof" / room / "planted.py").write_text(f"{line}\n")

    contracts = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path / 'src'}:{tmp_path / 'probes'}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert 1 == contracts.returncode, contracts.stdout + contracts.stderr
    assert f"stormproof.{room}.planted" in contracts.stdout


def copied_packages(target: Path) -> None:
    """Put the sources and the contracts below *target*."""
    for path in (Path("pyproject.toml"), *python_files("src", "probes")):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_bytes((ROOT / path).read_bytes())


@pytest.mark.parametrize("command", LIGHT_COMMANDS, ids=" ".join)
def test_a_light_command_loads_nothing_heavy(command: list[str]) -> None:
    """Help and validation answer at once: they load no data frames, no AWS client and no load generator."""
    probe = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(command)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(probe.stdout.splitlines()[-1])

    assert 0 == answer["code"]
    assert [] == sorted(set(HEAVY) & set(answer["modules"]))


def test_heavy_names_are_modules() -> None:
    """The list of heavy modules names what is installed: a misspelt name would forbid nothing."""
    assert [] == [name for name in HEAVY if importlib.util.find_spec(name) is None]
