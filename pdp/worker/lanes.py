"""Deliveries side by side, a few for each receiver: one that is slow holds up itself alone."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

#: Deliveries to one receiver that run at the same time.
WIDTH: Final = 2
#: Deliveries to one receiver that wait in memory: at 5 s each they are over before their claim is.
MOST_WAITING: Final = 40

Task = Callable[[], None]


@dataclass(slots=True)
class _Lane:
    running: int = 0
    waiting: deque[Task] = field(default_factory=deque)


class Lanes:
    """Runs tasks on a pool of threads, at most `WIDTH` of one lane at a time."""

    def __init__(self, *, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="delivery")
        self._lock = threading.Lock()
        self._lanes: dict[str, _Lane] = {}
        self._closed = False

    def offer(self, name: str, task: Task) -> bool:
        """Run `task` when its lane is free; False, and nothing will run, if too many wait."""
        with self._lock:
            lane = self._lanes.setdefault(name, _Lane())
            if self._closed or len(lane.waiting) >= MOST_WAITING:
                return False
            if lane.running >= WIDTH:
                lane.waiting.append(task)
            else:
                lane.running += 1
                self._pool.submit(self._run, name, task)
        return True

    def close(self) -> None:
        """Let what runs come to its end, and forget what waits: its claims will run out."""
        with self._lock:
            self._closed = True
            for lane in self._lanes.values():
                lane.waiting.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, name: str, task: Task) -> None:
        try:
            task()
        finally:
            self._next(name)

    def _next(self, name: str) -> None:
        with self._lock:
            lane = self._lanes[name]
            if lane.waiting and not self._closed:
                self._pool.submit(self._run, name, lane.waiting.popleft())
                return
            lane.running -= 1
            if not lane.running:
                del self._lanes[name]
