"""What every test has: an environment of its own, and no lab of the person who runs the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import rota


def pytest_addoption(parser: pytest.Parser) -> None:
    rota.add_option(parser)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    rota.draw(config, items)


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
