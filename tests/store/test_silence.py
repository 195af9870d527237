"""A database that says nothing is asked by one at a time; the others are told at once."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest

from pdp.domain.errors import Unavailable
from pdp.store.database import Database, Statement
from pdp.store.silence import TRY_EVERY, Silence
from tests.servers import stopped
from tests.store.test_frozen_servers import pid_of

ONE = Statement("SELECT 1")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_whoever_speaks_is_asked():
    silence = Silence()

    assert not silence.is_on
    assert silence.may_ask()
    silence.begin()
    silence.end()
    assert silence.may_ask()


def test_one_tries_at_once_and_another_when_that_has_taken_long():
    clock = Clock()
    silence = Silence(clock)
    silence.begin()

    assert silence.may_ask()
    clock.now += 1
    assert not silence.may_ask()
    # What others find out meanwhile changes nothing about whose turn it is.
    silence.begin()
    clock.now += TRY_EVERY - 1.1
    assert not silence.may_ask()
    clock.now += 0.1
    assert silence.may_ask()
    assert not silence.may_ask()


def test_whoever_comes_just_after_a_try_began_waits_for_what_it_finds_out():
    silence = Silence()
    silence.begin()
    assert silence.may_ask()
    asked = threading.Event()

    def other() -> bool:
        asked.set()
        return silence.may_ask()

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(other)
        asked.wait()
        silence.end()
        assert answer.result() is True


def test_a_new_silence_is_tried_at_once():
    silence = Silence(Clock())
    silence.begin()
    assert silence.may_ask()
    silence.end()
    silence.begin()
    assert silence.may_ask()


def test_of_many_that_ask_a_server_that_accepts_nobody_all_hear_so_in_the_time_of_one():
    busy = timedelta(seconds=2)
    with socket.create_server(("127.0.0.1", 0)) as frozen, ThreadPoolExecutor(2) as pool:
        port = frozen.getsockname()[1]
        url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres?sslmode=disable"
        database = Database.open(f"{url}&gssencmode=disable", busy_timeout=busy)

        def ask(_number: int) -> None:
            with pytest.raises(Unavailable), database.read() as tx:
                tx.one(ONE, {})

        began = time.monotonic()
        list(pool.map(ask, range(40)))
        # Two wait for the first, one for the second; each try alone takes two seconds.
        assert time.monotonic() - began < 10
        database.close()


def silenced(url: str) -> Database:
    """A database whose server stood still, and goes on now."""
    database = Database.open(
        url, busy_timeout=timedelta(milliseconds=500), grace=timedelta(milliseconds=100)
    )
    with database.read() as tx:
        pid = pid_of(tx)
    with stopped(pid), pytest.raises(Unavailable), database.read() as tx:
        tx.one(ONE, {})
    return database


def test_a_server_that_refuses_a_statement_is_silent_no_more(postgresql_url: str):
    database = silenced(postgresql_url)
    with pytest.raises(psycopg.errors.DivisionByZero), database.write() as tx:
        tx.one(Statement("SELECT 1 / 0"), {})

    # Nobody needs to wait for another try, however many ask.
    with database.read() as one, database.read() as other:
        assert one.one(ONE, {}) == other.one(ONE, {}) == (1,)
    database.close()


def test_a_server_that_is_woken_is_asked_again_by_everybody(postgresql_url: str):
    database = silenced(postgresql_url)

    for _ in range(3):
        with database.read() as tx:
            assert tx.one(ONE, {}) == (1,)
    database.close()
