"""Group commit: threads that want to write at the same time share one commit.

The first thread leads: it runs the works of all that wait, commits once, and each thread returns
with its own answer. While it waits for its turn, others may join; while it commits, the next group
gathers. If the commit fails, so does every work of the group: none was answered before it was on
disk.
"""

import contextvars
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, TypeVar

#: Works of one commit: enough to hide the disk, few enough to keep the wait short.
MOST_WORKS: Final = 64

T = TypeVar("T")


class GroupedWork:
    """One thread's work, run by whichever thread leads, in the context of its own."""

    __slots__ = ("_context", "_work", "answer", "failure", "is_settled")

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self._work = work
        self._context = contextvars.copy_context()
        self.answer: Any = None
        self.failure: BaseException | None = None
        #: Whether the group's commit is over, well or not.
        self.is_settled = False

    def run(self, tx: object) -> bool:
        """Run the work, maybe once more; False if it raised, which its own thread will raise."""
        self.failure = None
        try:
            self.answer = self._context.run(self._work, tx)
        except BaseException as failure:  # noqa: BLE001  raised again where it belongs
            self.failure = failure
            return False
        return True


class GroupCommit:
    """Gathers works, and lets one thread at a time commit those that wait.

    `turn` waits for the right to write; until it is had, works may join.
    """

    def __init__(
        self,
        turn: Callable[[], AbstractContextManager[None]],
        commit_all: Callable[[Sequence[GroupedWork]], None],
    ) -> None:
        self._turn = turn
        self._commit_all = commit_all
        self._waiting: list[GroupedWork] = []
        self._gathering = threading.Lock()
        self._leading = threading.Lock()

    def run(self, work: Callable[[Any], T]) -> T:
        """Return what `work` returns, or raise what it raises, once its group is committed."""
        mine = GroupedWork(work)
        with self._gathering:
            self._waiting.append(mine)
        while not mine.is_settled:
            # Whoever waited here may find that the thread before has done the work already.
            with self._leading:
                if not mine.is_settled:
                    self._lead()
        if mine.failure is not None:
            raise mine.failure
        answer: T = mine.answer
        return answer

    def _lead(self) -> None:
        # Who comes later has not waited as long, if the turn does not come.
        patient = len(self._waiting)
        group: list[GroupedWork] = []
        try:
            with self._turn():
                group = self._take(MOST_WORKS)
                self._commit_all(group)
        except BaseException as failure:  # noqa: BLE001  raised again in every thread of the group
            group = group or self._take(patient)
            for work in group:
                work.failure = work.failure or failure
        for work in group:
            work.is_settled = True

    def _take(self, most: int) -> list[GroupedWork]:
        with self._gathering:
            group, self._waiting = self._waiting[:most], self._waiting[most:]
        return group
