"""One writer at a time: among the threads of a process, and among processes by a file lock.

Whoever waits is served in the order of arrival: SQLite's own busy handler sleeps and retries
instead, which starves writers for hundreds of milliseconds. Nobody waits for ever: a process that
holds the lock and hangs makes the others answer `Unavailable`.
"""

import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Final

from pdp.domain.errors import Unavailable

#: Seconds after which a thread ends that had no file to wait for.
_IDLE: Final = 60


class WriterLock:
    """Lets one holder at a time in, at `path` on disk; others wait for as long as `patience`.

    Threads queue here, so that of each process only one waits for the file: kernels queue such
    waiters fairly, but give none of them a deadline.
    """

    def __init__(self, path: str, patience: timedelta) -> None:
        self._path = path
        self._patience = patience.total_seconds()
        self._guard = threading.Lock()
        self._is_taken = False
        self._waiting: deque[threading.Lock] = deque()
        self._at_file = _AtFile(self._open)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock within the block; Unavailable if others keep it for too long."""
        deadline = time.monotonic() + self._patience
        self._queue(deadline)
        try:
            handle = self._lock_file(deadline)
            try:
                yield
            finally:
                os.close(handle)
        finally:
            self._pass_on()

    def taken_at_once(self) -> Callable[[], None] | None:
        """Take the lock and return what lets go of it; None if anybody holds it or waits for it."""
        with self._guard:
            if self._is_taken:
                return None
            self._is_taken = True
        handle = None
        try:
            handle = self._try_file()
        finally:
            if handle is None:
                self._pass_on()
        return None if handle is None else partial(self._let_go, handle)

    def _let_go(self, handle: int) -> None:
        try:
            os.close(handle)
        finally:
            self._pass_on()

    def _queue(self, deadline: float) -> None:
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        if turn.acquire(timeout=max(0, deadline - time.monotonic())):
            return
        with self._guard:
            if turn in self._waiting:
                self._waiting.remove(turn)
                raise _busy()
        # It was passed on to us in the very instant of giving up.

    def _pass_on(self) -> None:
        """Let the next in the queue go on: it takes the lock over, so that nobody slips in."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_taken = False

    def _lock_file(self, deadline: float) -> int:
        handle = self._try_file()
        if handle is None:
            handle = self._at_file.wait(deadline)
        if handle is None:
            raise _busy()
        return handle

    def _try_file(self) -> int | None:
        handle = self._open()
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError as error:
            os.close(handle)
            raise Unavailable("the database's folder keeps no locks") from error
        return handle

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable("the database's folder cannot be used") from error


class _AtFile:
    """Waits for the file in a thread of its own, which no deadline could call back.

    Whoever comes after one that gave up takes over what that one waited for, and its place in
    the kernel's queue. If nobody wants the lock once it is had, it is let go of at once.
    """

    def __init__(self, open_file: Callable[[], int]) -> None:
        self._open = open_file
        self._changed = threading.Condition()
        self._is_wanted = False
        self._locked: int | None = None
        self._thread: threading.Thread | None = None

    def wait(self, deadline: float) -> int | None:
        """Return the locked file, or None if it cannot be had by `deadline`."""
        with self._changed:
            # What was started before a fork is dead after it.
            if self._thread is None or not self._thread.is_alive():
                self._thread = self._started()
            self._is_wanted = True
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._locked is not None, max(0, deadline - time.monotonic())
            )
            handle, self._locked, self._is_wanted = self._locked, None, False
            return handle

    def _started(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name="writer-lock", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise Unavailable("the system gives this process no more threads") from error
        return thread

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._is_wanted, _IDLE):
                    self._thread = None
                    return
            handle = self._open()
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
            except OSError:
                os.close(handle)
                raise
            with self._changed:
                if self._is_wanted:
                    self._locked = handle
                    self._is_wanted = False
                    self._changed.notify_all()
                else:
                    os.close(handle)


def _busy() -> Unavailable:
    return Unavailable("another process holds the database's write lock")
