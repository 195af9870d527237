"""An event loop beside the test, as each HTTP process has one."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from threading import Thread
from typing import Any, TypeVar

from sqlalchemy.util import greenlet_spawn

from pdp.oidc import endpoints
from pdp.oidc.again import answer_again
from pdp.oidc.request import Answer, Call
from pdp.oidc.server import Server
from pdp.runtime import Runtime
from pdp.store.at_once import NotAtOnce, Reader
from pdp.store.loop_writer import LoopWriter
from pdp.store.pipeline import PipelineReader
from pdp.web.on_the_loop import reader_for
from pdp.web.receive_webhook import Answer as Delivered
from pdp.web.receive_webhook import Request, receive_webhook

T = TypeVar("T")

_AT_ONCE = (endpoints.token, endpoints.introspect, endpoints.userinfo)


class LoopOfProcess:
    """Answers as `pdp.web.on_the_loop` does, for whoever calls from any thread."""

    def __init__(self, runtime: Runtime) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._database = runtime.database
        self._reader, self._writer = self._run(self._open(runtime))

    def answer(
        self, endpoint: Callable[[Server, Call], Answer], server: Server, call: Call
    ) -> Answer:
        """Answer on the loop; in this thread what takes longer, and what is not for the loop."""
        if endpoint is endpoints.introspect:
            again = self._run(answer_again(server, self._reader, call))
            if again is not None:
                return again
        if endpoint in _AT_ONCE:
            at_once = server.at_once(self._reader, self._writer)
            try:
                return self._run(greenlet_spawn(endpoint, at_once, call))
            except NotAtOnce:
                pass
        return endpoint(server, call)

    def receive(self, runtime: Runtime, request: Request) -> Delivered:
        """Take a delivery in on the loop; in this thread what takes longer, or another database."""
        if runtime.database is not self._database:
            return receive_webhook(runtime, request)
        at_once = Server(runtime).at_once(self._reader, self._writer)
        try:
            return self._run(greenlet_spawn(receive_webhook, at_once.runtime, request))
        except NotAtOnce:
            return receive_webhook(runtime, request)

    def close(self) -> None:
        """End the loop and what it holds."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self, runtime: Runtime) -> tuple[Reader, LoopWriter]:
        reader = reader_for(runtime, self._loop)
        async with asyncio.timeout(20):
            while isinstance(reader, PipelineReader) and not reader.is_open:
                await self._loop.run_in_executor(None, os.sched_yield)
        return reader, LoopWriter(runtime.database, self._loop)

    async def _close(self) -> None:
        self._reader.close()
        self._writer.close()
