"""A change of any byte, a record that is gone, added or moved: each is seen, and named."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import orjson
import pytest

from stormproof.errors import InputError, UnavailableError, UsageError
from stormproof.evidence import anchor_git
from stormproof.evidence.archive import pack, unpack
from stormproof.evidence.bundle import MANIFEST, SEAL, build_bundle, write_bundle
from stormproof.evidence.canonical import canonical_json, sha256
from stormproof.evidence.chain import ChainStore, append, check_chain, head_of, read_links
from stormproof.evidence.verify import hold_against, verify_bundle, verify_files, verify_store, verify_zip
from support.evidence_runs import SAMPLE, chain_of

CHANGES = 1_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ChainStore:
    return chain_of(tmp_path_factory.mktemp("reports"))


@pytest.fixture(scope="module")
def files(store: ChainStore) -> dict[str, bytes]:
    links = read_links(store)
    return build_bundle(store, links, runs={str(link.record["run_id"]): SAMPLE for link in links}, key=None)


def damaged(files: dict[str, bytes], rng: random.Random) -> tuple[dict[str, bytes], set[str]]:
    """*files* after one random damage, and which of them it hit."""
    out = dict(files)
    name = rng.choice(sorted(files))
    data = files[name]
    at = rng.randrange(len(data))
    match rng.randrange(7):
        case 0:  # another byte
            out[name] = data[:at] + bytes([data[at] ^ rng.randrange(1, 256)]) + data[at + 1 :]
        case 1:  # a byte less
            out[name] = data[:at] + data[at + 1 :]
        case 2:  # a byte more
            out[name] = data[:at] + rng.randbytes(1) + data[at:]
        case 3:  # two neighbours change places
            at = next(place for place in range(len(data) - 1) if data[place] != data[place + 1])
            out[name] = data[:at] + data[at + 1 : at + 2] + data[at : at + 1] + data[at + 2 :]
        case 4:  # a file is gone
            del out[name]
        case 5:  # a file more
            name = f"{rng.choice(['records', 'runs/000001', 'oscal'])}/{rng.randrange(10**6):06d}-more.json"
            out[name] = data
        case _:  # two files change places
            other = rng.choice(sorted(one for one in files if files[one] != data))
            out[name], out[other] = files[other], data
            return out, {name, other}
    return out, {name}


def test_a_bundle_as_it_was_written_is_whole(files: dict[str, bytes], store: ChainStore) -> None:
    """And the same records give the same bytes, whenever they are bundled."""
    links = read_links(store)
    again = build_bundle(store, links, runs={str(link.record["run_id"]): SAMPLE for link in links}, key=None)

    assert () == verify_files(files).problems
    assert files == again
    assert pack(files) == pack(again)
    assert {"audit.html", "audit.pdf", "oscal/assessment-results.json", MANIFEST, SEAL} < set(files)


def test_a_thousand_random_damages_are_seen_and_named(files: dict[str, bytes]) -> None:
    """Single bytes changed, removed, inserted and swapped; files removed, added and swapped; the manifest's own too."""
    missed = []
    for seed in range(CHANGES):
        out, hit = damaged(files, random.Random(seed))
        named = {problem.file for problem in verify_files(out).problems}
        if not hit <= named:
            missed.append((seed, hit, named))

    assert [] == missed


def test_one_damage_is_told_once(files: dict[str, bytes]) -> None:
    """300 single bits, in every file: one problem each, of the file that was hit, whatever follows from it."""
    rng = random.Random(11)
    names = sorted(files)
    for number in range(300):
        name = names[number % len(names)]
        at, data = rng.randrange(len(files[name])), files[name]
        flipped = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        found = verify_files(files | {name: flipped})

        assert [name] == [one.file for one in found.problems], (name, at, found.problems)


def test_one_damage_of_a_chain_is_told_once(store: ChainStore) -> None:
    """A bit of a record, or a record that is gone: one problem, and not one for each record that follows."""
    chain = {path.name: path.read_bytes() for path in store.records.iterdir()}
    head = orjson.loads(store.head.read_bytes())
    rng = random.Random(13)
    for number in range(200):
        name = sorted(chain)[number % len(chain)]
        at, data = rng.randrange(len(chain[name])), chain[name]
        flipped = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]

        assert 1 == len(check_chain(chain | {name: flipped}, head=head)[1]), (name, at)
    for name in chain:
        assert 1 == len(check_chain({one: data for one, data in chain.items() if one != name}, head=head)[1]), name


def test_two_damages_are_told_as_two(files: dict[str, bytes]) -> None:
    """A damaged manifest hides no other damage than its own: two changed files beside it are both named."""
    others = [name for name in files if name.startswith("oscal/") or name.endswith(".pdf")][:2]
    hurt = {name: files[name] + b" " for name in (MANIFEST, *others)}

    assert {MANIFEST, *others} == {one.file for one in verify_files(files | hurt).problems}


def test_a_damaged_zip_is_seen_in_its_headers_too(files: dict[str, bytes]) -> None:
    """Any byte of the container: 200 changed, and some put before and behind."""
    data = pack({name: body for name, body in files.items() if not name.startswith("runs/")})
    small = {name: body for name, body in files.items() if name.startswith(("records/000001", "anchors/"))}
    small |= {"a": b"a", "b": b"bb"}
    tiny = pack(small)
    rng = random.Random(7)
    unseen = []
    for _ in range(200):
        at = rng.randrange(len(tiny))
        changed = tiny[:at] + bytes([tiny[at] ^ (1 << rng.randrange(8))]) + tiny[at + 1 :]
        try:
            found, wrong = unpack(changed)
        except InputError:
            continue
        if not wrong and found == small:
            unseen.append(at)

    assert [] == unseen
    assert verify_zip(b"x" + data).problems
    assert verify_zip(data + b"x").problems
    assert verify_zip(b"no zip").problems
    assert "the archive" == verify_zip(data + b"x").problems[0].file


def test_a_bundle_is_verified_as_a_folder_and_as_a_zip(files: dict[str, bytes], tmp_path: Path) -> None:
    """On disk; a link in the folder is not part of it; a bundle is not written over another."""
    write_bundle(files, tmp_path / "bundle")
    write_bundle(files, tmp_path / "bundle.zip")
    shutil.copytree(tmp_path / "bundle", tmp_path / "linked")
    (tmp_path / "linked" / "more").symlink_to(tmp_path / "bundle.zip")

    assert () == verify_bundle(tmp_path / "bundle").problems
    assert () == verify_bundle(tmp_path / "bundle.zip").problems
    assert ["more"] == [one.file for one in verify_bundle(tmp_path / "linked").problems]
    with pytest.raises(UsageError, match="something already"):
        write_bundle(files, tmp_path / "bundle")
    with pytest.raises(UsageError, match="no bundle"):
        verify_bundle(tmp_path / "nothing")


def test_a_gap_in_the_chain_shows_even_under_a_new_manifest(store: ChainStore) -> None:
    """Removed at the start, in the middle, at the end; two swapped by number; a record that was rewritten."""
    links = read_links(store)
    head = head_of(links[-1])
    whole = {link.name: link.data for link in links}

    assert [] == check_chain(whole, head=head)[1]
    for place in range(len(links)):
        rest = {name: data for name, data in whole.items() if name != links[place].name}
        assert check_chain(rest, head=head)[1], place
    swapped = whole | {links[1].name: links[2].data, links[2].name: links[1].data}
    named = {problem.file for problem in check_chain(swapped, head=head)[1]}
    assert {links[1].name, links[2].name} <= named
    record = orjson.loads(links[1].data)
    record["result"]["verdict"] = "held"
    record["what"]["title"] = "Something else"
    body = {key: value for key, value in record.items() if key != "integrity"}
    record["integrity"]["content_sha256"] = sha256(canonical_json(body))
    problems = check_chain(whole | {links[1].name: canonical_json(record)}, head=head)[1]
    assert [links[2].name] == [problem.file for problem in problems]  # the next one holds the digest of the old one


def test_a_lab_bundle_cannot_be_relabelled(files: dict[str, bytes]) -> None:
    """The manifest's word against the records' words."""
    manifest = orjson.loads(files[MANIFEST]) | {"simulated": False}
    data = canonical_json(manifest)
    first = f"{sha256(data)}  {MANIFEST}\n"
    forged = files | {MANIFEST: data, SEAL: f"{first}{sha256(first.encode())}  {SEAL}\n".encode()}

    assert any("simulated, unlike the manifest" in one.what for one in verify_files(forged).problems)


def test_a_chain_on_disk_is_verified_and_nothing_is_built_on_a_broken_one(store: ChainStore, tmp_path: Path) -> None:
    """A byte of a record, a missing record, a head that was edited; a record written just before a crash is adopted."""
    copy = ChainStore(tmp_path / "local")
    shutil.copytree(store.path, copy.path)
    links = read_links(copy)
    assert () == verify_store(copy).problems
    copy.head.write_bytes(canonical_json(head_of(links[-2])))
    assert ["head.json"] == [one.file for one in verify_store(copy).problems]
    with pytest.raises(InputError, match="whole chain"):
        read_links(copy)
    integrity = links[0].record["integrity"]
    append(
        copy,
        lambda sequence, previous: {
            **links[0].record,
            "integrity": integrity | {"sequence": sequence, "previous_sha256": previous},
        },
        name="after-a-crash",
    )
    assert () == verify_store(copy).problems
    victim = copy.records / links[1].name
    victim.write_bytes(victim.read_bytes().replace(b"held", b"Held", 1))
    assert links[1].name in {one.file for one in verify_store(copy).problems}
    with pytest.raises(InputError, match="was changed"):
        read_links(copy)


def test_an_anchor_outside_catches_a_chain_that_was_written_anew(store: ChainStore, tmp_path: Path) -> None:
    """A tag holds the head: a consistent rewrite and a cut do not agree with it; without one nobody could tell."""
    repository = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", repository], check=True)
    for key, value in (("user.name", "Kim"), ("user.email", "kim@example.com")):
        subprocess.run(["git", "-C", repository, "config", key, value], check=True)
    subprocess.run(["git", "-C", repository, "commit", "-q", "--allow-empty", "-m", "begin"], check=True)
    found = verify_store(store)
    name = anchor_git.anchor(head_of(found.links[-1]), repository)
    anchors = anchor_git.read(repository, "local")

    assert name == anchor_git.anchor(head_of(found.links[-1]), repository)
    assert ["stormproof-evidence/local/000004"] == [name]
    assert ((), 4) == (hold_against(found, anchors).problems, hold_against(found, anchors).anchors[0].sequence)
    cut = check_chain({link.name: link.data for link in found.links[:3]}, head=head_of(found.links[2]))
    assert [] == cut[1]  # consistent in itself
    for links in (cut[0], []):
        missing = hold_against(verify_store(store).__class__(links=tuple(links), problems=()), anchors)
        assert "the chain was cut" in missing.problems[0].what
    rewritten = chain_of(tmp_path / "other", runs=5)
    shutil.rmtree(rewritten.path)
    other = head_of(found.links[-1]) | {"sha256": "0" * 64}
    with pytest.raises(UnavailableError, match="another digest"):
        anchor_git.anchor(other, repository)
    with pytest.raises(UnavailableError, match="git"):
        anchor_git.read(tmp_path, "local")
