"""Which files are the repository: what git tracks, and what it would track if it were added now."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def repository_files(suffix: str = "") -> tuple[Path, ...]:
    """Paths relative to the root, sorted, whose names end in *suffix*."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = {Path(name) for name in listed.split("\0") if name.endswith(suffix) and name}
    return tuple(sorted(path for path in paths if (ROOT / path).is_file()))


def python_files(*folders: str) -> tuple[Path, ...]:
    """The Python files below *folders*."""
    return tuple(path for path in repository_files(".py") if path.parts[0] in folders)
