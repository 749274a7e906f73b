"""Writes the generated parts of docs/reference/: run by cog from inside the pages (`make docs`).

Each function returns Markdown. What it says comes from the code that does the thing, so a page cannot
promise an option, a fault or an exit code that is not there; `make check` fails when a page is behind.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def errors() -> str:
    """The error tree, as `errors.py` draws it, and a table of every class."""
    from stormproof import errors as module

    lines = ["| error | is a | exit code | when |", "| --- | --- | --- | --- |"]
    for name, kind in error_classes().items():
        base = kind.__mro__[1].__name__
        meaning = inspect.getdoc(kind) or ""
        lines.append(f"| `{name}` | `{base}` | {kind.exit_code} | {cell(meaning.split(chr(10) * 2)[0])} |")
    tree = inspect.cleandoc(module.__doc__ or "").partition("::\n")[2]
    drawing = "\n".join(line[4:] for line in tree.splitlines() if line.startswith("    "))
    return "```text\n" + drawing + "\n```\n\n" + "\n".join(lines) + "\n"


def error_classes() -> Mapping[str, type[Any]]:
    """Every error class of Stormproof, by name, parents first."""
    from stormproof import errors as module

    return {
        name: kind
        for name, kind in vars(module).items()
        if inspect.isclass(kind) and issubclass(kind, module.StormproofError)
    }


def exit_codes() -> str:
    """What the shell gets from a verdict."""
    from stormproof.model.verdict import EXIT_CODE

    rows = [f"| {code} | {outcome.value} |" for outcome, code in EXIT_CODE.items()]
    return "\n".join(["| exit code | verdict |", "| --- | --- |", *rows]) + "\n"


def cli() -> str:
    """Every command of `stormproof`, with its arguments and options, as its own help gives them."""
    import typer

    from stormproof.cli.app import app

    return "\n".join(_command(command, name) for name, command in commands(typer.main.get_command(app))) + "\n"


def commands(root: Any, name: str = "stormproof") -> Iterator[tuple[str, Any]]:
    """Every visible command below *root*, with the words that one types; groups before their members."""
    yield name, root
    for word, command in getattr(root, "commands", {}).items():
        if not command.hidden:
            yield from commands(command, f"{name} {word}")


def _command(command: Any, name: str) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    usage = [name, *(_placeholder(p) for p in arguments)]
    if options:
        usage.append("[OPTIONS]")
    if hasattr(command, "commands"):
        usage.append("COMMAND …")
    lines = [
        f"## {name}",
        "",
        "```text",
        " ".join(usage),
        "```",
        "",
        inspect.cleandoc(command.help or ""),
        "",
    ]
    if arguments or options:
        lines += ["| argument or option | what |", "| --- | --- |"]
        lines += [f"| `{_placeholder(p).strip('[]')}` | {cell(getattr(p, 'help', None) or '')} |" for p in arguments]
        lines += [f"| {_option(p)} | {cell(p.help or '')}{_default(p)} |" for p in options]
        lines.append("")
    return "\n".join(lines)


def _placeholder(argument: Any) -> str:
    text = (argument.metavar or argument.name).strip("[].").upper() + ("…" if argument.nargs == -1 else "")
    return text if argument.required else f"[{text}]"


def _option(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    return names if option.is_flag else f"{names} `{(option.metavar or option.name).upper()}`"


def _default(option: Any) -> str:
    if option.required:
        return " (required)"
    nothing = option.default is None or option.default is False or option.default in ("", [], ())
    return "" if nothing or callable(option.default) else f" (default: `{option.default}`)"


def faults() -> str:
    """Every fault in a line, with its page."""
    lines = ["| fault | what | environments |", "| --- | --- | --- |"]
    for module in fault_modules():
        link = f"[{module.KIND}](faults/{module.KIND}.md)"
        lines.append(f"| {link} | {cell(sentence(module.SUMMARY))} | {', '.join(module.ENVIRONMENTS)} |")
    return "\n".join(lines) + "\n"


def fault_modules() -> list[Any]:
    """The module of every fault that a spec can name."""
    from stormproof.faults import catalogue

    return [catalogue.module(kind) for kind in catalogue.KINDS]


def fault(module: Any) -> str:
    """One fault: what it does, its arguments, how it is confirmed and undone."""
    lines = [f"## {module.KIND}", "", sentence(module.SUMMARY), ""]
    fields = module.Arguments.model_fields
    if fields:
        lines += ["| argument | written as | bounds | default | what |", "| --- | --- | --- | --- | --- |"]
        schema = module.Arguments.model_json_schema()["properties"]
        for name, field in fields.items():
            shape, show = _written(schema[field.alias or name])
            default = "required" if field.is_required() else "–" if field.default is None else show(field.default)
            cells = (shape, _bounds(field, show), default, field.description or "")
            lines.append(" | ".join([f"| `{field.alias or name}`", *map(cell, cells)]) + " |")
        lines.append("")
    return "\n".join(
        [
            *lines,
            f"**Confirmed by.** {sentence(module.CONFIRMED_BY)}",
            "",
            f"**Undone by.** {sentence(module.UNDONE_BY)}",
            "",
            f"**Where.** Environments: {', '.join(module.ENVIRONMENTS)}.",
            "",
        ]
    )


def _written(schema: Mapping[str, Any]) -> tuple[str, Callable[[Any], str]]:
    """How a spec writes a value of *schema*, and how to show one: quantities carry their unit."""
    from pydantic import TypeAdapter

    from stormproof.spec import quantity

    quantities: list[tuple[Any, str, Callable[[float], str]]] = [
        (quantity.Duration, "a duration, `15s`", quantity.format_duration),
        (quantity.Rate, "a rate, `150/s`", quantity.format_rate),
        (quantity.Share, "a share, `99.5%`", quantity.format_share),
        (quantity.Size, "a size, `4MiB`", quantity.format_size),
    ]
    for kind, shape, show in quantities:
        if schema.get("pattern") == TypeAdapter(kind).json_schema()["pattern"]:
            return shape, show
    plain = [one.get("type", "") for one in (schema, *schema.get("anyOf", ())) if one.get("type", "null") != "null"]
    words = {"string": "a text", "integer": "a whole number", "number": "a number", "array": "a list"}
    return words.get(plain[0], plain[0]), str


def _bounds(field: Any, show: Callable[[Any], str]) -> str:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    found = [
        f"{sign} {show(getattr(rule, word))}"
        for rule in field.metadata
        for word, sign in signs.items()
        if getattr(rule, word, None) is not None
    ]
    return ", ".join(found) or "–"


def sentence(text: str) -> str:
    """*text* on one line, as a sentence."""
    line = prose(text)
    return line[:1].upper() + line[1:].removesuffix(".") + "."


def prose(text: str) -> str:
    """*text* on one line."""
    return re.sub(r"\s+", " ", text).strip()


def cell(text: str) -> str:
    """*text* as it can stand in a Markdown table."""
    return prose(text).replace("|", "\\|")
