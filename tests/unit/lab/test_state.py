"""The record of a lab that this version did not write."""

from __future__ import annotations

from pathlib import Path

import pytest

from stormproof.errors import LabError
from stormproof.lab import control
from stormproof.lab.state import LabFolder

REST = '"schema_version": 1, "ready": true, "failure": null, "topology": null'


@pytest.mark.parametrize(
    "text",
    [
        f'{{{REST}, "processes": {{"envoy": {{"pid": 1, "started_s": 1.0}}}}}}',
        f'{{{REST}, "processes": {{"supervisor": {{"number": 1}}}}}}',
        f'{{{REST}, "processes": [1]}}',
        f"{{{REST}}}",
        "[]",
        "supervisor 1",
    ],
    ids=["no supervisor", "no pid", "no names", "no processes", "a list", "no JSON"],
)
def test_what_cannot_be_ended_is_an_error_with_a_hint_and_is_left_alone(tmp_path: Path, text: str) -> None:
    """`lab down` says what a person has to do, and removes neither the folder nor the trace to what runs."""
    folder = LabFolder(path=tmp_path / "lab")
    folder.log("supervisor").parent.mkdir(parents=True)
    folder.record.write_text(text)
    folder.path.chmod(0o700)

    with pytest.raises(LabError, match="another's") as refused:
        control.down(folder.path)
    assert "by hand" in str(refused.value)
    assert folder.record.read_text() == text
