"""Builds a runtime from settings: what every process works with, whether or not it serves HTTP.

It knows no web framework: commands and the worker start in half the time without one.
"""

import time
from contextlib import suppress
from pathlib import Path

from pdp.clock import Clock, utcnow
from pdp.domain.errors import DomainError, Unavailable
from pdp.ephemeral.rate_limit import RateLimiter
from pdp.outbound.client import Outbound
from pdp.runtime import Runtime
from pdp.settings import Settings
from pdp.store import schema, signing_keys
from pdp.store.database import Database
from pdp.store.decision_log import DecisionLog
from pdp.store.engine import DRIVER_ERRORS
from pdp.store.envelope import Envelope
from pdp.store.outage import outage
from pdp.usecases.configuration import Configurations
from pdp.usecases.passwords import Passwords


class MasterKeyMissing(DomainError):
    """Without the master key nothing at rest can be read."""


def build_runtime(
    settings: Settings, *, clock: Clock = utcnow, database: Database | None = None
) -> Runtime:
    """Build what one process needs; nothing is opened before it is used."""
    database = database or open_database(settings)
    envelope = read_master_key(settings, database)
    return Runtime(
        settings=settings,
        clock=clock,
        database=database,
        envelope=envelope,
        configurations=Configurations(envelope),
        decision_log=DecisionLog(database, monotonic=time.monotonic),
        passwords=Passwords(concurrency=settings.signin.hash_concurrency),
        rate_limiter=RateLimiter(settings.redis.url, pepper=envelope.derive("rate limit keys")),
        outbound=Outbound(settings.outbound),
    )


def open_database(settings: Settings) -> Database:
    """Return the configured database; the caller closes it."""
    return Database.open(
        settings.database.url,
        pool_size=settings.database.pool_size,
        busy_timeout=settings.database.busy_timeout,
    )


def read_master_key(settings: Settings, database: Database) -> Envelope:
    """Return the envelope of the configured master key; MasterKeyMissing names the cure."""
    if settings.keys.master is not None:
        return Envelope.from_text(settings.keys.master.get_secret_value())
    path = settings.keys.master_path
    try:
        return Envelope.from_text(path.read_text(encoding="ascii"))
    except FileNotFoundError as error:
        with suppress(Unavailable):
            refuse_new_master_key(path, database)
        raise MasterKeyMissing(
            f"there is no master key at {path}: put it back; for a new deployment run `pdp init`"
        ) from error
    except OSError as error:
        raise MasterKeyMissing(
            f"the master key at {path} cannot be read ({error.strerror}):"
            " run pdp as the account that it belongs to"
        ) from error
    except UnicodeDecodeError as error:
        raise MasterKeyMissing(
            f"{path} holds no master key, which is base64 of 32 random bytes: put it back"
        ) from error


def refuse_new_master_key(path: Path, database: Database) -> None:
    """Raise MasterKeyMissing if what the database holds was encrypted with a master key.

    Unavailable if the database cannot be asked: a new key must not come beside an old database.
    """
    made_with = sealing_keys(database)
    if made_with:
        raise MasterKeyMissing(
            f"there is no master key at {path}, but the database was made with the one of"
            f" fingerprint {', '.join(sorted(made_with))}: put that one back, from its backup;"
            " a new one would open nothing"
        )


def sealing_keys(database: Database) -> frozenset[str]:
    """Return the fingerprints of the master keys that the database was made with."""
    file = database.engine.url.database
    if database.is_sqlite and not (file and Path(file).exists()):
        return frozenset()
    try:
        if schema.current(database.engine) is None:
            return frozenset()
        with database.read() as tx:
            return signing_keys.sealed_by(tx)
    except DRIVER_ERRORS as error:
        raise Unavailable(outage(error)) from error
    finally:
        database.close()
