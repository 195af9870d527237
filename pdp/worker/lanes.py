"""Deliveries side by side, a few for each receiver: one that is slow or away holds up itself alone.

A dozen that hang at the same moment may still hold others up, once: then they rest.
A receiver that fails rests, longer with each failure in a row, and is then tried with one delivery:
its backlog costs neither threads nor claims meanwhile.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from pdp.worker.back_off import back_off

#: Deliveries to one receiver that run at the same time.
WIDTH: Final = 2
#: Deliveries to one receiver that wait in memory: enough to go on while more are claimed, and
#: over well before their claim is.
MOST_WAITING: Final = 4
#: Deliveries that one may have to wait for, its own counted.
LONGEST_QUEUE: Final = 1 + MOST_WAITING // WIDTH
LONGEST_REST: Final = timedelta(minutes=1)

T = TypeVar("T")


@dataclass(slots=True)
class _Lane(Generic[T]):
    running: int = 0
    waiting: deque[T] = field(default_factory=deque)
    failures: int = 0
    rests_until: datetime | None = None

    def rests(self, now: datetime) -> bool:
        return self.rests_until is not None and now < self.rests_until

    @property
    def is_forgettable(self) -> bool:
        return not (self.running or self.waiting or self.failures)


class Lanes(Generic[T]):
    """Does `work` with each task on a pool of threads, at most `WIDTH` of one receiver at a time.

    `on_room` is called, from any thread, when a receiver could be given more.
    """

    def __init__(
        self, work: Callable[[T], None], *, threads: int, on_room: Callable[[], None]
    ) -> None:
        self._work = work
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="delivery")
        self._on_room = on_room
        self._lock = threading.Lock()
        self._lanes: dict[str, _Lane[T]] = {}
        #: Tasks of lanes that have room for them, until a thread is free.
        self._ready: deque[tuple[str, T]] = deque()
        self._idle_threads = threads
        self._closed = False

    def room(self, receiver: str, now: datetime) -> int:
        """Return how many more deliveries to `receiver` may be taken on."""
        with self._lock:
            lane = self._lanes.get(receiver)
            if self._closed:
                return 0
            if lane is None:
                return WIDTH + MOST_WAITING
            taken = lane.running + len(lane.waiting)
            if lane.failures:
                return 0 if lane.rests(now) or taken else 1
            return max(0, WIDTH + MOST_WAITING - taken)

    def rests(self, receiver: str, now: datetime) -> bool:
        """Tell whether `receiver` is left alone: it failed a short while ago."""
        with self._lock:
            lane = self._lanes.get(receiver)
            return lane is not None and lane.rests(now)

    def start(self, receiver: str, task: T) -> None:
        """Do the work when its turn comes; never, if the lanes are closed before."""
        with self._lock:
            if self._closed:
                return
            lane = self._lanes.setdefault(receiver, _Lane())
            if lane.running >= WIDTH:
                lane.waiting.append(task)
            else:
                lane.running += 1
                self._ready.append((receiver, task))
                self._give_threads()

    def failed(self, receiver: str, *, now: datetime, chance: float) -> None:
        """Let `receiver` rest: it could not be reached, or could not answer."""
        with self._lock:
            lane = self._lanes.setdefault(receiver, _Lane())
            if lane.rests_until is None or now >= lane.rests_until:
                lane.failures += 1
                lane.rests_until = now + back_off(lane.failures, chance, LONGEST_REST)

    def answered(self, receiver: str) -> None:
        """Let `receiver` have its full width again."""
        with self._lock:
            lane = self._lanes.get(receiver)
            if lane is not None:
                lane.failures, lane.rests_until = 0, None

    def close(self) -> list[T]:
        """Begin nothing more; return what waits, which will not be done here."""
        with self._lock:
            self._closed = True
            left = [task for _, task in self._ready]
            self._ready.clear()
            for lane in self._lanes.values():
                left += lane.waiting
                lane.waiting.clear()
        return left

    def wait(self) -> None:
        """Return once everything that runs in closed lanes has come to its end."""
        self._pool.shutdown(wait=True)

    def _give_threads(self) -> None:
        # The pool holds nothing that waits: what it was given runs.
        while self._idle_threads and self._ready:
            self._idle_threads -= 1
            self._pool.submit(self._run, *self._ready.popleft())

    def _run(self, receiver: str, task: T) -> None:
        try:
            self._work(task)
        finally:
            self._next(receiver)

    def _next(self, receiver: str) -> None:
        with self._lock:
            lane = self._lanes[receiver]
            self._idle_threads += 1
            if lane.waiting:
                self._ready.append((receiver, lane.waiting.popleft()))
            else:
                lane.running -= 1
            self._give_threads()
            has_room = len(lane.waiting) < MOST_WAITING // 2
            if lane.is_forgettable:
                del self._lanes[receiver]
        if has_room:
            self._on_room()
