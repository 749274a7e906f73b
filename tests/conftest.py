"""What every test has: an environment of its own, and no lab of the person who runs the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import rota

PARTS = ("deadline", "alone")  # of `scripts/test`, beside the rest


def pytest_addoption(parser: pytest.Parser) -> None:
    rota.add_option(parser)


@pytest.hookimpl(trylast=True)  # of what `-m` leaves: a kind of which only slow cases were drawn would be untested
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _can_be_found(items)
    rota.draw(config, items)


def _can_be_found(items: list[pytest.Item]) -> None:
    """Those of a part of their own are looked for by `scripts/test`, in the text of their files."""
    for path, name in {(item.path, name) for item in items for name in PARTS if item.get_closest_marker(name)}:
        if f"mark.{name}" not in path.read_text():
            raise pytest.UsageError(f"{path}: has tests of part `{name}`, expected `pytest.mark.{name}` in that file")


def pytest_report_header(config: pytest.Config) -> str | None:
    return rota.header(config)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if (line := rota.line(config)) is not None:
        terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No AWS credentials, no settings of the caller; nothing real can be reached by accident."""
    import os

    for name in list(os.environ):
        if name.startswith(("AWS_", "STORMPROOF_")) and name != "STORMPROOF_UPDATE_GOLDEN":
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def no_lab(tmp_path: Path) -> dict[str, str]:
    """Environment variables under which no lab is up: a run brings one up for itself."""
    return {"STORMPROOF_LAB_DIR": str(tmp_path / "no-lab"), "STORMPROOF_STATE_DIR": str(tmp_path / "state")}
