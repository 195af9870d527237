"""Writing from an event loop, for tests: a loop in a thread of its own, and a writer on it."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy.util import greenlet_spawn

from pdp.store.at_once import Writer
from pdp.store.database import Database, Transaction
from pdp.store.loop_writer import LoopWriter

#: Seconds after which a test that would hang gives up.
LIMIT = 30


def on_a_loop(database: Database, work: Callable[[LoopWriter], Awaitable[Any]]) -> Any:
    """Run `work` with a writer, and close the database."""

    async def run() -> Any:
        writer = LoopWriter(database, asyncio.get_running_loop())
        try:
            async with asyncio.timeout(LIMIT):
                return await work(writer)
        finally:
            writer.close()

    with ThreadPoolExecutor(max_workers=1) as thread:
        try:
            return thread.submit(asyncio.run, run()).result()
        finally:
            database.close()


async def single(writer: Writer, work: Callable[[Transaction], Any]) -> Any:
    """Write as a handler does; what was raised is returned."""
    try:
        return await greenlet_spawn(writer.single, work)
    except Exception as raised:  # noqa: BLE001  the test looks at it
        return raised


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop go round until something holds."""
    while not holds():
        await asyncio.wait({asyncio.ensure_future(asyncio.Event().wait())}, timeout=0.005)
