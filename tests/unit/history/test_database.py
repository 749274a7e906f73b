"""The history's database: the same answers from SQLite and a real PostgreSQL, migrations, what cannot be opened."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, insert, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from stormproof.errors import InputError, UnavailableError, UsageError
from stormproof.history import record_run
from stormproof.history.database import MIGRATIONS, database_url, opened, shown
from stormproof.history.document import history_document
from stormproof.history.entry import RunEntry
from stormproof.history.measure import Measure
from stormproof.history.query import read_history, read_runs
from stormproof.history.recorder import keep
from stormproof.history.schema import metadata, runs
from stormproof.history.series import tracks
from stormproof.model.verdict import Outcome
from support.evidence_runs import SAMPLE
from support.nights import AVAILABILITY, finding, run
from support.postgresql import postgresql


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql() as url:
        yield url


@pytest.fixture
def database(server: str) -> str:
    """A database of that server with nothing in it."""
    name = "history_of_a_test"
    engine = create_engine(make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        chosen: str = request.getfixturevalue("database")
        return chosen
    return f"sqlite:///{tmp_path / 'history.sqlite'}"


def written(url: str, runs: list[RunEntry]) -> list[str]:
    with opened(database_url(Path(), url)) as engine:
        return [keep(engine, one) for one in runs]


MEASURED = Measure(kind="fault", name="1-az-loss: in force", value=20.000000000000004, unit="s")
# Texts and numbers on which databases are known to disagree: case, collation, NUL, long mantissas, large counts.
AWKWARD = [
    run(
        0,
        [finding(), finding(AVAILABILITY, Outcome.REFUTED, estimate=0.1 + 0.2)],
        slug="Zeta",
        measures=(MEASURED, replace(MEASURED, kind="load", value=1 / 3)),
    ),
    run(1, [finding(estimate=1e-300, low=None, high=None, n=2**40)], slug="alpha", title="ÄÖ 日本 \\ % _ 'x' \"y\""),
    run(1, [], slug="alpha", hour=1, verdict=Outcome.INVALID, variant="", reasons=("fault felt: nobody", "é")),
    run(2, [finding("retry jitter in {full, equal}", estimate=None, found="full", unit="word")], slug="a_b"),
    run(2, [finding()], slug="a-b", ended_at=None, simulated=False, environment="staging"),
]


def test_both_databases_give_the_same_answers(database: str, tmp_path: Path) -> None:
    """Whatever goes in comes out of SQLite and of PostgreSQL alike, in the same order, filtered alike."""
    urls = [f"sqlite:///{tmp_path / 'history.sqlite'}", database]
    assert written(urls[0], AWKWARD) == written(urls[1], AWKWARD)

    for chosen in ({}, {"slug": "alpha"}, {"environment": "staging"}, {"slug": "a_b", "environment": "local"}):
        lite, post = (read_history(tmp_path, url=one, **chosen) for one in urls)
        assert lite == post
        assert history_document(tracks(lite), last=9) == history_document(tracks(post), last=9)
    assert sorted(AWKWARD, key=lambda one: (one.started_at, one.run_id)) == read_history(tmp_path, url=urls[1])


def test_a_run_is_recorded_once(url: str, tmp_path: Path) -> None:
    """Again is `known`; with another verdict it is `changed`, and replaces the old one, findings and all."""
    first = run(0, [finding(), finding(AVAILABILITY)])
    again = run(0, [finding(estimate=120.0)], verdict_sha256="judged anew")

    assert ["added", "known"] == written(url, [first, first])
    assert [first] == read_history(tmp_path, url=url)
    assert ["changed", "known"] == written(url, [again, again])
    assert [again] == read_history(tmp_path, url=url)


def test_several_writers_record_the_same_runs(url: str, tmp_path: Path) -> None:
    """Eight writers at once, into a database that is not there yet: each run once, each told as added once."""
    runs = [run(night, [finding(), finding(AVAILABILITY)]) for night in range(6)]
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: written(url, runs), range(8)))

    assert [1] * len(runs) == [sum(one[place] == "added" for one in told) for place in range(len(runs))]
    assert runs == read_history(tmp_path, url=url)


def test_migrations_lead_to_the_tables_of_the_code(url: str) -> None:
    """Alembic finds no difference between a migrated database and the definitions that queries use."""
    with opened(database_url(Path(), url)) as engine, engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})

        assert [] == compare_metadata(context, metadata)


def test_an_old_database_is_brought_up_to_date(url: str, tmp_path: Path) -> None:
    """What revision 0001 kept is still there; imported again, a run gets what it lacked, and is no second run."""
    old = run(0, [finding()])
    engine = create_engine(database_url(Path(), url))
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", MIGRATIONS)
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        row = {c.name: getattr(old, c.name) for c in runs.c if c.name not in {"verdict", "reasons"}}
        connection.execute(insert(runs).values(**row, verdict="held", reasons='["All claims held."]'))
    engine.dispose()

    assert [replace(old, findings=(), verdict_sha256="")] == read_history(tmp_path, url=url)
    assert ["changed"] == written(url, [replace(old, measures=(MEASURED,))])
    assert [replace(old, measures=(MEASURED,))] == read_history(tmp_path, url=url)


def test_a_newer_database_is_refused(url: str) -> None:
    """What a later version wrote is not touched, and the message says so."""
    with opened(database_url(Path(), url)) as engine, engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(InputError, match=r"got 9999(?s:.*)newer stormproof"), opened(database_url(Path(), url)):
        pass


def test_a_foreign_table_is_left_alone(url: str) -> None:
    """A database that has a table `run` of somebody else is refused, and its table is as it was."""
    engine = create_engine(database_url(Path(), url))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE run (kilometres integer)"))

    with pytest.raises(InputError, match="tables run that are not ours"), opened(database_url(Path(), url)):
        pass
    with engine.connect() as connection:
        assert [] == list(connection.execute(text("SELECT kilometres FROM run")))
    engine.dispose()


def test_what_is_not_there_is_said_without_the_password(tmp_path: Path) -> None:
    """A server that nobody runs, a folder that is a file: one message each, no secret, no traceback."""
    secret = "postgresql://kim:hunter2@127.0.0.1:9/history"
    with pytest.raises(UnavailableError) as refused, opened(database_url(tmp_path, secret)):
        pass
    assert "hunter2" not in str(refused.value)
    assert "kim:***@127.0.0.1:9/history" in str(refused.value)
    assert "hunter2" not in shown(database_url(tmp_path, secret))
    broken = tmp_path / "history.sqlite"
    broken.write_text("no database at all, though long enough to be looked at" * 20)
    with pytest.raises(UnavailableError, match="not a database"), opened(database_url(tmp_path)):
        pass


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_another_kind_of_database_is_a_usage_error(url: str, tmp_path: Path) -> None:
    """Only files and PostgreSQL: anything else is refused before it is looked for."""
    with pytest.raises(UsageError):
        database_url(tmp_path, url)


def test_the_variable_names_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``$STORMPROOF_HISTORY_URL`` is used, and --url goes before it."""
    monkeypatch.setenv("STORMPROOF_HISTORY_URL", f"sqlite:///{tmp_path / 'team.sqlite'}")

    assert "added" == record_run(SAMPLE, reports=tmp_path / "reports")
    assert (tmp_path / "team.sqlite").exists()
    assert "added" == record_run(SAMPLE, url=f"sqlite:///{tmp_path / 'mine.sqlite'}")
    assert not (tmp_path / "reports").exists()


def test_recording_needs_no_migration_twice(tmp_path: Path) -> None:
    """Once the tables are there, Alembic is not even loaded: a nightly run does not pay for it."""
    record_run(SAMPLE, reports=tmp_path)
    code = (
        "import sys; from pathlib import Path; from stormproof.history import record_run;"
        f"print(record_run(Path({str(SAMPLE)!r}), reports=Path({str(tmp_path)!r})), 'alembic' in sys.modules)"
    )
    shown_ = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)

    assert "known False\n" == shown_.stdout


def test_a_write_that_fails_leaves_nothing_half(url: str) -> None:
    """A transaction that fails half-way leaves no run without its findings."""
    with opened(database_url(Path(), url)) as engine:
        broken = run(0, [finding(), finding(n=2**80)])  # too large for the column: the second row fails
        with pytest.raises((OverflowError, DBAPIError)):
            keep(engine, broken)

        assert [] == read_runs(engine)
