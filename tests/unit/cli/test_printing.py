"""Tables where stdout is no terminal: as wide as they want, or as somebody says."""

from __future__ import annotations

import pytest

from stormproof.cli.printing import PIPE_WIDTH, console


@pytest.mark.parametrize(("columns", "width"), [(None, PIPE_WIDTH), ("100", 100)])
def test_a_log_is_not_eighty_columns_wide(
    columns: str | None, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a file, a log or `less` a table of claims need not be broken to words; COLUMNS still decides."""
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)

    assert width == console().width
    assert not capsys.readouterr().out
