"""The commands that people type: make, the scripts, and the first experiment of the README."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from repo.files import ROOT, python_files, repository_files
from stormproof.spec.loader import load_experiment

PROMISED = {"setup", "demo", "test", "check", "nightly", "controls", "bench", "lock", "clean", "help"}
SCRIPTS = [Path(".ci/run"), *(p for p in repository_files() if p.parts[0] == "scripts" and not p.suffix)]


def test_make_lists_every_target() -> None:
    """`make` alone lists each target that the README promises, with what it does."""
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = dict(re.findall(r"^  make (\S+) +(\S.*)$", shown, re.MULTILINE))

    assert set() == PROMISED - set(listed)


def test_the_demo_runs_the_command_of_the_readme() -> None:
    """`make demo` is the shipped experiment on the lab, and its exit code is the verdict's."""
    recipe = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "--always-make", "demo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert ".venv/bin/stormproof run experiments/az-loss --env local" == recipe.splitlines()[-1]
    assert "--require-hashes --requirement requirements/run.txt" in recipe


def test_every_benchmark_is_run_by_make_bench() -> None:
    """Each script in bench/ that takes arguments from a person is named in the recipe, and no other."""
    scripts = {path.stem for path in python_files("bench") if "argparse" in (ROOT / path).read_text()}
    recipe = re.search(r"for script in ([a-z_ \t\\\n]+); do", (ROOT / "Makefile").read_text())

    assert recipe
    assert scripts == set(recipe[1].replace("\\", " ").split())


def test_an_old_python_is_refused_in_words(tmp_path: Path) -> None:
    """A Python that is too old ends in one sentence and a hint, before anything is made."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements").mkdir()
    for name in ("requirements/run.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)

    made = subprocess.run(["make", "setup", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert 0 != made.returncode
    assert "needs Python 3.11 or newer" in made.stderr
    assert not (tmp_path / ".venv").exists()


def test_ci_runs_what_a_contributor_runs() -> None:
    """CI has no commands of its own: it calls make check and make test."""
    script = (ROOT / ".ci" / "run").read_text()

    assert "make check" in script
    assert re.search(r"^exec make .*\btest\b", script, re.MULTILINE)


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_a_script_parses_and_stops_at_the_first_failure(script: Path) -> None:
    """Each shell script is executable, is valid bash, and does not go on after a failed command."""
    subprocess.run(["bash", "-n", str(ROOT / script)], check=True)

    assert os.access(ROOT / script, os.X_OK)
    assert "set -euo pipefail" in (ROOT / script).read_text()


def test_the_first_experiment_of_the_readme_is_valid(tmp_path: Path) -> None:
    """What the README tells a newcomer to type is accepted as it stands."""
    (spec,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    folder = tmp_path / "experiments" / "slow-recommendations"
    folder.mkdir(parents=True)
    (folder / "experiment.yaml").write_text(spec)
    shutil.copytree(ROOT / "experiments" / "az-loss", tmp_path / "experiments" / "az-loss")

    experiment = load_experiment(folder)

    assert "slow-recommendations" == experiment.slug
    assert ["dependency-timeout"] == [fault.kind for fault in experiment.faults]
    assert 2 == len(experiment.hypotheses)
