"""Readiness says no in time, names what did not answer, and asks for nothing twice."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from pdp.store.database import Database, Statement
from pdp.usecases.check_in_time import PromptReadiness
from pdp.usecases.check_readiness import ORDER, Check, check_readiness, look
from tests.builders import FrozenClock
from tests.deployment import a_deployment
from tests.servers import stopped

SHORT = timedelta(milliseconds=200)
LONG = timedelta(seconds=20)
PID = Statement("SELECT pg_backend_pid()")
DATABASE = Check(name="database", ok=True, detail="PostgreSQL")


def _wrong(found):
    return {check.name: check.detail for check in found.checks if not check.ok}


def _looking():
    return [each for each in threading.enumerate() if each.name == "readiness"]


def _until_none_looks():
    for thread in _looking():
        thread.join(20)
    assert not _looking()


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[1])


@pytest.mark.parametrize("knew_it", [True, False], ids=["a-connection", "new-connections"])
def test_a_postgresql_that_stands_still_is_told_in_time_and_asked_once(postgresql_url, knew_it):
    database = Database.open(postgresql_url, pool_size=4)
    with database.engine.connect() as connection:
        clock = FrozenClock(connection.exec_driver_sql("SELECT now()").scalar_one())
    runtime = a_deployment(database, clock)
    with database.read() as tx:
        (pid,) = tx.one(PID, {}) or (0,)
    server = _parent(pid)
    if not knew_it:
        database.close()
    readiness = PromptReadiness(
        lambda: look(database, runtime.configurations, clock), within=timedelta(milliseconds=500)
    )

    with stopped(server, *([pid] if knew_it else [])):
        told = [_wrong(readiness()) for _ in range(3)]
        looking = len(_looking())
    _until_none_looks()
    after = PromptReadiness(lambda: look(database, runtime.configurations, clock), within=LONG)()
    database.close()

    assert [each["database"] for each in told] == [
        "no answer within 0.5 s",
        "still no answer",
        "still no answer",
    ]
    assert all(each.keys() == set(ORDER) for each in told)
    assert looking == 1
    # Time went by meanwhile, if not for our clock.
    assert _wrong(after).keys() <= {"clock"}


def test_in_time_the_same_is_told_as_without_any_hurry(sqlite_url, clock):
    database = Database.open(sqlite_url)
    runtime = a_deployment(database, clock)
    parts = (database, runtime.configurations, clock)
    told = PromptReadiness(lambda: look(*parts), within=LONG)()
    patiently = check_readiness(*parts)
    database.close()

    assert told == patiently
    assert told.is_ready


def test_what_had_answered_is_told_and_the_first_that_had_not_is_named():
    go_on = threading.Event()

    def slow():
        yield DATABASE
        go_on.wait(20)

    found = PromptReadiness(slow, within=SHORT)()
    go_on.set()
    _until_none_looks()

    assert found.checks[0] == DATABASE
    assert _wrong(found) == {
        "schema": "no answer within 0.2 s",
        **dict.fromkeys(ORDER[2:], "not looked at"),
    }


def test_what_was_slow_is_looked_at_anew_once_it_has_answered():
    go_on, begun = threading.Event(), []

    def slow():
        begun.append(1)
        go_on.wait(20)
        yield from (Check(name=name, ok=True, detail="") for name in ORDER)

    readiness = PromptReadiness(slow, within=SHORT)
    hasty = readiness().is_ready
    go_on.set()
    _until_none_looks()

    assert (hasty, readiness().is_ready, len(begun)) == (False, True, 2)


def test_who_asks_while_another_waits_hears_what_that_one_hears():
    go_on, begun = threading.Event(), threading.Semaphore(0)

    def slow():
        begun.release()
        go_on.wait(20)
        yield from (Check(name=name, ok=True, detail="") for name in ORDER)

    readiness, heard = PromptReadiness(slow, within=LONG), []
    askers = [threading.Thread(target=lambda: heard.append(readiness())) for _ in range(2)]
    for asker in askers:
        asker.start()
    assert begun.acquire(timeout=20)
    looking = len(_looking())
    go_on.set()
    for asker in askers:
        asker.join(20)

    assert looking == 1
    assert [each.is_ready for each in heard] == [True, True]


def test_a_look_that_fails_as_nobody_foresaw_is_not_ready_and_the_next_one_looks_again(monkeypatch):
    failed: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)

    def broken():
        yield DATABASE
        raise LookupError("on purpose")

    readiness = PromptReadiness(broken, within=LONG)
    told = [_wrong(readiness())["schema"] for _ in range(2)]

    assert told == ["could not be looked at: see the log"] * 2
    assert [each.exc_type for each in failed] == [LookupError, LookupError]
