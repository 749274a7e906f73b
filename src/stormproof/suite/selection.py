"""Which experiments of a folder are meant: `--only`, `--skip`, `--tag`. Pure, but for finding the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from stormproof.errors import UsageError
from stormproof.spec.loader import FILE_NAME, slug_of
from stormproof.spec.translate import nearest


def specs_in(folder: Path) -> dict[str, Path]:
    """Slug → spec, of every `<folder>/<name>/experiment.yaml`. Raises `UsageError` for none, or a slug twice."""
    found: dict[str, Path] = {}
    for path in sorted(folder.glob(f"*/{FILE_NAME}")):
        slug = slug_of(path)
        if slug in found:
            raise UsageError(f"{path} and {found[slug]} are both called {slug!r}", hint="rename one of the folders")
        found[slug] = path
    if not found:
        raise UsageError(f"{folder}: expected a folder of experiments (<slug>/{FILE_NAME}), got none")
    return found


def not_chosen(
    tags: Mapping[str, Sequence[str]], *, only: Sequence[str], skip: Sequence[str], tag: Sequence[str]
) -> dict[str, str]:
    """Of the experiments in *tags* (slug → its tags) those that are not meant, each with why.

    Raises `UsageError` for a name or a tag that nothing has: a slip would silently run something else, or nothing.
    """
    for option, names in (("--only", only), ("--skip", skip)):
        if unknown := [name for name in names if name not in tags]:
            raise UsageError(f"{option} {unknown[0]}: there is no such experiment", hint=nearest(unknown[0], tags))
    known = sorted({one for its in tags.values() for one in its})
    if unknown := [name for name in tag if name not in known]:
        raise UsageError(f"--tag {unknown[0]}: no experiment has that tag", hint=nearest(unknown[0], known))
    found: dict[str, str] = {}
    for slug, its in tags.items():
        if only and slug not in only:
            found[slug] = "not among --only"
        elif slug in skip:
            found[slug] = "left out by --skip"
        elif tag and not set(tag) & set(its):
            found[slug] = f"has no tag {' or '.join(tag)}"
    return found
