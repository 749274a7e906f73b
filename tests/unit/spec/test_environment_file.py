"""An environment file says how to bring the lab up; what it allows; kinds that there are not are refused."""

from pathlib import Path

import pytest

from stormproof.errors import SpecError, UsageError
from stormproof.spec.environment_file import load_environment


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two environments."""
    (tmp_path / "local.yaml").write_text("name: local\nkind: lab\nlab: {variant: naive}\n")
    (tmp_path / "staging.yaml").write_text("name: staging\nkind: azure\naccount: '1'\n")
    return tmp_path


def test_the_lab_is_read_with_its_variant(folder: Path) -> None:
    """From the file, or from `--set lab.variant`."""
    assert load_environment(folder, "local").variant == "naive"
    assert load_environment(folder, "local", lab_overrides={"variant": "hardened"}).variant == "hardened"


@pytest.mark.parametrize(
    ("name", "says"),
    [("staging", "there are `lab` and `aws`"), ("locla", "did you mean `local`"), ("../local", "no environment")],
)
def test_other_environments_are_usage_errors(folder: Path, name: str, says: str) -> None:
    """There are two kinds; names are not paths."""
    with pytest.raises(UsageError, match=says):
        load_environment(folder, name)


@pytest.mark.parametrize("overrides", [{"variant": "perfect"}, {"varant": "naive"}])
def test_a_wrong_lab_setting_is_an_error(folder: Path, overrides: dict[str, str]) -> None:
    """The variant is one of two, and there is nothing else to set."""
    with pytest.raises(SpecError, match="--set lab"):
        load_environment(folder, "local", lab_overrides=overrides)
