"""The hardened lab that the end-to-end tests share; a test that breaks it heals it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.lab import RunningLab, running_lab


@pytest.fixture(scope="session")
def lab() -> Iterator[RunningLab]:
    """A hardened lab, up for the whole session."""
    yield from running_lab("hardened")
