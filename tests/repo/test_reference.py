"""The generator of the reference pages: what it writes for a command line that we know."""

from __future__ import annotations

from typing import Annotated

import typer

import reference


def test_a_command_becomes_a_section_with_its_arguments_and_options() -> None:
    """Usage, help, every argument and option with its meaning and default; what is hidden stays hidden."""
    app = typer.Typer()
    lab = typer.Typer(help="The lab.")
    app.add_typer(lab, name="lab")

    @lab.command()
    def up(
        spec: Annotated[str, typer.Argument(help="A file | a folder.")],
        variant: Annotated[str, typer.Option(help="Which shop.")] = "hardened",
        as_json: Annotated[bool, typer.Option("--json", help="One document.")] = False,
        secret: Annotated[str, typer.Option(hidden=True)] = "",
    ) -> None:
        """Start it."""

    @app.command(hidden=True)
    def internal() -> None:
        """Not for people."""

    found = dict(reference.commands(typer.main.get_command(app)))
    section = reference._command(found["stormproof lab up"], "stormproof lab up")

    assert ["stormproof", "stormproof lab", "stormproof lab up"] == list(found)
    assert "stormproof lab up SPEC [OPTIONS]" in section
    assert "| `SPEC` | A file \\| a folder. |" in section
    assert "| `--variant` `VARIANT` | Which shop. (default: `hardened`) |" in section
    assert "| `--json` | One document. |" in section
    assert "secret" not in section


def test_every_error_class_is_found_with_parents_first() -> None:
    """The table of errors starts at the root, and no class comes before the one it derives from."""
    names = list(reference.error_classes())

    assert "StormproofError" == names[0]
    for name, kind in reference.error_classes().items():
        parent = kind.__mro__[1].__name__
        assert parent == "Exception" or names.index(parent) < names.index(name)
