"""A database that is away: commands and readiness say what it said, and never the password."""

import json
import socket
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from tests.servers import free_port

PASSWORD = "sEcret7"
START, MEND = "start it, or mend database.url", "mend what it says, or database.url"
ROLE, GROUP = "harbour", "asked_for_password"


@pytest.fixture(scope="module")
def place(postgresql):
    """Host and port of a PostgreSQL that asks the role `harbour` for its password."""
    make = sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'another' IN ROLE {}")
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(GROUP)))
        connection.execute(make.format(sql.Identifier(ROLE), sql.Identifier(GROUP)))
    yield urlsplit(postgresql).netloc.rpartition("@")[2]
    with psycopg.connect(postgresql, autocommit=True) as connection:
        for name in (ROLE, GROUP):
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture
def silent():
    """Host and port of somebody who takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


CASES = {
    "unknown role": (
        lambda place, _: f"nosuch:{PASSWORD}@{place}/postgres",
        'the database says: role "nosuch" does not exist',
        MEND,
    ),
    "unknown database": (
        lambda place, _: f"postgres:{PASSWORD}@{place}/nosuch",
        'the database says: database "nosuch" does not exist',
        MEND,
    ),
    "wrong password": (
        lambda place, _: f"{ROLE}:{PASSWORD}@{place}/postgres",
        f'the database says: password authentication failed for user "{ROLE}"',
        MEND,
    ),
    "no password": (
        lambda place, _: f"{ROLE}@{place}/postgres",
        "the database does not answer (it asks for a password, and database.url has none)",
        START,
    ),
    "closed port": (
        lambda _, __: f"postgres:{PASSWORD}@127.0.0.1:{free_port()}/postgres",
        "the database does not answer (connection refused)",
        START,
    ),
    "unknown host": (
        lambda _, __: f"postgres:half@{PASSWORD}.invalid/postgres",
        "the database does not answer (host not found)",
        START,
    ),
    "silence": (
        lambda _, silent: f"postgres:{PASSWORD}@{silent}/postgres",
        "the database does not answer (no answer in time)",
        START,
    ),
}


@pytest.fixture
def case(request, place, silent, monkeypatch):
    """What is to be said of a database that is away, and its cure."""
    url, said, cure = request.param
    monkeypatch.setenv("PDP__DATABASE__URL", f"postgresql+psycopg://{url(place, silent)}")
    monkeypatch.setenv("PDP__DATABASE__BUSY_TIMEOUT", "1")
    return said, cure


@pytest.mark.parametrize("case", CASES.values(), ids=CASES, indirect=True)
def test_what_keeps_us_from_the_database_is_said_and_its_password_is_not(shell, case):
    said, cure = case
    refused = shell.refused("user", "list", code=1)
    # It looks as /readyz does.
    doctor = shell.run("--output", "json", "doctor")

    assert f"{said}: {cure} (`pdp config show`)" in refused
    (found,) = [each for each in json.loads(doctor.stdout) if each["check"] == "database"]
    assert (found["found"], found["cure"]) == (said, cure)
    assert PASSWORD not in refused + doctor.output
