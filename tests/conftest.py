"""Fixtures that many folders share: databases, Redis, a browser, a clock that stands still."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog
from flask import Flask
from jinja2.bccache import Bucket, BytecodeCache
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from pdp.store.database import Database
from tests.builders import NOW, FrozenClock
from tests.databases import Databases, migrate
from tests.deployment import close_decision_logs
from tests.servers import ServerMissing, postgresql_server, redis_server

# A busy machine makes an example slow, not wrong.
hypothesis.settings.register_profile("pratique", deadline=None, print_blob=True)
hypothesis.settings.load_profile("pratique")

_QUIET_CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class _Compiled(BytecodeCache):
    """Templates compiled once for all applications of a test process."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


Flask.jinja_options = {"bytecode_cache": _Compiled()}


@pytest.fixture(autouse=True)
def _no_log_outlives_its_test() -> Iterator[None]:
    yield
    close_decision_logs()
    # A command that a test runs in this process sets up lines for a terminal that is gone then.
    structlog.reset_defaults()


@pytest.fixture
def clock() -> FrozenClock:
    """A clock that moves only when told to."""
    return FrozenClock(NOW)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A private PostgreSQL for this worker: `postgresql://…` of its maintenance database."""
    with postgresql_server() as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_databases(postgresql: str) -> Iterator[Databases]:
    """What `postgresql_url` lends."""
    databases = Databases(postgresql)
    yield databases
    databases.close()


@pytest.fixture
def postgresql_url(postgresql_databases: Databases) -> Iterator[str]:
    """The SQLAlchemy URL of a migrated, empty PostgreSQL database of this test's own."""
    with postgresql_databases.lent() as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file that others are copied from."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The SQLAlchemy URL of a migrated, empty SQLite database of this test's own."""
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'pratique.db')}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The SQLAlchemy URL of a migrated, empty database: every user runs on both kinds."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty, migrated database, of both kinds in turn."""
    database = Database.open(database_url)
    yield database
    close_decision_logs()
    database.close()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A private Redis for this worker, without persistence."""
    with redis_server() as url:
        yield url


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless Chromium: the system's, else the one that Playwright installed."""
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=_QUIET_CHROMIUM
            )
        except PlaywrightError as error:
            raise ServerMissing("Chromium") from error
        yield browser
        browser.close()
