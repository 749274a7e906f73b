"""Commands that are documented and not built yet: they say so, with exit code 64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import typer  # noqa: TC002 - typer reads the annotation at run time

from stormproof.errors import NotInThisVersionError

ANYTHING = {"allow_extra_args": True, "ignore_unknown_options": True}


@dataclass(frozen=True, slots=True)
class Later:
    """A command by its name."""

    name: str

    @property
    def call(self) -> Callable[[typer.Context], None]:
        """The function that typer registers."""
        name = self.name

        def not_yet(context: typer.Context) -> None:
            raise NotInThisVersionError(context.info_name or name)

        not_yet.__doc__ = "Not in this version."
        return not_yet


COMMANDS = tuple(Later(name) for name in ("gameday",))
