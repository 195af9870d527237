"""The composition root: settings in, application out."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from jinja2 import StrictUndefined

from pdp import logs
from pdp.clock import Clock, utcnow
from pdp.domain.errors import DomainError, Unavailable
from pdp.ephemeral.rate_limit import RateLimiter
from pdp.oidc.server import Server
from pdp.outbound.client import Outbound
from pdp.runtime import Runtime
from pdp.settings import Settings
from pdp.store import schema, signing_keys
from pdp.store.base import Base
from pdp.store.database import Database
from pdp.store.decision_log import DecisionLog
from pdp.store.engine import DRIVER_ERRORS, absolute_url, engine_options, prepare_connections
from pdp.store.envelope import Envelope
from pdp.usecases.configuration import Configurations
from pdp.usecases.passwords import Passwords
from pdp.web import (
    account,
    authorize,
    context,
    device,
    enrolment,
    errors,
    factor_enrolment,
    fresh,
    oauth,
    pages,
    password,
    remediation,
    second_factor,
    security,
    sign_out,
    signin,
    webhooks,
)

BLUEPRINTS: Final = (
    oauth.blueprint,
    authorize.blueprint,
    signin.blueprint,
    second_factor.blueprint,
    password.blueprint,
    fresh.blueprint,
    factor_enrolment.blueprint,
    sign_out.blueprint,
    remediation.blueprint,
    account.blueprint,
    device.blueprint,
    enrolment.blueprint,
    webhooks.blueprint,
    pages.blueprint,
)
MIGRATIONS: Final = Path(__file__).resolve().parent.parent / "migrations"


class MasterKeyMissing(DomainError):
    """Without the master key nothing at rest can be read."""


def create_app(settings: Settings | None = None, *, clock: Clock = utcnow) -> Flask:
    """Build the application; SchemaMismatch or MasterKeyMissing name what is to be done first."""
    settings = settings or Settings()  # type: ignore[call-arg]  # read from the environment
    logs.configure(settings.logging.level)
    app = Flask("pdp.web")
    runtime = build_runtime(settings, clock=clock, database=_database(app, settings))
    return serve_runtime(app, runtime)


def serve_runtime(app: Flask, runtime: Runtime) -> Flask:
    """Let `app` answer for a runtime whose database is set up; SchemaMismatch if it is not."""
    schema.check(runtime.database.engine)
    with runtime.database.read() as tx:
        runtime.configurations.current(tx)
    # A name that a page misses is our mistake, and must not read as "nothing to say".
    app.jinja_env.undefined = StrictUndefined
    app.config["MAX_CONTENT_LENGTH"] = runtime.settings.server.max_body_bytes
    app.extensions["pdp"] = runtime
    app.extensions["pdp.server"] = Server(runtime)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    context.register(app)
    security.register(app, runtime.settings)
    errors.register(app)
    return app


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
        raise Unavailable("the database does not answer") from error
    finally:
        database.close()


def _database(app: Flask, settings: Settings) -> Database:
    """Let Flask-SQLAlchemy own the engine; transactions are ours."""
    url = settings.database.url
    # Flask-SQLAlchemy would look for a relative file in a folder of its own; the command line
    # looks for it where it runs, and both must find the same one.
    app.config["SQLALCHEMY_DATABASE_URI"] = absolute_url(url)
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(
        url, pool_size=settings.database.pool_size, busy_timeout=settings.database.busy_timeout
    )
    extension = SQLAlchemy(app, model_class=Base, disable_autonaming=True)
    Migrate(app, extension, directory=str(MIGRATIONS))
    with app.app_context():
        engine = extension.engine
    prepare_connections(engine)
    return Database(engine)
