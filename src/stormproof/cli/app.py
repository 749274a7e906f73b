"""The commands, by name. Each is a thin function in a module of its kind; nothing heavy is imported here."""

from __future__ import annotations

from typing import Annotated

import typer

from stormproof import __version__
from stormproof.cli import (
    comparing,
    compiling,
    evidencing,
    inspecting,
    laboratory,
    later,
    loading,
    looking_back,
    probing,
    proxying,
    pruning,
    rehearsing,
    running,
    suiting,
    undoing,
)

app = typer.Typer(
    name="stormproof",
    help="Hypothesis-driven resilience experiments, with a verdict that can say no and can say I don't know.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"stormproof {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Hypothesis-driven resilience experiments, with a verdict that can say no and can say I don't know."""


app.command("init")(inspecting.init)
app.command("validate")(inspecting.validate)
app.command("plan")(inspecting.plan)
app.command("compile")(compiling.compile_)
app.command("schema")(inspecting.schema)
app.command("run")(running.run)
app.command("suite")(suiting.suite)
app.command("rehearse")(rehearsing.rehearse)
app.command("abort")(running.abort)
app.command("analyse")(running.analyse)
app.command("report")(running.report)
app.command("compare")(comparing.compare)
app.command("undo")(undoing.undo)
app.command("doctor")(inspecting.doctor)
app.add_typer(laboratory.lab, name="lab")
app.add_typer(loading.load, name="load")
app.add_typer(inspecting.faults, name="faults")
app.add_typer(inspecting.probes, name="probes")
app.add_typer(probing.probe, name="probe")
app.add_typer(proxying.proxy, name="proxy")
app.add_typer(evidencing.evidence, name="evidence")
app.add_typer(looking_back.history, name="history")
app.add_typer(pruning.reports, name="reports")
for command in later.COMMANDS:
    app.command(command.name, hidden=True, context_settings=later.ANYTHING)(command.call)
