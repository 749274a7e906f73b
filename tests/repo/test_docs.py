"""The pages say what the code does: nothing is undocumented, and nothing documented is gone."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import Any

import pytest

import reference
from repo.files import ROOT, python_files, repository_files
from stormproof.record import events
from stormproof.record.layout import RunDirectory

PAGES = repository_files(".md")
REFERENCE = ROOT / "docs" / "reference"
# The relative target of a link or image; absolute addresses and in-page anchors are not ours to check.
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_relative_links_lead_somewhere(page: Path) -> None:
    """Every relative link of every page names a file or folder of the repository."""
    assert [] == dead_links(ROOT / page)


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    """A link to a missing file is reported; one to a file, an address or an anchor is not."""
    page = tmp_path / "page.md"
    page.write_text("[a](gone.md) [b](page.md#top) [c](https://example.test/x) [d](#top) ![e](gone.png)\n")

    assert ["gone.md", "gone.png"] == dead_links(page)


def dead_links(page: Path) -> list[str]:
    """The relative link targets of *page* that do not exist, in order."""
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return [target for target in LINK.findall(prose) if not (page.parent / target).exists()]


def test_every_command_and_option_is_documented() -> None:
    """The page on the command line has a section a command with each of its options; all have a help text."""
    page = (REFERENCE / "cli.md").read_text()
    sections = sections_of(page)

    for name, command in _commands():
        assert command.help, f"{name} has no help"
        options = [o for p in command.params if not getattr(p, "hidden", False) for o in p.opts if o.startswith("-")]
        assert [] == [option for option in options if f"`{option}`" not in sections[name]]
        assert [] == [p.name for p in command.params if p.param_type_name == "option" and not p.help]


def test_no_command_is_documented_that_is_gone() -> None:
    """Every section of the page on the command line is a command that exists."""
    documented = re.findall(r"^## (stormproof.*)$", (REFERENCE / "cli.md").read_text(), re.MULTILINE)

    assert [name for name, _ in _commands()] == documented


def test_commands_of_later_versions_are_listed() -> None:
    """What answers "not in this version" is said to do so, and has no section of its own."""
    from stormproof.cli import later

    announced = sections_of((REFERENCE / "cli.md").read_text())["Not in this version"]

    assert {command.name for command in later.COMMANDS} == set(re.findall(r"`([a-z]+)`", announced))


def test_every_fault_is_documented() -> None:
    """Each fault that a spec can name has a page with every argument, its confirmation, its undo, its maturity."""
    index = (REFERENCE / "faults.md").read_text()
    modules = reference.fault_modules()
    assert {module.KIND for module in modules} == {path.stem for path in (REFERENCE / "faults").glob("*.md")}
    for module in modules:
        assert f"(faults/{module.KIND}.md)" in index
        section = (REFERENCE / "faults" / f"{module.KIND}.md").read_text()
        assert "## Maturity" in section
        assert "**Confirmed by.**" in section
        assert "**Undone by.**" in section
        assert [] == [f for f, info in module.Arguments.model_fields.items() if not info.description]
        assert [] == [f for f, info in module.Arguments.model_fields.items() if f"`{info.alias or f}`" not in section]


@pytest.mark.parametrize(
    "page", [*sorted((REFERENCE / "probes").glob("*.md")), ROOT / "docs" / "guides" / "retry-with-jitter.md"], ids=str
)
def test_every_page_of_a_probe_has_a_picture_and_says_what_it_cannot_tell(page: Path) -> None:
    """A picture that is there, and a section on the probe's limits."""
    text = page.read_text()
    pictures = re.findall(r"^!\[[^\]]+\]\(([^)]+\.svg)\)$", text, re.MULTILINE)

    assert pictures
    assert all((page.parent / picture).is_file() for picture in pictures)
    assert re.search(r"^## What (it|they) cannot tell$", text, re.MULTILINE)


def test_every_error_is_documented() -> None:
    """Each error class is on the page about errors, with its exit code, and none uses a verdict's."""
    page = (REFERENCE / "errors.md").read_text()

    for name, kind in reference.error_classes().items():
        assert re.search(rf"\| `{name}` \| `\w+` \| {kind.exit_code} \|", page), name
        assert kind.exit_code >= 64


def test_every_event_is_documented() -> None:
    """The page about events has a row for each event that rooms rely on, and no other."""
    declared = {value for name, value in vars(events).items() if name.isupper() and isinstance(value, str)}
    declared |= {name for path in python_files("src", "probes") for name in literal_events((ROOT / path).read_text())}
    documented = re.findall(r"^\| `([a-z._]+)` \|", (REFERENCE / "events.md").read_text(), re.MULTILINE)

    assert sorted(declared) == sorted(documented)


def test_an_event_without_a_constant_is_found() -> None:
    """An event written under a literal name is noticed; the arguments of other calls are not."""
    assert ["player.ended"] == literal_events('self._event("player.ended", code=0)\nsay("hello.there")\n')
    assert ["a.b"] == literal_events('record_event(path, "a.b", who="load")\n')


def literal_events(code: str) -> list[str]:
    """The names of events that *code* writes without using a constant."""
    return [
        argument.value
        for call in ast.walk(ast.parse(code))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(("record_event", "._event"))
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]


def test_every_file_of_a_run_is_documented(tmp_path: Path) -> None:
    """The page about the run directory names every file and folder that the layout knows."""
    page = (REFERENCE / "run-directory.md").read_text()
    run = RunDirectory(path=tmp_path)
    names = [
        getattr(run, name).name
        for name, thing in vars(RunDirectory).items()
        if isinstance(thing, property) and isinstance(getattr(run, name), Path)
    ]

    assert "ledger.jsonl" in names
    assert [] == [name for name in names if f"`{name}" not in page]


def test_every_word_is_in_the_glossary() -> None:
    """The words of the project, phases and outcomes included, each have an entry."""
    glossary = (REFERENCE / "glossary.md").read_text()
    words = {
        "experiment", "environment", "workload", "fault", "phase", "sample", "arrival", "probe", "reading",
        "hypothesis", "finding", "verdict", "ledger", "run", "confirmation", "onset", "held", "refuted",
        "inconclusive", "invalid", "aborted",
    }  # fmt: skip

    assert [] == sorted(word for word in words if f"| {word} |" not in glossary)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_commands_of_the_page_exist(page: str) -> None:
    """Every `make …` that a page tells the reader to type is a target, and every `stormproof …` a command."""
    text = (ROOT / page).read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
    commands = {name.split()[1] for name, _ in _commands() if " " in name}
    typed = set(re.findall(r"(?:^|`|bin/)stormproof ([a-z]+)", text, re.MULTILINE))

    assert made
    assert typed or page != "README.md"
    assert set() == made - targets
    assert set() == typed - commands


def test_adrs_have_their_five_headings() -> None:
    """Every decision says its status, context, decision, consequences and the alternatives, on one page."""
    decisions = [page for page in PAGES if page.match("docs/adr/0*.md")]

    assert len(decisions) >= 8
    for page in decisions:
        text = (ROOT / page).read_text()
        headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert ["Status", "Context", "Decision", "Consequences", "Alternatives"] == headings, page
        assert text.count("\n") <= 60, f"{page}: a decision fits on one page"
        assert re.match(rf"# {int(page.name[:4])}\. ", text), page


def test_pages_that_the_code_names_exist() -> None:
    """A docstring that sends the reader to a page sends them to one that is there."""
    code = [path for path in repository_files() if path.suffix in {".py", ".j2", ".yaml"} and path.parts[0] != "tests"]
    named = {(str(path), page) for path in code for page in re.findall(r"docs/[\w./-]+\.md", (ROOT / path).read_text())}

    assert named
    assert [] == sorted(f"{path}: {page}" for path, page in named if not (ROOT / page).is_file())


def test_every_adr_and_page_is_listed() -> None:
    """The map of the documentation leads to every page below docs/."""
    index = (ROOT / "docs" / "README.md").read_text()
    pages = [p.relative_to("docs") for p in PAGES if p.parts[0] == "docs" and p.name != "README.md"]

    generated = Path("reference/faults")  # listed by their own index, see test_every_fault_is_documented
    assert [] == [str(page) for page in pages if page.parent != generated and f"({page})" not in index]


def _commands() -> list[tuple[str, Any]]:
    import typer

    from stormproof.cli.app import app

    return list(reference.commands(typer.main.get_command(app)))


def sections_of(page: str) -> dict[str, str]:
    """The text below each second-level heading of *page*."""
    found = re.finditer(r"^## (.+?)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return {match[1]: match[2] for match in found}


@functools.cache
def _options() -> dict[str, set[str]]:
    """The options of each command, by its whole name; `stormproof history` is `history show` with a slug."""
    options = {
        name: {one for parameter in command.params for one in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
        for name, command in _commands()
    }
    return options | {"stormproof history": options["stormproof history show"]}


def _unknown_options(text: str) -> list[str]:
    """Each `--option` after a `stormproof <command>` in *text* that this command does not have."""
    found = []
    for words, rest in re.findall(r"stormproof ((?:[a-z]+ ?)+)([^`\"\n#|<;]*)", text):
        two = " ".join(["stormproof", *words.split()[:2]])
        named = next((name for name in (two, two.rpartition(" ")[0]) if name in _options()), None)
        if named is not None:
            typed = re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest)
            found += [f"{named} {one}" for one in typed if one not in _options()[named]]
    return found


@pytest.mark.parametrize("suffix", [".md", ".py", ".j2", ".sh", ".yml", ".yaml"])
def test_the_options_that_are_named_exist(suffix: str) -> None:
    """In every page, hint and docstring: an option that is named after a command is one of its own."""
    files = [path for path in repository_files(suffix) if path.parts[0] != "tests"]

    assert files
    assert [] == [f"{path}: {one}" for path in files for one in _unknown_options((ROOT / path).read_text())]


def test_an_option_that_is_gone_is_found() -> None:
    """The rule says no to an option that the command lost, and leaves its others alone."""
    assert ["stormproof undo --all"] == _unknown_options("`stormproof undo --list`, `stormproof undo --all`")
    assert ["stormproof evidence verify --git"] == _unknown_options("stormproof evidence verify --git --anchor .")
