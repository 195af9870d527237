"""Work of an event loop that may take its time: done in a thread, while the loop goes on."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from sqlalchemy.util import await_

T = TypeVar("T")

#: Threads; what comes beyond waits for one.
MOST_ASIDE: Final = 3


class Aside:
    """Threads beside `loop`, for whoever runs on it and can wait (`greenlet_spawn`)."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._threads = ThreadPoolExecutor(MOST_ASIDE, thread_name_prefix="aside")

    def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, or raise what it raises."""
        context = contextvars.copy_context()
        answer: T = await_(self._loop.run_in_executor(self._threads, context.run, work))
        return answer

    def close(self) -> None:
        """End the threads once they have done what they were given."""
        self._threads.shutdown(wait=False)
