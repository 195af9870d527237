"""Measures what is served over HTTP, beside `oidc-provider`, in one run: read the ratios.

Ours does everything on each request: every check, the decision, its record, durable storage
(SQLite with synchronous=FULL; PostgreSQL as it comes). The peer keeps everything in memory.
Rounds are interleaved, and medians compared, so that a busy moment of the machine hits all.
"""

import argparse
import json
import platform
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from tests.benchmarks.latency import Denials, denials
from tests.benchmarks.load import Measured, Target, cores, load, write_requests
from tests.benchmarks.ours import Ours, basic, served
from tests.benchmarks.peers import Peer, peers
from tests.servers import postgresql_server

RESULTS: Final = Path(".benchmarks") / "http.json"
PEOPLE: Final = 64
CONNECTIONS: Final = 16
#: More webhooks a second than anybody served here: none may be sent twice.
MOST_WEBHOOKS: Final = 6000
#: Of one core; above it the generator, not the server, may have set the pace.
GENERATOR_LIMIT: Final = 0.8
BESIDE: Final = "oidc-provider, 2 processes"

Server = Ours | Peer


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be reached: a floor and a goal, as ratios to the peer or as plain rates."""

    floor: float
    goal: float
    per_second: bool = False


GOALS: Final = {
    "client credentials": Goal(0.5, 1.0),
    "introspection": Goal(0.7, 1.0),
    "refresh": Goal(0.5, 0.7),
    "webhooks": Goal(800, 1500, per_second=True),
}
LATENCY_LIMIT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Contender:
    """A served system: one server, or several of which each gets its share of the connections."""

    name: str
    servers: Sequence[Server]


@dataclass(slots=True)
class Results:
    """Every round of every contender in every discipline."""

    rounds: dict[str, dict[str, list[Measured]]] = field(default_factory=dict)
    latency: dict[str, dict[str, Denials]] = field(default_factory=dict)

    def add(self, discipline: str, contender: str, measured: Measured) -> None:
        """Keep one round; a refused or failed request makes it worthless."""
        assert measured.refused == measured.failed == 0, (discipline, contender, measured)
        self.rounds.setdefault(discipline, {}).setdefault(contender, []).append(measured)


def main() -> None:
    """Run everything, print the tables, and write the numbers beside."""
    options = _options()
    results = Results()
    with tempfile.TemporaryDirectory(prefix="pratique-bench-") as name, ExitStack() as stack:
        home = Path(name)
        postgresql = sa.make_url(stack.enter_context(postgresql_server()))
        on_postgresql = postgresql.set(drivername="postgresql+psycopg")
        sqlite = stack.enter_context(
            served(f"sqlite:///{home / 'pratique.db'}", home / "sqlite", people=PEOPLE)
        )
        postgres = stack.enter_context(
            served(on_postgresql.render_as_string(), home / "postgresql", people=PEOPLE)
        )
        two = stack.enter_context(peers(2, home / "two", people=PEOPLE))
        ours = (Contender("ours, SQLite", [sqlite]), Contender("ours, PostgreSQL", [postgres]))
        others = (
            Contender("oidc-provider, 1 process", two[:1]),
            Contender(BESIDE, two),
        )
        for discipline, prepare in DISCIPLINES.items():
            if options.only and discipline not in options.only:
                continue
            contenders = ours if discipline == "webhooks" else (*ours, *others)
            for _ in range(options.rounds):
                for contender in contenders:
                    targets = prepare(contender.servers, home, options.seconds)
                    measured = load(
                        targets, connections=options.connections, seconds=options.seconds
                    )
                    results.add(discipline, contender.name, measured)
            _print_discipline(discipline, results.rounds[discipline])
        if not options.only or "latency" in options.only:
            for contender in ours:
                _measure_latency(contender, results, rounds=options.denials)
            _print_latency(results.latency)
    _write(results, options)


def _client_credentials(servers: Sequence[Server], home: Path, seconds: float) -> list[Target]:
    del seconds
    return [
        _requests(server, home, number, [server.client_credentials()])
        for number, server in enumerate(servers)
    ]


def _introspection(servers: Sequence[Server], home: Path, seconds: float) -> list[Target]:
    del seconds
    return [
        _requests(server, home, number, [server.introspection(token) for token in server.access])
        for number, server in enumerate(servers)
    ]


def _webhooks(servers: Sequence[Server], home: Path, seconds: float) -> list[Target]:
    (server,) = servers
    assert isinstance(server, Ours)
    # Every tenth changes the device's state; the others confirm it.
    signals = [
        server.webhook(server.serials[number % PEOPLE], "medium" if number % 10 == 0 else "low")
        for number in range(int(MOST_WEBHOOKS * seconds))
    ]
    return [_requests(server, home, 0, signals, "once")]


def _refresh(servers: Sequence[Server], home: Path, seconds: float) -> list[Target]:
    del seconds
    return [
        Target(
            f"{server.url}/token", "refresh.lua", (str(_tokens_of(server, home)), basic("app")[1])
        )
        for server in servers
    ]


DISCIPLINES: Final[Mapping[str, Callable[[Sequence[Server], Path, float], list[Target]]]] = {
    "client credentials": _client_credentials,
    "introspection": _introspection,
    "refresh": _refresh,
    "webhooks": _webhooks,
}


def _requests(
    server: Server, home: Path, number: int, requests: Sequence[bytes], *more: str
) -> Target:
    path = write_requests(home / f"requests-{number}", requests)
    return Target(server.url, "requests.lua", (str(path), *more))


def _tokens_of(server: Server, home: Path) -> Path:
    """Return the file of a server's refresh tokens: each round goes on with those it left."""
    path = home / f"refresh-{server.url.rpartition(':')[2]}"
    if not path.exists():
        path.write_text("".join(f"{token}\n" for token in server.refresh), encoding="ascii")
    return path
