"""`stormproof init`: the first own experiment, ready to run against the lab."""

from __future__ import annotations

import importlib.resources
from typing import TYPE_CHECKING

from stormproof.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

SLUG = "first"  # the new experiment's folder, to be renamed by its owner

# file under experiments/ → file in the package; `.template` keeps tools from taking the locustfile for our code
_FILES = {
    f"{SLUG}/experiment.yaml": "experiment.yaml",
    f"{SLUG}/load.py": "load.py.template",
    f"{SLUG}/notes.md": "notes.md",
}
_ENVIRONMENT = "environments/local.yaml"


def write_starter(folder: Path) -> tuple[Path, ...]:
    """Write `experiments/first/` into *folder*, and `experiments/environments/local.yaml` unless it is there.

    Returns the files written. Raises `UsageError` when one of them exists: nothing is overwritten.
    """
    experiments = folder / "experiments"
    experiment = experiments / SLUG
    if experiment.exists() or any(part.is_file() for part in (folder, experiments)):
        raise UsageError(f"{experiment} cannot be made: it, or a file in its way, is there already")
    wanted = dict(_FILES)
    if not (experiments / _ENVIRONMENT).exists():
        wanted[_ENVIRONMENT] = "environment.yaml"
    templates = importlib.resources.files("stormproof.spec").joinpath("template")
    for target, source in wanted.items():
        path = experiments / target
        path.parent.mkdir(parents=True, exist_ok=True)
        # Exclusive creation rather than an atomic write: what somebody else just made there must not be replaced.
        with path.open("xb") as file:
            file.write(templates.joinpath(source).read_bytes())
    return tuple(experiments / target for target in wanted)
