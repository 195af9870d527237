"""Tokens, checks and webhooks on the event loop: the door's own handlers, where nobody may wait.

Webhooks all on SQLite, which writes nearly twice as many of them from one thread as from many that
wait for each other; on PostgreSQL those that only confirm what is known.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from flask import Flask
from sqlalchemy.util import greenlet_spawn

from pdp.runtime import Runtime
from pdp.store.at_once import Reader, SqliteReader
from pdp.store.loop_writer import LoopWriter
from pdp.store.pipeline import PipelineReader
from pdp.web.door import Door, Environ, Headers, is_quick, is_webhook, only_reads


def reader_for(runtime: Runtime, loop: asyncio.AbstractEventLoop) -> Reader:
    """Return what reads this runtime's database on `loop`."""
    database = runtime.database
    if database.is_sqlite:
        return SqliteReader(database.engine)
    return PipelineReader(database.engine, loop)


#: Deliveries at once; more of them are for threads, so that no check waits behind a burst.
MOST_DELIVERIES: Final = 16
#: Bytes of a delivery that is read on the loop: of one signal, hardly of many.
LARGEST_DELIVERY: Final = 4 * 1024


class OnTheLoop:
    """Answers what can be answered on the loop of one process, between `start` and `stop`."""

    def __init__(
        self,
        app: Flask,
        make_reader: Callable[[Runtime, asyncio.AbstractEventLoop], Reader] = reader_for,
    ) -> None:
        self._app = app
        self._make_reader = make_reader
        self._reader: Reader | None = None
        self._deliveries = 0

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Open a reader and a writer, in the process that serves: neither outlives a fork."""
        runtime: Runtime = self._app.extensions["pdp"]
        self._reader = self._make_reader(runtime, loop)
        self._writer = LoopWriter(runtime.database, loop)
        self._door = Door(self._app, self._reader, self._writer)

    def stop(self) -> None:
        """Close both; every further request is a thread's."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
            self._writer.close()

    def knows(self, method: str, path: str) -> bool:
        """Tell whether it is worth a try."""
        return is_quick(method, path) or is_webhook(method, path)

    async def answer(self, environ: Environ) -> tuple[int, Headers, bytes] | None:
        """Return the answer; None if it is a thread's to give.

        From the beginning, or of the error that was left in `environ`.
        """
        if self._reader is None:
            return None
        if is_webhook(environ["REQUEST_METHOD"], environ["PATH_INFO"]):
            return await self._take_in(environ)
        told = await self._door.again(environ, self._reader)
        if told is not None:
            return told
        if self._reader.is_instant and only_reads(environ):
            return self._door.at_once(environ)
        # Wherever the work waits for an answer or a commit, the loop goes on.
        return await greenlet_spawn(self._door.at_once, environ)

    async def _take_in(self, environ: Environ) -> tuple[int, Headers, bytes] | None:
        length = environ["wsgi.input"].getbuffer().nbytes
        if self._deliveries >= MOST_DELIVERIES or length > LARGEST_DELIVERY:
            return None
        self._deliveries += 1
        try:
            return await greenlet_spawn(self._door.at_once, environ)
        finally:
            self._deliveries -= 1
