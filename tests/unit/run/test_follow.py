"""Following a line file that others write."""

from __future__ import annotations

from pathlib import Path

from stormproof.run.follow import Follower


def test_each_whole_line_once(tmp_path: Path) -> None:
    """A line is given when its newline is there, and never again."""
    path = tmp_path / "events.jsonl"
    follower = Follower(path)
    assert follower.new_rows() == []

    path.write_bytes(b'{"event":"a"}\n{"event":"b"')
    assert follower.new_rows() == [{"event": "a"}]
    assert follower.new_rows() == []

    with path.open("ab") as file:
        file.write(b'}\n{"event":"c"}\n')
    assert follower.new_rows() == [{"event": "b"}, {"event": "c"}]


def test_torn_lines_are_passed_over(tmp_path: Path) -> None:
    """What a dying writer left behind does not stop the reader."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event":"a"}\n{"eve\n[1]\n{"event":"b"}\n')

    assert Follower(path).new_rows() == [{"event": "a"}, {"event": "b"}]
