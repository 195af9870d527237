"""Checks of tokens on the event loop: the door's own handlers, over a reader that never waits."""

import asyncio
from collections.abc import Callable
from functools import partial

from flask import Flask

from pdp.runtime import Runtime
from pdp.store.at_once import Reader, SqliteReader
from pdp.store.pipeline import PipelineReader
from pdp.web.door import Door, Environ, Headers, is_check


def reader_for(runtime: Runtime, loop: asyncio.AbstractEventLoop) -> Reader:
    """Return what reads this runtime's database on `loop`."""
    database = runtime.database
    if database.is_sqlite:
        return SqliteReader(database.engine)
    return PipelineReader(database.engine, loop)


class Checks:
    """Answers checks of tokens on the loop of one process, between `start` and `stop`."""

    def __init__(
        self,
        app: Flask,
        make_reader: Callable[[Runtime, asyncio.AbstractEventLoop], Reader] = reader_for,
    ) -> None:
        self._app = app
        self._make_reader = make_reader
        self._reader: Reader | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Open a reader, in the process that serves: none outlives a fork."""
        self._reader = self._make_reader(self._app.extensions["pdp"], loop)
        self._door = Door(self._app, self._reader)

    def stop(self) -> None:
        """Close the reader; every further check is a thread's."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def knows(self, method: str, path: str) -> bool:
        """Tell whether it is worth a try."""
        return is_check(method, path)

    async def answer(self, environ: Environ) -> tuple[int, Headers, bytes] | None:
        """Return the answer; None if it is to be found in a thread, from the beginning."""
        if self._reader is None:
            return None
        return await self._reader.host(partial(self._door.at_once, environ))
