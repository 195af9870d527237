"""Load from `wrk`: a closed loop of connections in C, so that it is not what is measured."""

import json
import resource
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.machine import processor_seconds
from tests.servers import ServerMissing

_SCRIPTS: Final = Path(__file__).parent
_OUT_OF_REQUESTS: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one round did: answers per second, latency in ms, and the generator's own share.

    `generator` is the share of one core that the generator itself used: near 1.0 it would be the
    bottleneck, and nothing would have been measured. `processor` is what the servers spent on
    one answer, in microseconds of processor time: a busy machine changes it least.
    """

    rate: float
    p50: float
    p99: float
    refused: int
    failed: int
    generator: float
    processor: float


@dataclass(frozen=True, slots=True)
class Target:
    """One address under load, its process, the script that asks, and the script's arguments."""

    url: str
    process: int
    script: str
    arguments: tuple[str, ...]


def raw_request(
    path: str, body: bytes, *, headers: Iterable[tuple[str, str]] = (), host: str = "localhost"
) -> bytes:
    """Return a whole HTTP/1.1 POST."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def write_requests(path: Path, requests: Iterable[bytes]) -> Path:
    """Write requests as `requests.lua` reads them."""
    with path.open("wb") as file:
        for request in requests:
            file.write(f"{len(request)}\n".encode() + request)
    return path


def load(targets: Sequence[Target], *, connections: int, seconds: float) -> Measured:
    """Put all targets under load at once, the connections divided among them."""
    program = shutil.which("wrk")
    if program is None:
        raise ServerMissing("wrk")
    each = max(1, connections // len(targets))
    spent = _spent(targets)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    running = [
        subprocess.Popen(
            [
                *(program, "-t", "1", "-c", str(each), "-d", f"{seconds:g}s"),
                *("-s", str(_SCRIPTS / target.script), target.url, "--", *target.arguments),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for target in targets
    ]
    said = [process.communicate(timeout=seconds + 60) for process in running]
    took = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    for process, (_, error) in zip(running, said, strict=True):
        if process.returncode == _OUT_OF_REQUESTS:
            raise AssertionError("the generator ran out of requests: make more of them")
        assert process.returncode == 0, error
    parts = [_read(text) for text, _ in said]
    answers = max(1, sum(part.requests for part in parts))
    processor = (_spent(targets) - spent) / answers * 1e6
    return _joined(parts, generator=used / took, processor=processor)


def _spent(targets: Sequence[Target]) -> float:
    return sum(processor_seconds(target.process) for target in targets)


@dataclass(frozen=True, slots=True)
class _Part:
    requests: int
    seconds: float
    refused: int
    failed: int
    percentiles: list[float]


def _read(text: str) -> _Part:
    found = json.loads(text.strip().splitlines()[-1])
    return _Part(
        found["requests"],
        found["duration"] / 1e6,
        found["refused"],
        found["failed"],
        [microseconds / 1000 for microseconds in found["percentiles"]],
    )


def _joined(parts: list[_Part], *, generator: float, processor: float) -> Measured:
    """Join what several generators saw; the percentiles of all, weighted by their requests."""
    weighed = sorted((value, part.requests / 99) for part in parts for value in part.percentiles)
    return Measured(
        rate=sum(part.requests / part.seconds for part in parts),
        p50=_percentile(weighed, 0.50),
        p99=_percentile(weighed, 0.99),
        refused=sum(part.refused for part in parts),
        failed=sum(part.failed for part in parts),
        generator=generator,
        processor=processor,
    )


def _percentile(weighed: list[tuple[float, float]], share: float) -> float:
    wanted = share * sum(weight for _, weight in weighed)
    seen = 0.0
    for value, weight in weighed:
        seen += weight
        if seen >= wanted:
            return value
    return weighed[-1][0]
