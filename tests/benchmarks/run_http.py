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
from tests.benchmarks.load import Measured, Target, load, write_requests
from tests.benchmarks.machine import cores, sync_milliseconds
from tests.benchmarks.ours import Ours, basic, served
from tests.benchmarks.peers import Peer, peers
from tests.servers import postgresql_server

RESULTS: Final = Path(".benchmarks") / "http.json"
PEOPLE: Final = 64
CONNECTIONS: Final = 16
#: Refresh tokens handed to one generator: more than its connections, so that one always waits.
FAMILIES: Final = 32
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

    syncs: list[float] = field(default_factory=list)
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
    families = FAMILIES * options.rounds
    with tempfile.TemporaryDirectory(prefix="pratique-bench-") as name, ExitStack() as stack:
        home = Path(name)
        postgresql = sa.make_url(stack.enter_context(postgresql_server(fsync="on")))
        on_postgresql = postgresql.set(drivername="postgresql+psycopg")
        sqlite = stack.enter_context(
            served(
                f"sqlite:///{home / 'pratique.db'}",
                home / "sqlite",
                people=PEOPLE,
                families=families,
            )
        )
        postgres = stack.enter_context(
            served(
                on_postgresql.render_as_string(),
                home / "postgresql",
                people=PEOPLE,
                families=families,
            )
        )
        two = stack.enter_context(peers(2, home / "two", people=max(PEOPLE, 2 * families)))
        ours = (Contender("ours, SQLite", [sqlite]), Contender("ours, PostgreSQL", [postgres]))
        others = (
            Contender("oidc-provider, 1 process", two[:1]),
            Contender(BESIDE, two),
        )
        for discipline, prepare in DISCIPLINES.items():
            if options.only and discipline not in options.only:
                continue
            results.syncs.append(sync_milliseconds(home))
            contenders = ours if discipline == "webhooks" else (*ours, *others)
            for _ in range(options.rounds):
                for contender in contenders:
                    targets = prepare(contender.servers, home, options.seconds)
                    measured = load(
                        targets, connections=options.connections, seconds=options.seconds
                    )
                    results.add(discipline, contender.name, measured)
            _print_discipline(discipline, results.rounds[discipline])
            print(f"  one fdatasync took {results.syncs[-1]:.2f} ms before")
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
            f"{server.url}/token",
            server.process,
            "refresh.lua",
            (str(_fresh_families(server, home)), basic("app")[1]),
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
    return Target(server.url, server.process, "requests.lua", (str(path), *more))


def _fresh_families(server: Server, home: Path) -> Path:
    """Take so many refresh tokens that no round has used: answers still under way are lost."""
    path = home / f"refresh-{server.url.rpartition(':')[2]}"
    taken = int(path.read_text(encoding="ascii").splitlines()[0]) if path.exists() else 0
    families = server.refresh[taken : taken + FAMILIES]
    assert len(families) == FAMILIES, "make more families, or run fewer rounds"
    path.write_text("\n".join([str(taken + FAMILIES), *families, ""]), encoding="ascii")
    return path


def _print_discipline(discipline: str, rounds: Mapping[str, list[Measured]]) -> None:
    """Print the medians of one discipline, beside the peer's."""
    goal = GOALS[discipline]
    print(f"\n{discipline}  (floor {_spell(goal, goal.floor)}, goal {_spell(goal, goal.goal)})")
    print(
        f"  {'':<28}{'per s':>9}{'p50 ms':>9}{'p99 ms':>9}{'ratio':>8}  {'':<8}"
        f"{'µs CPU':>7}  generator"
    )
    for name, measured in rounds.items():
        rate = _median(measured, "rate")
        ratio, verdict = "", ""
        if name.startswith("ours"):
            reached = rate if goal.per_second else rate / _median(rounds[BESIDE], "rate")
            ratio = "" if goal.per_second else f"{reached:.2f}"
            verdict = _verdict(goal, reached)
        busy = max(each.generator for each in measured)
        print(
            f"  {name:<28}{rate:>9,.0f}{_median(measured, 'p50'):>9.1f}"
            f"{_median(measured, 'p99'):>9.1f}{ratio:>8}  {verdict:<8}"
            f"{_median(measured, 'processor'):>7,.0f}  "
            f"{busy:.0%}{' of a core: too much' if busy > GENERATOR_LIMIT else ' of a core'}"
        )


def _print_latency(latency: Mapping[str, Mapping[str, Denials]]) -> None:
    """Print how soon introspection denies."""
    print(f"\nwebhook answered → introspection denies  (p99 at most {LATENCY_LIMIT:.0f} ms)")
    print(f"  {'':<40}{'p50 ms':>9}{'p99 ms':>9}{'worst':>9}  {'':<8}passwords hashed")
    for name, loads in latency.items():
        for load_name, found in loads.items():
            verdict = "reached" if found.p99 <= LATENCY_LIMIT else "missed"
            print(
                f"  {f'{name}, {load_name}':<40}{found.p50:>9.1f}{found.p99:>9.1f}"
                f"{found.worst:>9.1f}  {verdict:<8}{found.hashed}"
            )


def _measure_latency(contender: Contender, results: Results, *, rounds: int) -> None:
    (server,) = contender.servers
    assert isinstance(server, Ours)
    results.latency[contender.name] = {
        "alone": denials(server, rounds=rounds, hashing=False),
        "while passwords are hashed": denials(server, rounds=rounds, hashing=True),
    }


def _median(measured: Sequence[Measured], what: str) -> float:
    found: float = statistics.median(getattr(each, what) for each in measured)
    return found


def _spell(goal: Goal, number: float) -> str:
    return f"{number:,.0f} per s" if goal.per_second else f"{number} × {BESIDE}"


def _verdict(goal: Goal, reached: float) -> str:
    if reached >= goal.goal:
        return "goal"
    return "floor" if reached >= goal.floor else "missed"


def _write(results: Results, options: argparse.Namespace) -> None:
    """Write every round: medians can be made again, and other readings of them too."""
    RESULTS.parent.mkdir(exist_ok=True)
    document = {
        "machine": {"cores": cores(), "python": platform.python_version()},
        "fdatasync_ms": results.syncs,
        "options": vars(options),
        "rounds": {
            discipline: {name: [asdict(each) for each in measured] for name, measured in by.items()}
            for discipline, by in results.rounds.items()
        },
        "latency": {
            name: {load_name: asdict(found) for load_name, found in loads.items()}
            for name, loads in results.latency.items()
        },
    }
    RESULTS.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"\nEvery round is in {RESULTS}.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each contender, interleaved")
    parser.add_argument("--seconds", type=float, default=4, help="of each round")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--denials", type=int, default=300, help="measured for each latency")
    parser.add_argument("--only", nargs="*", choices=[*DISCIPLINES, "latency"])
    return parser.parse_args()


if __name__ == "__main__":
    main()
