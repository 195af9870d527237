"""Work of an event loop that may take its time: done in a thread, while the loop goes on."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from sqlalchemy.util import await_

from pdp.domain.errors import Unavailable

T = TypeVar("T")

#: Threads; what comes beyond waits for one.
MOST_ASIDE: Final = 3


class Aside:
    """Threads beside `loop`, for whoever runs on it and can wait (`greenlet_spawn`)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, patience: float) -> None:
        """Begin; `patience` is how many seconds a work may wait for a thread."""
        self._loop = loop
        self._patience = patience
        self._threads = ThreadPoolExecutor(MOST_ASIDE, thread_name_prefix="aside")

    def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, or raise what it raises.

        Unavailable, and nothing was done, if no thread gets free in time.
        """
        context = contextvars.copy_context()
        job = self._threads.submit(context.run, work)
        given_up: list[bool] = []
        # Nothing happens to one that has begun.
        late = self._loop.call_later(self._patience, lambda: given_up.append(job.cancel()))
        try:
            answer: T = await_(asyncio.wrap_future(job, loop=self._loop))
        except asyncio.CancelledError:
            if any(given_up):
                raise Unavailable("every thread for changes is in use") from None
            raise
        finally:
            late.cancel()
        return answer

    def close(self) -> None:
        """End the threads once they have done what they were given."""
        self._threads.shutdown(wait=False)
