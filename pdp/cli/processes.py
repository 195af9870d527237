"""Child processes: started together, started again when they die, and never left behind.

A child that dies is started again after a wait that grows with each quick death in a row. When
the supervisor itself is killed, the kernel tells its children (`die_with`).
"""

import ctypes
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 30.0
#: Seconds after which a child did not die of how it was started.
_STEADY: Final = 60.0


def die_with(parent: int) -> None:
    """Have the kernel send SIGTERM here when the process `parent`, our parent, dies.

    Where the kernel cannot do that, the supervisor's own clean end is all there is.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # It may have died before the kernel was asked.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def stop_when_told(stop: Callable[[], None]) -> None:
    """Call `stop` on SIGTERM, on Ctrl-C, and when the terminal is closed (SIGHUP).

    Whoever wants a process to outlive its terminal has it ignore that (`nohup`): it stays so.
    """

    def told(_number: int, _frame: FrameType | None) -> None:
        stop()

    signal.signal(signal.SIGTERM, told)
    signal.signal(signal.SIGINT, told)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, told)


def keep_loaded() -> None:
    """Spare this process, and those that it forks, the search for garbage in what is loaded now.

    All of that stays to the end, where Python would look through it once more: 0.2 to 0.4 s.
    """
    gc.freeze()


@dataclass(slots=True)
class Child:
    """One process to keep running: how it is started, and how that went so far."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    deaths: int = 0

    @property
    def is_alive(self) -> bool:
        """Whether it runs now."""
        return self.process is not None and self.process.poll() is None

    def start(self, environ: Mapping[str, str]) -> None:
        """Start it, in a process group of its own, so that its own children can be ended too."""
        self.process = subprocess.Popen(  # noqa: S603  the command is ours
            self.command, env=dict(environ), start_new_session=True
        )
        self.started_at = time.monotonic()

    def note_death(self) -> float:
        """Return the seconds until it is to start again: more with each quick death in a row."""
        lived = time.monotonic() - self.started_at
        self.deaths = 1 if lived > _STEADY else self.deaths + 1
        wait: float = min(_FIRST_WAIT * 2.0 ** (self.deaths - 1), _LONGEST_WAIT)
        self.start_at = time.monotonic() + wait
        # What it left behind in its group would hold its port.
        self._kill_group()
        self.process = None
        return wait

    def ask_to_end(self) -> None:
        """Send SIGTERM, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def end(self, *, within: float) -> bool:
        """Wait `within` seconds, then kill it and what it started; True if it ended itself."""
        if self.process is None:
            return True
        try:
            self.process.wait(timeout=within)
            is_clean = True
        except subprocess.TimeoutExpired:
            is_clean = False
        self._kill_group()
        self.process.wait()
        return is_clean

    def _kill_group(self) -> None:
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


@dataclass(frozen=True, slots=True)
class Death:
    """A child that was found dead, its exit status, and in how many seconds it starts again."""

    child: Child
    status: int
    wait: float


class Family:
    """Keeps children running until it is told to stop; used from the main thread alone.

    The kernel's word to orphans is about the thread that started them: it must not end first.
    """

    def __init__(self, children: Sequence[Child], environ: Mapping[str, str]) -> None:
        self.children = tuple(children)
        self._environ = environ

    def start(self) -> None:
        """Start every child."""
        for child in self.children:
            child.start(self._environ)

    def revive(self) -> list[Death]:
        """Start again what died and has waited long enough; return those found dead just now."""
        found = []
        for child in self.children:
            if child.process is None:
                if time.monotonic() >= child.start_at:
                    child.start(self._environ)
            elif (status := child.process.poll()) is not None:
                found.append(Death(child, status, child.note_death()))
        return found

    def stop(self, *, within: float) -> bool:
        """End every child: ask all, wait up to `within` seconds, kill. True if all came clean."""
        deadline = time.monotonic() + within
        for child in self.children:
            child.ask_to_end()
        ended = [child.end(within=max(0.1, deadline - time.monotonic())) for child in self.children]
        return all(ended)

    def is_alive(self, name: str) -> bool:
        """Tell whether the child of that name runs."""
        return any(child.name == name and child.is_alive for child in self.children)
