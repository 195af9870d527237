"""SQLite's one writer: in the order of arrival, and nobody waits for ever."""

import errno
import fcntl
import os
import threading
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from pdp.domain.errors import Unavailable
from pdp.store import single_use
from pdp.store.database import Database
from pdp.store.single_use import Kind
from pdp.store.writer_lock import WriterLock
from tests.builders import NOW

#: More than anything here takes, and what a test that would hang gives up after.
_PATIENCE = 30
LONG = timedelta(seconds=_PATIENCE)
BRIEF = timedelta(milliseconds=50)


@contextmanager
def held_elsewhere(path):
    """Hold the lock as another process would: through a file opened for itself."""
    with Path(path).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_a_writer_is_told_no_when_another_process_keeps_the_lock(tmp_path):
    lock = WriterLock(str(tmp_path / "lock"), BRIEF)

    with held_elsewhere(tmp_path / "lock"), pytest.raises(Unavailable), lock.held():
        pytest.fail("two hold the lock")


def test_all_who_wait_are_told_no_in_the_time_of_one(tmp_path):
    lock = WriterLock(str(tmp_path / "lock"), BRIEF)
    told = []

    def write():
        try:
            with lock.held():
                told.append("held")
        except Unavailable:
            told.append("busy")

    threads = [threading.Thread(target=write) for _ in range(40)]
    with held_elsewhere(tmp_path / "lock"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_PATIENCE)

    assert told == ["busy"] * 40


def test_the_lock_is_free_for_all_once_the_other_process_lets_go(tmp_path):
    path = str(tmp_path / "lock")
    lock = WriterLock(path, BRIEF)
    with held_elsewhere(path), pytest.raises(Unavailable), lock.held():
        pass

    # What it waited for in vain is not kept, whenever its helper comes to it: another process
    # gets it, and so does this one.
    other = WriterLock(path, LONG)
    for _ in range(200):
        with other.held():
            os.sched_yield()
        os.sched_yield()
    patient = WriterLock(path, LONG)
    with patient.held():
        pass


def test_a_lock_that_was_waited_for_is_free_once_it_was_let_go(tmp_path):
    path = str(tmp_path / "lock")
    lock, got = WriterLock(path, LONG), threading.Event()

    def write():
        with lock.held():
            got.set()

    with held_elsewhere(path):
        thread = threading.Thread(target=write)
        thread.start()
        # It waits for the file by now, in the helper's hands.
        while not any(each.name == "writer-lock" for each in threading.enumerate()):
            os.sched_yield()
    thread.join(_PATIENCE)
    assert got.is_set()

    for _ in range(3):
        with WriterLock(path, LONG).held():
            pass
        with lock.held():
            pass


def test_a_lock_is_taken_at_once_or_not_at_all(tmp_path):
    path = str(tmp_path / "lock")
    lock, other = WriterLock(path, LONG), WriterLock(path, LONG)

    let_go = lock.taken_at_once()
    assert let_go is not None
    assert lock.taken_at_once() is None
    assert other.taken_at_once() is None
    let_go()
    again = other.taken_at_once()
    assert again is not None
    assert lock.taken_at_once() is None
    again()
    with lock.held():
        assert lock.taken_at_once() is None


def test_a_folder_that_keeps_no_locks_is_unavailable_and_leaves_no_file_open(tmp_path, monkeypatch):
    lock = WriterLock(str(tmp_path / "lock"), LONG)

    def no_locks(_handle, _operation):
        raise OSError(errno.ENOLCK, "No locks available")

    before = len([*Path("/proc/self/fd").iterdir()])
    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", no_locks)
        with pytest.raises(Unavailable, match="keeps no locks"):
            lock.taken_at_once()
        with pytest.raises(Unavailable, match="keeps no locks"), lock.held():
            pass
    assert len([*Path("/proc/self/fd").iterdir()]) == before

    with lock.held():
        pass


def test_whoever_comes_after_one_that_gave_up_gets_the_lock_when_it_is_free(tmp_path):
    path = str(tmp_path / "lock")
    lock = WriterLock(path, timedelta(seconds=1))
    got = threading.Event()

    def write():
        with lock.held():
            got.set()

    with held_elsewhere(path):
        with pytest.raises(Unavailable), lock.held():
            pass
        thread = threading.Thread(target=write)
        thread.start()
    thread.join(_PATIENCE)

    assert got.is_set()


def test_threads_are_served_in_the_order_of_their_arrival(tmp_path):
    lock = WriterLock(str(tmp_path / "lock"), LONG)
    served = []

    def write(number):
        with lock.held():
            served.append(number)

    threads = []
    with lock.held():
        for number in range(8):
            threads.append(threading.Thread(target=write, args=(number,)))
            threads[-1].start()
            # The order in which they come to wait is the point.
            while len(lock._waiting) <= number:  # noqa: SLF001
                os.sched_yield()
    for thread in threads:
        thread.join(_PATIENCE)

    assert served == list(range(8))


def test_two_processes_never_hold_the_lock_together(tmp_path):
    path = str(tmp_path / "lock")
    # A lock object each, as two processes have.
    locks = [WriterLock(path, LONG), WriterLock(path, LONG)]
    inside, most = [], []

    def write(lock):
        for _ in range(50):
            with lock.held():
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=write, args=(lock,)) for lock in locks for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_PATIENCE)

    assert len(most) == 400
    assert set(most) == {1}


def test_a_database_answers_unavailable_after_its_busy_timeout(sqlite_url, tmp_path):
    database = Database.open(sqlite_url, busy_timeout=BRIEF)

    def spend(tx):
        return single_use.spend(tx, Kind.DEVICE_NONCE, "n", expires_at=NOW)

    with held_elsewhere(tmp_path / "pratique.db.lock"):
        with pytest.raises(Unavailable), database.write():
            pytest.fail("two hold the lock")
        with pytest.raises(Unavailable):
            database.grouped(spend)

    assert database.grouped(spend)
    database.close()
