"""The house rules that no linter knows, each a pure function from a file to what is wrong with it.

A rule takes the path relative to the root and the text, and yields one sentence a violation, with
the line and the replacement. `test_tidy.py` holds them against the repository, and against a bad sample each.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

Rule = Callable[[Path, str], Iterator[str]]

FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 450
FILE_BYTES_MAX = 1 << 20

# Modules that may be longer, at the length they have: a number here may fall and must not rise.
LONGER_MODULES: dict[str, int] = {}

VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "misc", "shared", "tools"}
# Rooms that wait for processes, proxies and people; each wait in them has a deadline.
WAITING_ROOMS = {"run", "lab", "load", "faults", "suite"}
MACHINE_PATH = re.compile(r"(?<![\w.~/])/(?:root|work|home/\w+|Users/\w+|opt/pypi)/")
INDEX_ADDRESS = re.compile(r"://|^\s*-[if]\s|--(?:extra-)?index(?:-url)?|--find-links|\s@\s", re.MULTILINE)


def long_functions(path: Path, text: str) -> Iterator[str]:
    """A function fits on a screen, so that it is read as one thought."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{path}:{node.lineno}: {node.name}: {lines} lines, the limit is {FUNCTION_LINES_MAX}"


def long_modules(path: Path, text: str) -> Iterator[str]:
    """A module holds one noun; the exceptions are written down and may only shrink."""
    lines = text.count("\n")
    limit = LONGER_MODULES.get(str(path), MODULE_LINES_MAX)
    if lines > limit:
        yield f"{path}: {lines} lines, the limit is {limit}: split it by noun"
    if str(path) in LONGER_MODULES and lines < limit:
        yield f"{path}: {lines} lines now: lower or remove its entry in LONGER_MODULES"


def vague_names(path: Path, _text: str) -> Iterator[str]:
    """A module is named after what is in it."""
    for part in (*path.parts[:-1], path.stem):
        if part in VAGUE_NAMES or part.endswith(("_utils", "_helpers", "_common")):
            yield f"{path}: a module called {part!r} is about nothing: name it after the noun inside"


def sleeps_outside_waiting_rooms(path: Path, text: str) -> Iterator[str]:
    """What computes does not wait; waiting loops live where processes are."""
    if len(path.parts) > 2 and path.parts[2] in WAITING_ROOMS:
        return
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or ast.unparse(node.func) not in {"time.sleep", "asyncio.sleep"}:
            continue
        yield f"{path}:{node.lineno}: a sleep outside {sorted(WAITING_ROOMS)}: pass the clock in"


def sleeps_for_luck(path: Path, text: str) -> Iterator[str]:
    """A test waits for a condition: a sleep in its body that is not inside a loop hopes. (A fake may be slow.)"""
    for test in ast.walk(ast.parse(text)):
        if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef) and test.name.startswith("test_"):
            for statement in test.body:
                yield from _hopeful_sleeps(path, statement)


def _hopeful_sleeps(path: Path, node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.While | ast.For | ast.AsyncFor | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return
    if isinstance(node, ast.Call) and ast.unparse(node.func) in {"time.sleep", "asyncio.sleep"}:
        yield f"{path}:{node.lineno}: a sleep outside a loop: wait for the condition, with a deadline"
    for child in ast.iter_child_nodes(node):
        yield from _hopeful_sleeps(path, child)


def naive_times(path: Path, text: str) -> Iterator[str]:
    """Every instant has a zone."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and node.attr in {"utcnow", "utcfromtimestamp"}:
            yield f"{path}:{node.lineno}: datetime.{node.attr}: use dt.datetime.now(dt.UTC)"


def exits(path: Path, text: str) -> Iterator[str]:
    """Only the command line, and a module that is a process of its own, end the process; all others raise."""
    tree = ast.parse(text)
    is_process = any(isinstance(block, ast.If) and "__name__" in ast.unparse(block.test) for block in tree.body)
    if is_process or "cli" in path.parts or path.name == "__main__.py":
        return
    for node in ast.walk(tree):
        raised = node.exc if isinstance(node, ast.Raise) else None
        name = ast.unparse(raised.func if isinstance(raised, ast.Call) else raised) if raised else ""
        called = isinstance(node, ast.Call) and ast.unparse(node.func) in {"sys.exit", "exit", "quit"}
        if called or name == "SystemExit":
            yield f"{path}:{node.lineno}: ends the process: raise an error from errors.py"


def swallowed_errors(path: Path, text: str) -> Iterator[str]:
    """A handler names what it expects, or gives it back, or says why it need not."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        broad = node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"}
        reraises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
        explained = re.search(r"#(?! noqa: BLE001\s*$).*\w{4}", lines[node.lineno - 1])
        if node.type is None or (broad and not reraises and not explained):
            yield f"{path}:{node.lineno}: a broad except: name the errors, re-raise, or say why"


def unsaid_encodings(path: Path, text: str) -> Iterator[str]:
    """Our files are UTF-8 whatever the locale is: a reader that leaves it to Python fails where somebody's is not."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        said = any(keyword.arg == "encoding" for keyword in node.keywords)
        if node.func.attr in {"read_text", "write_text"} and not said:
            yield f'{path}:{node.lineno}: {node.func.attr} without encoding="utf-8"'


def open_listeners(path: Path, text: str) -> Iterator[str]:
    """Nothing of ours listens on more than loopback."""
    for number, line in enumerate(text.splitlines(), start=1):
        if re.search(r"(?<![\d.])0\.0\.0\.0(?![\d./])|[\"']::[\"']", line):
            yield f"{path}:{number}: listens to everybody: bind to 127.0.0.1"


def unseeded_choices(path: Path, text: str) -> Iterator[str]:
    """Randomness is an argument: what the module-level generator chose cannot be repeated."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and re.fullmatch(r"(np\.)?random\.[a-z_]+", ast.unparse(node.func)):
            if node.args and ast.unparse(node.func).endswith(("seed", "default_rng")):
                continue
            yield f"{path}:{node.lineno}: {ast.unparse(node.func)}: take a seeded generator as argument"


def sees_the_noop(path: Path, text: str) -> Iterator[str]:
    """What judges cannot know that a fault was told to do nothing: it must find out like everybody else."""
    for number, line in enumerate(text.splitlines(), start=1):
        if re.search(r"no[-_ ]?op\b", line, re.IGNORECASE):
            yield f"{path}:{number}: a judge that knows of the no-op proves nothing"


def untidy_text(path: Path, text: str) -> Iterator[str]:
    """LF, no tabs (Makefile apart), no trailing blanks, one newline at the end."""
    if "\r" in text:
        yield f"{path}: CR line ends: use LF"
    if "\t" in text and path.name != "Makefile":
        yield f"{path}:{text[: text.index(chr(9))].count(chr(10)) + 1}: a tab: use spaces"
    if text and (not text.endswith("\n") or text.endswith("\n\n")):
        yield f"{path}: must end in exactly one newline"
    for number, line in enumerate(text.splitlines(), start=1):
        if line != line.rstrip():
            yield f"{path}:{number}: trailing blanks"


def machine_paths(path: Path, text: str) -> Iterator[str]:
    """No file knows on which machine it was written."""
    for number, line in enumerate(text.splitlines(), start=1):
        if found := MACHINE_PATH.search(line):
            yield f"{path}:{number}: names a folder of one machine, {found[0]}"


def unlocked_requirements(path: Path, text: str) -> Iterator[str]:
    """A lock pins every version, hashes every file, and names no index."""
    if found := INDEX_ADDRESS.search(text):
        yield f"{path}: names an index: {found[0].strip()!r}"
    for requirement in text.replace("\\\n", " ").splitlines():
        if not requirement.strip() or requirement.startswith("#"):
            continue
        if "==" not in requirement.split(";")[0] or "--hash=sha256:" not in requirement:
            yield f"{path}: {requirement.split()[0]}: not pinned with a hash"
