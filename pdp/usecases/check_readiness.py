"""Whether this deployment can decide now: one check per thing it needs, each with its cure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pdp.clock import Clock
from pdp.domain.errors import DomainError, Unavailable
from pdp.store import jobs, schema
from pdp.store.database import Database, Row, Statement
from pdp.store.engine import DRIVER_ERRORS
from pdp.store.outage import cure as cure_of_outage
from pdp.store.schema import SchemaMismatch
from pdp.usecases.configuration import Configuration, Configurations

#: A consequence that has waited longer than this is late: a worker is missing or overwhelmed.
LONGEST_LAG: Final = timedelta(seconds=60)
#: How far the database's clock may be from ours: tokens and signals compare instants.
LARGEST_SKEW: Final = timedelta(seconds=2)

#: Each rests on those before it; the last one is always told, however the others went.
ORDER: Final = ("database", "schema", "keys", "policies", "sources", "outbox", "clock")
_ONE: Final = Statement("SELECT 1")
_READ_ONLY: Final = Statement("SELECT current_setting('transaction_read_only')")
_DATABASE_TIME: Final = Statement("SELECT extract(epoch FROM clock_timestamp())")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at; `detail` says what was found, `cure` what to do about it."""

    name: str
    ok: bool
    detail: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Readiness:
    """All checks of one moment."""

    checks: tuple[Check, ...]

    @property
    def is_ready(self) -> bool:
        """Whether nothing that was looked at is wrong."""
        return all(check.ok for check in self.checks)


def check_readiness(database: Database, configurations: Configurations, clock: Clock) -> Readiness:
    """Look at database, schema, keys, policies, outbox and clock; never raises.

    What cannot be looked at is not ready.
    """
    return Readiness(tuple(look(database, configurations, clock)))


def look(database: Database, configurations: Configurations, clock: Clock) -> Iterator[Check]:
    """Give the same checks, each as soon as it is known."""
    for name, see, cure in (
        ("database", lambda: _database(database), "start it, or mend database.url"),
        ("schema", lambda: _schema(database), "run `pdp db upgrade`"),
    ):
        check = _check(name, see, cure)
        yield check
        if not check.ok:
            yield from not_looked_at(after=name)
            return
    yield from _configured(database, configurations, clock())
    yield _check("outbox", lambda: _outbox(database, clock), "start a worker: `pdp worker`")
    yield _check("clock", lambda: _clock(database, clock), "synchronise the clocks (NTP)")


def not_looked_at(*, after: str) -> Iterator[Check]:
    """Return what rests on a check that failed: whatever ails it, its own cure would not help."""
    for name in ORDER[ORDER.index(after) + 1 :]:
        yield Check(name=name, ok=False, detail="not looked at", cure=f"mend the {after} first")


def _check(name: str, see: Callable[[], tuple[bool, str]], cure: str) -> Check:
    try:
        ok, detail = see()
    except SchemaMismatch as error:
        return Check(name=name, ok=False, detail=error.found, cure=error.cure)
    except (DomainError, *DRIVER_ERRORS) as error:
        # What is at hand for a database that is silent does not help with one that refuses.
        if name == "database" and error.__cause__ is not None:
            cure = cure_of_outage(error.__cause__)
        return Check(name=name, ok=False, detail=_told(error), cure=cure)
    return Check(name=name, ok=ok, detail=detail, cure="" if ok else cure)


def _told(error: Exception) -> str:
    # A driver's text may hold the URL with its password.
    if isinstance(error, DomainError):
        return str(error)
    return "the database does not answer, or its tables were changed (`pdp db check`)"


def _database(database: Database) -> tuple[bool, str]:
    if schema.is_missing(database.engine):
        return True, "SQLite, and no file yet"
    if database.is_sqlite:
        # Taking the writers' turn tells what a reading cannot: a full disk, a read-only file.
        with database.write() as tx:
            tx.one(_ONE, {})
        return True, "SQLite"
    row = _read_anew(database)
    if row is None or row[0] != "off":
        return False, "PostgreSQL takes no writes: it is a replica, or was made read-only"
    return True, "PostgreSQL"


def _read_anew(database: Database) -> Row | None:
    """Ask once more where the answer was an outage.

    A connection that was kept over a restart of PostgreSQL tells of the one that was before; all
    of its kind went with it, and the second question gets a new one. It only reads.
    """
    try:
        with database.read() as tx:
            return tx.one(_READ_ONLY, {})
    except Unavailable as error:
        if error.__cause__ is None:
            # Nothing was asked: every connection is in use, and waiting again would tell no more.
            raise
    with database.read() as tx:
        return tx.one(_READ_ONLY, {})


def _schema(database: Database) -> tuple[bool, str]:
    schema.check(database.engine)
    return True, f"at {schema.expected()}"


def _configured(
    database: Database, configurations: Configurations, now: datetime
) -> Iterator[Check]:
    try:
        with database.read() as tx:
            configuration = configurations.current(tx)
    except (DomainError, *DRIVER_ERRORS) as error:
        for name, cure in (("keys", "run `pdp init`"), ("policies", "run `pdp policy lint`")):
            yield Check(name=name, ok=False, detail=_told(error), cure=cure)
        return
    yield _keys(configuration, now)
    problem = configuration.problem
    yield Check(
        name="policies",
        ok=problem is None,
        detail=problem or f"{len(configuration.bundle.policies)} in force",
        cure="" if problem is None else "run `pdp policy rollback VERSION`, or apply a mended one",
    )
    yield _sources(configuration)


def _keys(configuration: Configuration, now: datetime) -> Check:
    wanted = {
        *(client.id_token_alg for client in configuration.clients.values() if not client.disabled),
        *(resource.access_token_alg for resource in configuration.resources),
        "ES256",
    }
    signing = {key.alg for key in configuration.keys.keys if key.signs_from <= now}
    missing = sorted(wanted - signing)
    if missing:
        return Check(
            name="keys",
            ok=False,
            detail=f"no key signs {', '.join(missing)}",
            cure=f"run `pdp keys rotate --alg {missing[0]} --publish-ahead 0s`",
        )
    return Check(name="keys", ok=True, detail=f"{len(configuration.keys.keys)} loaded")


def _sources(configuration: Configuration) -> Check:
    broken = [each for each in configuration.sources.values() if each.problem is not None]
    if not broken:
        return Check(name="sources", ok=True, detail=f"{len(configuration.sources)} set up")
    first = broken[0]
    return Check(
        name="sources",
        ok=False,
        detail=f"{len(broken)} shut, since nothing of theirs can be verified: {first.id}:"
        f" {first.problem}",
        cure=f"restore the row, or run `pdp source rotate-secret {first.id}`",
    )


def _outbox(database: Database, clock: Clock) -> tuple[bool, str]:
    with database.read() as tx:
        late = jobs.lag(tx, now=clock())
    return late <= LONGEST_LAG, f"the oldest due job has waited {int(late.total_seconds())} s"


def _clock(database: Database, clock: Clock) -> tuple[bool, str]:
    if database.is_sqlite:
        return True, "the database shares this machine's clock"
    with database.read() as tx:
        row = tx.one(_DATABASE_TIME, {})
    skew = abs(float(row[0] if row else 0) - clock().timestamp())
    return skew <= LARGEST_SKEW.total_seconds(), f"{skew:.1f} s from the database's"
