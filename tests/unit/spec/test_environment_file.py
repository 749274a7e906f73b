"""An environment file says how to bring the lab up; what it allows; kinds that there are not are refused."""

from pathlib import Path

import pytest

from stormproof.errors import SpecError, UsageError
from stormproof.model.load_listener import LoadListener
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


def with_workers(folder: Path, text: str) -> LoadListener | None:
    (folder / "fleet.yaml").write_text(f"name: fleet\nkind: lab\nload_workers: {text}\n")
    return load_environment(folder, "fleet").load_workers


@pytest.mark.parametrize(
    ("listen", "host", "is_loopback"),
    [("'7571'", "127.0.0.1", True), ("10.0.0.5:7571", "10.0.0.5", False), ("'[::1]:7571'", "::1", True)],
)
def test_load_workers_are_awaited_on_loopback_unless_the_file_says_where(
    folder: Path, listen: str, host: str, is_loopback: bool
) -> None:
    """A port alone is one of this machine for this machine; the token's path is relative to the file."""
    found = with_workers(folder, f"{{listen: {listen}, token_file: ../token}}")

    assert found is not None
    assert (found.host, found.port, found.is_loopback) == (host, 7571, is_loopback)
    assert Path(found.token_file).resolve() == folder.parent / "token"
    assert load_environment(folder, "local").load_workers is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{listen: example.org:7571, token_file: t}", "an IP address and a port"),
        ("{listen: 127.0.0.1, token_file: t}", "an IP address and a port"),
        ("{listen: '127.0.0.1:0', token_file: t}", "an IP address and a port"),
        ("{listen: '7571'}", "token_file"),
        ("{listen: '7571', token_file: t, join_within: 11m}", "at most 10m"),
    ],
)
def test_load_workers_that_cannot_be_awaited_are_an_error(folder: Path, text: str, says: str) -> None:
    """A name that could mean any address, no port, no token, a wait without end."""
    with pytest.raises(SpecError, match=says):
        with_workers(folder, text)
