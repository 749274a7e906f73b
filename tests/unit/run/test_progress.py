"""What a person sees while a run goes on."""

from __future__ import annotations

import io

from stormproof.run.progress import Live, Progress

LIVE = Live(phase="fault", left_s=12.4, availability=0.987, latency_ms_p99=41.2, rate_per_s=150.0)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_plain_lines_where_there_is_no_terminal() -> None:
    """No escape codes, whole lines, phase and numbers in words."""
    stream = io.StringIO()
    progress = Progress(stream=stream)
    progress.say("inject   stop 2 instances")
    progress.draw(LIVE)

    text = stream.getvalue()
    assert "\x1b" not in text
    assert "\r" not in text
    assert "fault     12 s left" in text
    assert "98.70%" in text
    assert "p99    41 ms" in text


def test_plain_lines_are_few() -> None:
    """Without a terminal the numbers come every few seconds, not every tick."""
    stream = io.StringIO()
    progress = Progress(stream=stream)
    for _ in range(50):
        progress.draw(LIVE)

    assert stream.getvalue().count("\n") <= 1


def test_terminal_redraws_one_line() -> None:
    """On a terminal the line is redrawn in place and a lasting line takes its place."""
    stream = Terminal()
    progress = Progress(stream=stream)
    progress.draw(LIVE)
    progress.say("undo")
    progress.close()

    assert stream.getvalue().startswith("\r\x1b[2K")
    assert stream.getvalue().count("\n") == 1


def test_quiet_writes_nothing() -> None:
    """--quiet."""
    stream = io.StringIO()
    progress = Progress(stream=stream, quiet=True)
    progress.say("x")
    progress.draw(LIVE)

    assert stream.getvalue() == ""


def test_a_terminal_that_went_away_is_no_reason_to_stop() -> None:
    """Writing to a closed terminal raises nothing: the undo must go on."""

    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError("Input/output error")

    Progress(stream=Gone()).say("undo")


def test_nothing_measured_yet() -> None:
    """Before the first answer there are dashes, not zeros."""
    stream = io.StringIO()
    Progress(stream=stream).draw(
        Live(phase="warmup", left_s=None, availability=None, latency_ms_p99=None, rate_per_s=None)
    )

    assert "–" in stream.getvalue()
