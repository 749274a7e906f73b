"""Every run's findings in a database: nights side by side, drift, and two runs compared."""

from __future__ import annotations

from pathlib import Path

__all__ = ["record_run"]


def record_run(run_dir: Path, *, reports: Path = Path("reports"), url: str | None = None) -> str:
    """Put the finished run in *run_dir* into the history; "added", "known", or "changed" when it was judged anew.

    The database is the one at *url*, else at ``$STORMPROOF_HISTORY_URL``, else `history.sqlite` in *reports*. May be
    called again, and from several processes at once. Raises `RunDirectoryError` for a run without a verdict,
    `UnavailableError` where the database is not there.
    """
    from stormproof.history.recorder import record

    ((_, done),) = record([run_dir], reports=reports, url=url).done
    return done
