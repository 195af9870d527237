"""What the machine is doing meanwhile: processor time of servers, and what the disk costs."""

import os
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_SYNCS: Final = 50
_BLOCK: Final = b"x" * 4096


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def processor_seconds(root: int) -> float:
    """Return the processor time of a process and all that it started, as far as they live."""
    children, used = defaultdict(list), {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name, in parentheses, may hold anything; what follows it does not.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        process = int(folder.name)
        children[int(fields[1])].append(process)
        used[process] = (int(fields[11]) + int(fields[12])) / _TICKS
    found, waiting = 0.0, [root]
    while waiting:
        process = waiting.pop()
        found += used.get(process, 0.0)
        waiting += children[process]
    return found


def sync_milliseconds(folder: Path) -> float:
    """Return how long the disk takes to make one block durable: the floor of each commit."""
    path, took = folder / "sync", []
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for number in range(_SYNCS):
            os.pwrite(handle, _BLOCK, number * len(_BLOCK))
            begun = time.perf_counter()
            os.fdatasync(handle)
            took.append((time.perf_counter() - begun) * 1000)
    finally:
        os.close(handle)
        path.unlink()
    return statistics.median(took)
