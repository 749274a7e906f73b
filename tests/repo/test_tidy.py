"""The house rules hold in every file, and every rule can say no."""

from __future__ import annotations

from pathlib import Path

import pytest

from repo import tidy
from repo.files import ROOT, python_files, repository_files

PRODUCT = ("src", "probes")
CODE = (*PRODUCT, "tests", "bench", "experiments", "scripts")
# Files that must contain what the rule forbids elsewhere: the rules, and the samples below.
RULES_THEMSELVES = {Path("tests/repo/tidy.py"), Path("tests/repo/test_tidy.py")}
BINARY = {".png", ".parquet", ".ico", ".ttf", ".whl", ".gz"}

LONG_FUNCTION = "def long():\n" + "    pass\n" * tidy.FUNCTION_LINES_MAX
LONG_MODULE = "x = 1\n" * (tidy.MODULE_LINES_MAX + 1)

# rule, the folders it is about, a sample path, a sample that breaks it, one close to it that does not
RULES: list[tuple[tidy.Rule, tuple[str, ...], str, str, str]] = [
    (
        tidy.long_functions,
        CODE,
        "src/stormproof/a.py",
        LONG_FUNCTION,
        LONG_FUNCTION.replace("    pass\n", "", 1),
    ),
    (tidy.long_modules, CODE, "src/stormproof/a.py", LONG_MODULE, LONG_MODULE.replace("x = 1\n", "", 1)),
    (tidy.naive_times, CODE, "src/stormproof/a.py", "dt.datetime.utcnow()\n", "dt.datetime.now(dt.UTC)\n"),
    (
        tidy.exits,
        PRODUCT,
        "src/stormproof/run/a.py",
        "def f():\n    raise SystemExit(1)\n",
        "raise ValueError\n",
    ),
    (
        tidy.exits,
        PRODUCT,
        "src/stormproof/run/a.py",
        "def main():\n    sys.exit(main())\n",
        'if __name__ == "__main__":\n    sys.exit(main())\n',
    ),
    (
        tidy.swallowed_errors,
        CODE,
        "src/stormproof/a.py",
        "try:\n    f()\nexcept Exception:  # noqa: BLE001\n    pass\n",
        "try:\n    f()\nexcept Exception:\n    note()\n    raise\n",
    ),
    (
        tidy.swallowed_errors,
        CODE,
        "src/stormproof/a.py",
        "try:\n    f()\nexcept:\n    raise\n",
        "try:\n    f()\nexcept Exception as error:  # noqa: BLE001 becomes a finding\n    note(error)\n",
    ),
    (
        tidy.unseeded_choices,
        PRODUCT,
        "src/stormproof/a.py",
        "victim = random.choice(instances)\n",
        "rng = random.Random(seed)\nvictim = rng.choice(instances)\n",
    ),
    (
        tidy.unseeded_choices,
        PRODUCT,
        "src/stormproof/a.py",
        "rng = np.random.default_rng()\n",
        "rng = np.random.default_rng(seed)\n",
    ),
    (
        tidy.unsaid_encodings,
        PRODUCT,
        "src/stormproof/a.py",
        "plan = path.read_text()\n",
        'plan = path.read_text(encoding="utf-8")\n',
    ),
    (
        tidy.sleeps_outside_waiting_rooms,
        ("src",),
        "src/stormproof/verdict/a.py",
        "time.sleep(1)\n",
        "time.monotonic()\n",
    ),
    (
        tidy.sleeps_for_luck,
        ("tests",),
        "tests/unit/test_a.py",
        "def test_a():\n    with lab:\n        time.sleep(1)\n",
        "def test_a():\n    while not ready():\n        time.sleep(0.01)\n\n    def slow():\n        time.sleep(1)\n",
    ),
]


def _name(value: object) -> str | None:
    return getattr(value, "__name__", None)


@pytest.mark.parametrize(("rule", "folders"), dict.fromkeys((rule, folders) for rule, folders, *_ in RULES), ids=_name)
def test_code_follows(rule: tidy.Rule, folders: tuple[str, ...]) -> None:
    """Every Python file of the folders that the rule is about follows it."""
    files = [path for path in python_files(*folders) if path not in RULES_THEMSELVES]

    assert files
    assert [] == [wrong for path in files for wrong in rule(path, _text(path))]


@pytest.mark.parametrize(("rule", "path", "bad", "good"), [(rule, *sample) for rule, _, *sample in RULES], ids=_name)
def test_a_code_rule_says_no(rule: tidy.Rule, path: str, bad: str, good: str) -> None:
    """Each rule finds one thing in the sample that breaks it, and none in the one that nearly does."""
    assert 1 == len(list(rule(Path(path), bad)))
    assert [] == list(rule(Path(path), good))


@pytest.mark.parametrize("name", ["utils", "http_helpers", "common"])
def test_a_vague_name_is_refused(name: str) -> None:
    """A module, or a folder, that is named after nothing is found; an honest name is not."""
    assert 1 == len(list(tidy.vague_names(Path(f"src/stormproof/{name}.py"), "")))
    assert 1 == len(list(tidy.vague_names(Path(f"src/stormproof/{name}/ledger.py"), "")))
    assert [] == list(tidy.vague_names(Path("src/stormproof/faults/ledger.py"), ""))


def test_modules_are_named_after_what_is_in_them() -> None:
    """There is no utils, helpers, common or core."""
    assert [] == [wrong for path in python_files(*CODE) for wrong in tidy.vague_names(path, "")]


def test_an_exception_for_a_long_module_may_only_shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry for a module that has become shorter must be lowered, one that has grown is refused."""
    path = Path("src/stormproof/a.py")
    monkeypatch.setitem(tidy.LONGER_MODULES, str(path), 500)

    assert [] == list(tidy.long_modules(path, "x = 1\n" * 500))
    assert "lower or remove" in next(tidy.long_modules(path, "x = 1\n" * 499))
    assert "the limit is 500" in next(tidy.long_modules(path, "x = 1\n" * 501))


def test_exceptions_name_files_that_exist() -> None:
    """The list of exceptions has no dead entry."""
    assert [] == [name for name in tidy.LONGER_MODULES if not (ROOT / name).is_file()]


def test_the_judges_cannot_know_of_the_noop() -> None:
    """The word does not occur in the rooms that judge: they see what was felt, not what was intended."""
    rooms = [path for path in python_files("src") if path.parts[2] in {"verdict", "analysis"}]

    assert rooms
    assert [] == [wrong for path in rooms for wrong in tidy.sees_the_noop(path, _text(path))]
    assert 1 == len(list(tidy.sees_the_noop(Path("a.py"), "if plan.noop:\n")))


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    [
        (tidy.open_listeners, 'serve(host="0.0.0.0")\n', 'serve(host="127.0.0.1")\n'),
        (tidy.machine_paths, "see /home/someone/notes\n", "see /proc/self/stat and GET /home\n"),
        (tidy.machine_paths, "cd /work/main\n", "a ~/work/main b https://example.test/work/main\n"),
        (tidy.untidy_text, "a\tb\n", "a b\n"),
        (tidy.untidy_text, "a \n", "a\n"),
        (tidy.untidy_text, "a\r\n", "a\n"),
        (tidy.untidy_text, "a", "a\n"),
    ],
)
def test_a_text_rule_says_no(rule: tidy.Rule, bad: str, good: str) -> None:
    """Each rule about text finds its sample, and leaves the nearest innocent one alone."""
    assert [] != list(rule(Path("a.md"), bad))
    assert [] == list(rule(Path("a.md"), good))


@pytest.mark.parametrize("rule", [tidy.open_listeners, tidy.machine_paths, tidy.untidy_text], ids=_name)
def test_text_follows(rule: tidy.Rule) -> None:
    """Every text file of the repository follows the rule."""
    files = [p for p in repository_files() if p.suffix not in BINARY and p not in RULES_THEMSELVES]
    if rule is tidy.untidy_text:  # a run is evidence, sealed as it was written
        files = [path for path in files if path.parts[:2] != ("reports", "sample")]

    assert len(files) > 30
    assert [] == [wrong for path in files for wrong in rule(path, _text(path))]


def test_no_file_is_large() -> None:
    """Nothing over 1 MiB is in the repository: history cannot forget it."""
    large = [str(path) for path in repository_files() if (ROOT / path).stat().st_size > tidy.FILE_BYTES_MAX]

    assert [] == large


def _text(path: Path) -> str:
    return (ROOT / path).read_bytes().decode()
