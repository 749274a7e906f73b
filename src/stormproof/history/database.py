"""Where the history is kept, and how it is opened: SQLite in the reports folder, or any PostgreSQL by URL."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from stormproof.errors import InputError, UnavailableError, UsageError

FILE_NAME = "history.sqlite"
URL_VARIABLE = "STORMPROOF_HISTORY_URL"
MIGRATIONS = "stormproof.history:migrations"
BUSY_S = 30.0  # how long a writer waits for another one
_PG_LOCK = 0x53746F726D  # any number that is ours alone: one migration at a time in a database
_DRIVER = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "sqlite": "sqlite"}


def database_url(reports: Path, url: str | None = None) -> URL:
    """*url*, else ``$STORMPROOF_HISTORY_URL``, else the SQLite file in *reports*. `UsageError` for any other kind."""
    chosen = url or os.environ.get(URL_VARIABLE)
    if not chosen:
        return URL.create("sqlite", database=str(reports / FILE_NAME))
    hint = "sqlite:///reports/history.sqlite or postgresql://user@host/database"
    try:
        parsed = make_url(chosen)
    except ArgumentError as error:
        raise UsageError("--url: expected the URL of a database, got something else", hint=hint) from error
    backend = parsed.drivername.partition("+")[0]
    if backend not in _DRIVER:
        raise UsageError(f"--url: expected sqlite or postgresql, got {backend}", hint=hint)
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise UsageError("--url: expected a file, got a database in memory", hint=hint)
    return parsed.set(drivername=_DRIVER[backend])


@contextlib.contextmanager
def opened(url: URL) -> Iterator[Engine]:
    """The database at *url*, brought to the newest schema; closed at the end.

    Raises `UnavailableError` when it cannot be reached or written to, `InputError` when it is of a newer version or
    holds somebody else's tables. Passwords are in no message.
    """
    try:
        engine = _engine(url)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise UnavailableError(
            f"history at {shown(url)}: its driver is not installed", hint="pip install 'stormproof[postgresql]'"
        ) from error
    try:
        _migrate(engine, url)
        yield engine
    except DBAPIError as error:
        said = str(error.orig).strip().partition("\n")[0]
        raise UnavailableError(f"history at {shown(url)}: {_without_secret(said, url)}") from error
    except SQLAlchemyError as error:
        raise UnavailableError(f"history at {shown(url)}: {_without_secret(str(error), url)}") from error
    finally:
        engine.dispose()


def shown(url: URL) -> str:
    """*url* as people may see it."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.render_as_string(hide_password=True).replace("postgresql+psycopg", "postgresql")


def _without_secret(said: str, url: URL) -> str:
    return said.replace(str(url.password), "***") if url.password else said


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10})
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_S})

    @event.listens_for(engine, "connect")
    def _settle(connection: object, _record: object) -> None:
        # Off by default in SQLite, and per connection; what PostgreSQL refuses is refused here, too.
        connection.execute("PRAGMA foreign_keys = ON")  # type: ignore[attr-defined]

    return engine


def _migrate(engine: Engine, url: URL) -> None:
    """Bring the tables to the newest revision, one process at a time; nothing is loaded when they are there already."""
    newest = _revisions()[-1]
    with engine.connect() as connection:
        if _revision(connection) == newest:
            return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    config.set_main_option("path_separator", "os")
    with _one_at_a_time(url), engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _PG_LOCK})
        found = _revision(connection)
        _refuse_foreign(connection, found, url)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextlib.contextmanager
def _one_at_a_time(url: URL) -> Iterator[None]:
    """SQLite begins a transaction at the first write only, so two who look at once would both migrate."""
    if url.get_backend_name() != "sqlite":
        yield
        return
    with Path(f"{url.database}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _refuse_foreign(connection: Connection, found: str | None, url: URL) -> None:
    known = _revisions()
    if found is not None and found not in known:
        raise InputError(
            where=shown(url),
            what="schema",
            expected=f"revision {known[-1]} or older",
            got=found,
            hint="it was written by a newer stormproof: use that one",
        )
    if found is None and (others := sorted(set(inspect(connection).get_table_names()) & {"run", "finding"})):
        raise InputError(
            where=shown(url),
            what="schema",
            expected="a database of stormproof's, or one without such tables",
            got=f"tables {', '.join(others)} that are not ours",
            hint="give the history a database of its own",
        )


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _revisions() -> list[str]:
    """All revisions that this version knows, oldest first: a file each, named after it."""
    folder = Path(__file__).parent / "migrations" / "versions"
    return sorted(path.stem[1:].partition("_")[0] for path in folder.glob("m[0-9]*.py"))
