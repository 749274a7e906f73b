"""A file is read within bounds, with the line of every value, or refused in one message."""

import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stormproof.errors import SpecError
from stormproof.spec.document import MAX_BYTES, read_document, resolve_scalar


def _write(folder: Path, content: str | bytes, name: str = "e.yaml") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _refusal(folder: Path, content: str | bytes, name: str = "e.yaml") -> str:
    with pytest.raises(SpecError) as caught:
        read_document(_write(folder, content, name))
    return str(caught.value)


def test_values_remember_their_lines(tmp_path: Path) -> None:
    """Keys, items and nested values each have the line they stand in; what has none has its parent's."""
    text = "title: x\nload:\n  users: 4\nfaults:\n  - az-loss:\n      zone: a\n  - {throttling: {rate: 5/s}}\n"

    document = read_document(_write(tmp_path, text))

    assert document.value["faults"][0] == {"az-loss": {"zone": "a"}}
    assert [document.lines[at] for at in [("title",), ("load", "users"), ("faults", 0, "az-loss", "zone")]] == [1, 3, 6]
    assert document.where(("faults", 1, "throttling", "rate")).endswith("e.yaml:7")
    assert document.where(("load", "absent")).endswith("e.yaml:2")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("1.5", 1.5),
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("010", "010"),
        ("0x10", "0x10"),
        ("2026-01-01", "2026-01-01"),
        (".inf", ".inf"),
        ("1e999", "1e999"),
    ],
)
def test_scalars_mean_what_they_look_like(text: str, value: object) -> None:
    """Only true and false are booleans; dates, octal numbers and times of day stay text."""
    assert resolve_scalar(text) == value
    assert type(resolve_scalar(text)) is type(value)


def test_quoted_scalars_stay_text(tmp_path: Path) -> None:
    """Quotes keep a number from becoming one."""
    assert read_document(_write(tmp_path, "a: '12'\nb: 12\n")).value == {"a": "12", "b": 12}


def test_a_bomb_of_aliases_is_refused_before_it_grows(tmp_path: Path) -> None:
    """Ten levels of ten aliases would be ten billion values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 11)]

    assert "anchor" in _refusal(tmp_path, "\n".join(lines))


def test_a_file_of_ten_megabytes_is_refused_unread(tmp_path: Path) -> None:
    """The size is said, and nothing of it is parsed."""
    path = _write(tmp_path, b"a: b\n" * 2 * 1024 * 1024)
    begun = time.process_time()

    with pytest.raises(SpecError, match=r"at most 1 MiB, got 10,485,760 bytes"):
        read_document(path)

    assert time.process_time() - begun < 1.0  # parsing it takes a minute


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "a: " + "[" * 40 + "]" * 40])
def test_deep_nesting_is_refused(tmp_path: Path, text: str) -> None:
    """No recursion error, whichever brackets."""
    message = _refusal(tmp_path, text)

    assert "levels" in message or "YAML" in message


def test_many_values_are_refused(tmp_path: Path) -> None:
    """A file below 1 MiB can still have too many values to be sensible."""
    assert "at most 20,000 values" in _refusal(tmp_path, "a: [" + "1," * 300_000 + "]")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x7fELF\x02\x01\x01\x00\xff\xfe", "UTF-8"),
        (b"title: a\x00b", "control character"),
        ("title: café".encode("latin-1"), "UTF-8"),
        ("title: a\n\tload: b\n", "spaces, not with tabs"),
        ("title: a\ntitle: b\n", "the first is in line 1"),
        ("a: 1\n---\nb: 2\n", "one document"),
        ("- a\n- b\n", "a mapping of keys to values, got a list"),
        ("just text", "a mapping of keys to values, got text"),
        ("", "an empty file"),
        ("# only a comment\n", "an empty file"),
        ("a: !!python/object/apply:os.system ['true']", "tag"),
        ("a: !local x", "tag"),
        ("a: *nothing", "alias"),
        ('a: "\\x1b[31mred"', "control character"),
        ('"\\0": b', "control character"),
        ('a: "\\ud800"', "e.yaml:1"),
        ("a: [1, 2", "valid YAML"),
        ("? [a, b]\n: c", "a key of one word"),
        ("title: ${x}: y: z", "valid YAML"),
        ("faults:\n  - az-loss: {zone: ${zone}}\n", 'quote a variable: "${zone}"'),
    ],
)
def test_what_is_no_plain_mapping_is_refused_with_its_line(tmp_path: Path, content: str | bytes, says: str) -> None:
    """One message with the file and the line."""
    message = _refusal(tmp_path, content)

    assert "e.yaml:" in message
    assert says in message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"a": 1, "a": 2}', "each key once"),
        ("[1]", "a mapping"),
        ('{"a": ["\\u001b[31m"]}', "control character"),
        ('{"\\ud800": 1}', "control character"),
        ('{"a": NaN}', "JSON numbers"),
        ('{"a": ' + "[" * 100_000, "levels"),
        ('{"a": ' + "[" * 50 + "]" * 50 + "}", "levels"),
        ('{"a": ' + "9" * 100_000 + "}", "JSON numbers"),
        ('{"a": [' + "1," * 30_000 + "1]}", "values"),
        ('{\n"a": ', "e.json:2"),
    ],
)
def test_json_has_the_same_bounds(tmp_path: Path, content: str, says: str) -> None:
    """Chaos Toolkit's JSON is no way around them."""
    assert says in _refusal(tmp_path, content, "e.json")


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    """A folder, or nothing at all."""
    with pytest.raises(SpecError, match="a file"):
        read_document(tmp_path / name)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet="ab:-[]{}\"'&*!|>#%@`\n \t,?", max_size=80).map(str.encode))
def test_any_bytes_are_a_document_or_a_spec_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Nothing else escapes the reader."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    with contextlib.suppress(SpecError):
        assert isinstance(read_document(path).value, dict)


def test_the_largest_file_that_is_allowed_is_read_fast(tmp_path: Path) -> None:
    """One long text of nearly 1 MiB is within the bounds."""
    document = read_document(_write(tmp_path, f"title: {'x' * (MAX_BYTES - 100)}\n"))

    assert len(document.value["title"]) == MAX_BYTES - 100
