"""`SHA256SUMS`: the seal of a finished run, in the format of sha256sum(1)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from stormproof.record.atomic import write_text
from stormproof.record.layout import RunDirectory

# Written after the seal: the seal itself, revisions of verdict and reports (`revisions/001`), and what
# people write about a refutation (`incident.md`).
UNSEALED = ("SHA256SUMS", "revision", "incident.md")


def revisions(run: RunDirectory) -> list[Path]:
    """The folders `revisions/<nnn>` of a sealed *run*, the oldest first."""
    found = [path for path in (run.path / "revisions").glob("[0-9]*") if path.name.isdigit()]
    return sorted(found, key=lambda path: int(path.name))


def next_revision(run: RunDirectory) -> Path:
    """Where what is written anew about a sealed *run* goes; not made here."""
    newest = max((int(path.name) for path in revisions(run)), default=0)
    return run.path / "revisions" / f"{newest + 1:03d}"


def seal(run: RunDirectory) -> None:
    """Write the SHA-256 of every file of *run*; a run that is sealed is not written to again."""
    write_text(run.sums, "".join(f"{digest}  {name}\n" for name, digest in sorted(digests(run).items())))


def digests(run: RunDirectory) -> dict[str, str]:
    """Path inside the run → SHA-256 in hex, for every file that a seal covers."""
    files = {path.relative_to(run.path): path for path in run.path.rglob("*") if path.is_file()}
    return {
        name.as_posix(): _sha256(path)
        for name, path in sorted(files.items())
        if not name.parts[0].startswith(UNSEALED) and name.suffix not in (".lock", ".tmp")
    }


def broken(run: RunDirectory) -> list[str]:
    """What differs from the seal, a sentence a file; empty when nothing does or there is no seal."""
    if not run.sums.exists():
        return []
    return differences(sealed_digests(run), digests(run))


def sealed_digests(run: RunDirectory) -> dict[str, str]:
    """Path inside the run → SHA-256 in hex, as it was sealed; empty without a seal."""
    if not run.sums.exists():
        return {}
    lines = (line.partition("  ") for line in run.sums.read_text(encoding="utf-8", errors="replace").splitlines())
    return {name: digest for digest, separator, name in lines if separator}


def differences(sealed: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """A sentence for each file that is not as it was sealed."""
    changed = [f"{name} was changed" for name in sorted(sealed.keys() & now.keys()) if sealed[name] != now[name]]
    missing = [f"{name} is missing" for name in sorted(sealed.keys() - now.keys())]
    added = [f"{name} was added" for name in sorted(now.keys() - sealed.keys())]
    return changed + missing + added


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
