"""What an answer changes: written in one transaction after the answer was made, or not at all.

Deciding and signing need no lock, so they happen before the transaction that writes. Each step of
it checks again what the answer rested on; if anything has moved, nothing is written, the answer is
thrown away, and the request is looked at anew.
"""

from collections.abc import Callable

from pdp.store.database import Database, Transaction

#: Writes, and tells whether what it rests on still holds.
Step = Callable[[Transaction], bool]


class Moved(Exception):
    """Something that an answer rests on changed before it was written."""


class Changes:
    """The steps of one request's transaction, in order."""

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._is_single = False

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._steps)

    def then(self, step: Step) -> None:
        """Add a step."""
        self._steps.append(step)
        self._is_single = False

    def then_at_once(self, step: Step) -> None:
        """Add a step that is one statement on PostgreSQL: alone, it needs no transaction there."""
        self._is_single = not self._steps
        self._steps.append(step)

    def carry_out(self, database: Database) -> bool:
        """Write all or nothing; False if what the answer rests on has moved."""
        if self._is_single:
            return database.single(self._steps[0])
        try:
            database.grouped(self._run)
        except Moved:
            return False
        return True

    def _run(self, tx: Transaction) -> None:
        for step in self._steps:
            if not step(tx):
                raise Moved
