"""How whoever runs on an event loop waits at a socket: the loop goes on."""

import asyncio

from sqlalchemy.util import await_


class LoopPatience:
    """Waits for whoever runs on `loop` in a `greenlet_spawn`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def for_answer(self, socket: int, milliseconds: int) -> bool:
        """Let the loop go on until there is something to read; False if nothing comes in time."""
        happened: asyncio.Future[bool] = self._loop.create_future()
        late = self._loop.call_later(milliseconds / 1000, miss, happened)
        self._loop.add_reader(socket, _happen, happened)
        try:
            return await_(happened)
        finally:
            late.cancel()
            self._loop.remove_reader(socket)

    def for_room_or_answer(self, socket: int, milliseconds: int) -> bool:
        """Do the same, or until something can be sent."""
        room: asyncio.Future[bool] = self._loop.create_future()
        self._loop.add_writer(socket, _happen, room)
        self._loop.add_reader(socket, _happen, room)
        late = self._loop.call_later(milliseconds / 1000, miss, room)
        try:
            return await_(room)
        finally:
            late.cancel()
            self._loop.remove_reader(socket)
            self._loop.remove_writer(socket)


def _happen(happened: "asyncio.Future[bool]") -> None:
    if not happened.done():
        happened.set_result(True)


def miss(happened: "asyncio.Future[bool]") -> None:
    """Say of what is waited for that it does not happen in time."""
    if not happened.done():
        happened.set_result(False)
