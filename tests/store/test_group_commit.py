"""Works that share a commit: each gets its own answer, after the disk has it, or none does."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta

import pytest

from pdp.domain.errors import Unavailable
from pdp.store import clients, single_use
from pdp.store.database import Database, Transaction
from pdp.store.group_commit import GroupCommit, GroupedWork
from pdp.store.single_use import Kind
from tests.builders import NOW
from tests.deployment import a_client

#: Seconds after which a test that would hang gives up.
PATIENCE = 30
LATER = NOW + timedelta(minutes=1)


def spending(value: str) -> Callable[[Transaction], bool]:
    """A work that uses a value up."""
    return lambda tx: single_use.spend(tx, Kind.DEVICE_NONCE, value, expires_at=LATER)


def is_spent(database: Database, value: str) -> bool:
    """Tell whether a value was used up, by trying to."""
    with database.write() as tx:
        return not spending(value)(tx)


def test_a_work_is_answered_and_stays(database: Database):
    assert database.grouped(spending("one")) is True
    assert database.grouped(spending("one")) is False
    assert is_spent(database, "one")


def test_a_work_that_raises_undoes_itself(database: Database):
    def fails(tx: Transaction) -> None:
        spending("one")(tx)
        raise LookupError("on purpose")

    with pytest.raises(LookupError, match="on purpose"):
        database.grouped(fails)

    assert not is_spent(database, "one")


def test_of_many_works_at_once_each_gets_its_own_answer_and_one_wins(database: Database):
    barrier = threading.Barrier(16)
    answers: dict[int, bool | str] = {}

    def work(number: int) -> None:
        def spend(tx: Transaction) -> bool:
            if number % 4 == 0:
                spending(f"own-{number}")(tx)
                raise LookupError(str(number))
            spending(f"own-{number}")(tx)
            return spending("shared")(tx)

        barrier.wait()
        try:
            answers[number] = database.grouped(spend)
        except LookupError as failure:
            answers[number] = str(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {answers[number] for number in range(0, 16, 4)} == {"0", "4", "8", "12"}
    assert sum(answer is True for answer in answers.values()) == 1
    assert all(is_spent(database, f"own-{number}") is (number % 4 != 0) for number in range(16))


def test_works_that_were_undone_with_another_are_run_again_and_kept(sqlite_url: str):
    def refuse(_tx: Transaction) -> None:
        raise LookupError("on purpose")

    database = Database.open(sqlite_url)
    works = [GroupedWork(work) for work in (spending("one"), refuse, spending("two"))]

    database.commit_all(works)

    assert [work.answer for work in works] == [True, None, True]
    assert [type(work.failure) for work in works] == [type(None), LookupError, type(None)]
    assert is_spent(database, "one")
    assert is_spent(database, "two")
    database.close()


def test_a_work_that_raised_once_and_then_ran_raises_nothing(sqlite_url: str):
    tries = iter([LookupError("the first time"), None])

    def flaky(tx: Transaction) -> bool:
        if (failure := next(tries)) is not None:
            raise failure
        return spending("flaky")(tx)

    database = Database.open(sqlite_url)
    works = [GroupedWork(flaky), GroupedWork(spending("other"))]

    database.commit_all(works)

    assert [(work.answer, work.failure) for work in works] == [(True, None), (True, None)]
    assert is_spent(database, "flaky")
    database.close()


def test_orm_changes_of_one_work_survive_the_undoing_of_another(sqlite_url: str):
    def refuse(tx: Transaction) -> None:
        clients.add(tx, a_client("lost"), now=NOW)
        raise LookupError("on purpose")

    database = Database.open(sqlite_url)
    added = GroupedWork(lambda tx: clients.add(tx, a_client("kept"), now=NOW))
    refused = GroupedWork(refuse)
    also_added = GroupedWork(lambda tx: clients.add(tx, a_client("kept-too"), now=NOW))

    database.commit_all([added, refused, also_added])

    with database.read() as tx:
        assert set(clients.load_all(tx)) == {"kept", "kept-too"}
    database.close()


def test_a_commit_that_fails_answers_nobody():
    def commit_all(works: object) -> None:
        assert isinstance(works, list)
        for work in works:
            work.run(None)
        raise Unavailable("the disk is full")

    group = GroupCommit(nullcontext, commit_all)

    with pytest.raises(Unavailable):
        group.run(lambda _tx: "issued")


class Turn:
    """A turn to write that is awaited until the test says whether it comes the first time."""

    def __init__(self, *, comes: bool) -> None:
        self.is_awaited, self.is_told = threading.Event(), threading.Event()
        self._comes = comes

    @contextmanager
    def held(self) -> Iterator[None]:
        self.is_awaited.set()
        assert self.is_told.wait(PATIENCE)
        comes, self._comes = self._comes, True
        if not comes:
            raise Unavailable("busy")
        yield


@pytest.mark.parametrize(
    ("comes", "told", "groups"),
    [
        pytest.param(True, ["done", "done", "done"], [3], id="they-share-its-commit"),
        pytest.param(False, ["busy", "done", "done"], [2], id="they-wait-on-if-it-never-comes"),
    ],
)
def test_works_may_come_while_the_turn_is_awaited(
    *, comes: bool, told: list[str], groups: list[int]
):
    turn, answers, sizes = Turn(comes=comes), [], []

    def commit_all(works: Sequence[GroupedWork]) -> None:
        sizes.append(len(works))
        for work in works:
            work.run(None)

    group = GroupCommit(turn.held, commit_all)

    def commit() -> None:
        try:
            answers.append(group.run(lambda _tx: "done"))
        except Unavailable:
            answers.append("busy")

    threads = [threading.Thread(target=commit) for _ in range(3)]
    threads[0].start()
    assert turn.is_awaited.wait(PATIENCE)
    for thread in threads[1:]:
        thread.start()
    while len(group._waiting) < len(threads):  # noqa: SLF001  that they wait is the point
        os.sched_yield()
    turn.is_told.set()
    for thread in threads:
        thread.join(PATIENCE)

    assert sorted(answers) == told
    assert sizes == groups


def test_an_unreadable_database_is_unavailable_to_every_work(sqlite_url: str):
    database = Database.open(sqlite_url)
    database.grouped(spending("one"))
    database.close()
    with open(str(database.engine.url.database), "wb") as file:  # noqa: PTH123  spoilt on purpose
        file.write(b"no database" * 10_000)

    with pytest.raises(Unavailable):
        database.grouped(spending("two"))
