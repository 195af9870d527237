"""Decision records of checks that issue nothing: written in groups, at most a second late.

Introspection and UserInfo answer before their record is on disk: a crash may lose up to one
second of them, and no record of anything issued is ever among those. The same allow for an
unchanged (token, epochs, policies) is counted on its row, not stored again. When records cannot
be written for longer than `GRACE`, `is_writable` says so, and callers refuse to answer. Whatever
the reason, they stay and are tried again: nothing but the process' end takes them away.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

import structlog

from pdp import metrics
from pdp.domain.errors import Unavailable
from pdp.domain.ids import DecisionId, SessionId
from pdp.store import decisions, exposures
from pdp.store.database import Database, Value

FLUSH_EVERY: Final = timedelta(milliseconds=250)
GRACE: Final = timedelta(seconds=10)
#: Rows that wait at the most; beyond it checks are refused, instead of going unrecorded.
MOST_WAITING: Final = 50_000
_REMEMBERED: Final = 20_000

Key = tuple[object, ...]
_Waiting = tuple[dict[str, Value], SessionId | None]

_log: Final = structlog.get_logger(__name__)


class DecisionLog:
    """Collects records in one process; a thread of its own writes them."""

    def __init__(
        self, database: Database, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._rows: list[_Waiting] = []
        self._repeats: dict[DecisionId, int] = {}
        self._known: OrderedDict[Key, DecisionId] = OrderedDict()
        self._oldest: float | None = None
        self._due = threading.Event()
        self._stopping = threading.Event()
        self._trouble: type[Exception] | None = None
        self._thread: threading.Thread | None = None
        # Whatever a process before this one left waiting went with it.
        metrics.records_waited(0)

    @property
    def is_writable(self) -> bool:
        """Whether records reach the database in time; if not, no check may be answered."""
        oldest = self._oldest
        late = oldest is not None and self._monotonic() - oldest > GRACE.total_seconds()
        return not late and len(self._rows) < MOST_WAITING

    def count(self, key: Key) -> DecisionId | None:
        """Count one more answer equal to the recorded one of `key`; return its id.

        None if there is none, and nothing was counted.
        """
        with self._lock:
            decision_id = self._known.get(key)
            if decision_id is None:
                return None
            self._known.move_to_end(key)
            self._repeats[decision_id] = self._repeats.get(decision_id, 0) + 1
            self._wake()
        return decision_id

    def append(
        self,
        decision_id: DecisionId,
        row: dict[str, Value],
        *,
        session: SessionId | None,
        key: Key | None,
    ) -> None:
        """Add a record, about a session if any; with a `key`, equal answers are only counted."""
        with self._lock:
            self._rows.append((row, session))
            if key is not None:
                self._known[key] = decision_id
                if len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
            self._wake()

    def flush(self) -> None:
        """Write what has been collected; what cannot be written stays for the next try."""
        began = self._monotonic()
        with self._lock:
            rows, self._rows = self._rows, []
            repeats, self._repeats = self._repeats, {}
        if not rows and not repeats:
            return
        is_written = False
        try:
            self._write(rows, repeats)
            is_written = True
        finally:
            if is_written:
                self._are_written(began)
            else:
                self._put_back(rows, repeats)

    def close(self) -> None:
        """Write what is left and stop; what raises says why that could not be written."""
        self._stopping.set()
        self._due.set()
        if self._thread is not None:
            self._thread.join()
        try:
            self.flush()
        finally:
            # Nothing waits any more: it is written, or goes with this process.
            metrics.records_waited(0)

    def _write(self, rows: list[_Waiting], repeats: Mapping[DecisionId, int]) -> None:
        with self._database.write() as tx:
            for row, session in rows:
                if decisions.append_once(tx, row):
                    exposures.note_decision(tx, row, session)
            # Repeats of a group whose commit was not heard of count twice: better than not at all.
            for decision_id, times in repeats.items():
                decisions.count_repeats(tx, decision_id, times)

    def _are_written(self, began: float) -> None:
        with self._lock:
            # What came meanwhile came after the writing began.
            self._oldest = began if self._rows or self._repeats else None
        metrics.records_waited(0)

    def _put_back(self, rows: list[_Waiting], repeats: Mapping[DecisionId, int]) -> None:
        with self._lock:
            self._rows = rows + self._rows
            for decision_id, times in repeats.items():
                self._repeats[decision_id] = self._repeats.get(decision_id, 0) + times
            oldest = self._oldest
        if oldest is not None:
            metrics.records_waited(self._monotonic() - oldest)

    def _wake(self) -> None:
        if self._oldest is None:
            self._oldest = self._monotonic()
        # Started by the first record, not at import: a server forks before it answers, and what
        # was started before a fork is dead after it.
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="decision-log", daemon=True)
            self._thread.start()
        if not self._due.is_set():
            self._due.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._due.wait()
            self._due.clear()
            self._stopping.wait(FLUSH_EVERY.total_seconds())
            self._try_to_flush()

    def _try_to_flush(self) -> None:
        """Flush, and outlive what goes wrong: without this thread nothing may be answered."""
        try:
            self.flush()
        except Exception as error:  # noqa: BLE001  it is told, and tried again
            # Told once, and again when the trouble becomes another one.
            if type(error) is not self._trouble:
                _tell(error)
            self._trouble = type(error)
            self._due.set()
        else:
            if self._trouble is not None:
                _log.info("decisions.write.recovered")
            self._trouble = None


def _tell(error: Exception) -> None:
    if isinstance(error, Unavailable):
        _log.warning("decisions.write.postponed", problem=str(error))
    else:
        _log.error("decisions.write.failed", exc_info=error)
