"""A PostgreSQL that stands still keeps its sockets open: each wait for it ends all the same."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta

import psycopg
import pytest
import sqlalchemy as sa

from pdp.domain.errors import OutcomeUnknown, Unavailable
from pdp.store import single_use
from pdp.store.database import Database, Statement, Transaction, Value
from pdp.store.deadline import Unanswered
from tests.builders import NOW
from tests.servers import stopped

PID = Statement("SELECT pg_backend_pid()")
NEVER_PREPARED = Statement("SELECT 1")
LENGTH = Statement("SELECT length(cast(:text AS text))")
#: Enough for a busy machine to answer in, little enough to wait for.
BUSY, GRACE = timedelta(milliseconds=500), timedelta(milliseconds=100)
#: More than the kernel takes for a peer that reads nothing.
LONG: dict[str, Value] = {"text": "x" * 16_000_000}
IS_READY = b"R" + (8).to_bytes(4) + (0).to_bytes(4) + b"Z" + (5).to_bytes(4) + b"I"


@pytest.fixture
def impatient(postgresql_url: str) -> Iterator[Database]:
    """A database with one connection, so that what is used next is the one that stands still."""
    database = Database.open(postgresql_url, pool_size=1, busy_timeout=BUSY, grace=GRACE)
    yield database
    database.close()


def pid_of(tx: Transaction) -> int:
    row = tx.one(PID, {})
    assert row is not None
    return int(row[0])


def spend(tx: Transaction) -> bool:
    return single_use.spend(tx, single_use.Kind.DEVICE_NONCE, "once", expires_at=NOW)


SPOKEN: dict[str, Callable[[Transaction], object]] = {
    "a statement that is prepared": pid_of,
    "a statement that is not": lambda tx: tx.one(NEVER_PREPARED, {}),
    "a statement longer than the kernel takes": lambda tx: tx.one(LENGTH, LONG),
    "a statement of a session": lambda tx: tx.orm.execute(sa.text("SELECT 1")),
}


@pytest.mark.parametrize("speak", SPOKEN.values(), ids=SPOKEN)
@pytest.mark.parametrize("use", [Database.read, Database.write])
def test_a_server_that_stands_still_is_an_outage_and_what_is_asked_next_gets_a_new_connection(
    impatient: Database, use, speak
):
    with impatient.read() as tx:
        pid = pid_of(tx)
        tx.one(LENGTH, {"text": ""})

    with stopped(pid):
        with pytest.raises(Unavailable), use(impatient) as tx:
            speak(tx)
        with use(impatient) as tx:
            assert pid_of(tx) != pid


@pytest.mark.parametrize("use", [Database.read, Database.write])
def test_a_long_statement_does_not_wait_for_ever_where_no_kernel_watches_over_it(
    postgresql_url: str, use
):
    # On a socket file there is no `tcp_user_timeout`.
    url = sa.make_url(postgresql_url)
    with psycopg.connect(url.set(drivername="postgresql").render_as_string()) as connection:
        (folder,) = connection.execute("SHOW unix_socket_directories").fetchone() or ("",)
    url = url.set(host=None, query={"host": folder})
    database = Database.open(
        url.render_as_string(hide_password=False), pool_size=1, busy_timeout=BUSY, grace=GRACE
    )
    with database.read() as tx:
        pid = pid_of(tx)
        tx.one(LENGTH, {"text": ""})
    outages = []

    def ask() -> None:
        try:
            with use(database) as tx:
                tx.one(LENGTH, LONG)
        except Unavailable as error:
            outages.append(error)

    asking = threading.Thread(target=ask)
    with stopped(pid):
        asking.start()
        asking.join(20)
        is_over = not asking.is_alive()
    asking.join(20)
    database.close()

    assert is_over
    assert len(outages) == 1


def test_a_session_that_heard_nothing_has_closed_its_connection(impatient: Database):
    with impatient.read() as tx:
        pid = pid_of(tx)
    link = impatient.lend()

    with stopped(pid), pytest.raises(sa.exc.OperationalError) as raised:
        link.connection.execute(sa.text("SELECT 1"))

    assert isinstance(raised.value.orig, Unanswered)
    assert link.is_lost()
    impatient.take_back(link, sound=False)


def test_a_session_whose_connection_was_ended_is_not_told_that_it_waited(impatient: Database):
    link = impatient.lend()

    with pytest.raises(sa.exc.OperationalError) as raised:
        link.connection.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))

    assert isinstance(raised.value.orig, psycopg.errors.AdminShutdown)
    impatient.take_back(link, sound=False)


def test_what_was_done_before_the_server_stood_still_is_undone(impatient: Database):
    def is_stopped_in_the_middle() -> None:
        with impatient.write() as tx:
            assert spend(tx)
            with stopped(pid_of(tx)):
                tx.one(NEVER_PREPARED, {})

    with pytest.raises(Unavailable):
        is_stopped_in_the_middle()

    with impatient.write() as tx:
        assert spend(tx)


def test_a_commit_that_stays_unanswered_is_unknown_and_may_happen_later(
    impatient: Database, postgresql_url: str
):
    def is_stopped_before_commit(until_answered: ExitStack) -> None:
        with impatient.write() as tx:
            assert spend(tx)
            until_answered.enter_context(stopped(pid_of(tx)))

    with ExitStack() as until_answered, pytest.raises(OutcomeUnknown):
        is_stopped_before_commit(until_answered)

    # The row's key makes this wait until the other transaction has come to its end.
    patient = Database.open(postgresql_url)
    with patient.write() as tx:
        assert not spend(tx)
    patient.close()


def test_a_server_that_accepts_nobody_is_an_outage():
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        database = _over(frozen)
        with pytest.raises(Unavailable), database.read():
            pass
        database.close()


def test_a_server_that_lets_in_and_says_nothing_more_is_an_outage():
    over = threading.Event()

    def let_in(frozen: socket.socket) -> None:
        peer, _ = frozen.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(IS_READY)
            over.wait()

    with socket.create_server(("127.0.0.1", 0)) as frozen:
        frozen.settimeout(20)
        door = threading.Thread(target=let_in, args=(frozen,))
        door.start()
        database = _over(frozen)
        try:
            with pytest.raises(Unavailable), database.read():
                pass
        finally:
            over.set()
            door.join()
            database.close()


def _over(server: socket.socket) -> Database:
    port = server.getsockname()[1]
    url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres?sslmode=disable"
    return Database.open(f"{url}&gssencmode=disable", busy_timeout=BUSY, grace=GRACE)
