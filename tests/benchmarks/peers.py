"""The peer: `oidc-provider`, one process to a port, everything in its memory."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.load import raw_request
from tests.benchmarks.ours import basic
from tests.npm import installed
from tests.servers import free_port, running, wait_until

_FOLDER: Final = Path(__file__).parent / "peer"
_FORM: Final = ("Content-Type", "application/x-www-form-urlencoded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One process of the peer, with tokens that only it knows."""

    url: str
    process: int
    refresh: tuple[str, ...]
    access: tuple[str, ...]

    def client_credentials(self) -> bytes:
        """Return the request of a machine for a token."""
        body = b"grant_type=client_credentials&scope=read"
        return raw_request("/token", body, headers=[_FORM, basic("machine")])

    def introspection(self, token: str) -> bytes:
        """Return the API's question about a token."""
        body = f"token={token}".encode()
        return raw_request("/token/introspection", body, headers=[_FORM, basic("api")])


@contextmanager
def peers(processes: int, home: Path, *, people: int) -> Iterator[Sequence[Peer]]:
    """Run so many processes of the peer, until the block ends."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(_peer(home / f"peer-{number}", people=people))
            for number in range(processes)
        ]


@contextmanager
def _peer(home: Path, *, people: int) -> Iterator[Peer]:
    home.mkdir(parents=True)
    port, log = free_port(), home / "log"
    script = installed(_FOLDER) / "server.js"
    with running(["node", str(script), str(port), str(people)], log) as process:
        wait_until(lambda: any(_minted(log)), process, log)
        (minted,) = _minted(log)
        yield Peer(
            url=f"http://127.0.0.1:{port}",
            process=process.pid,
            refresh=tuple(minted["refresh"]),
            access=tuple(minted["access"]),
        )


def _minted(log: Path) -> list[dict[str, list[str]]]:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]
