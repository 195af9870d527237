"""The composition root: settings in, application out."""

from pathlib import Path
from typing import Final

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from jinja2 import StrictUndefined

from pdp import logs
from pdp.assembly import build_runtime
from pdp.clock import Clock, utcnow
from pdp.oidc.server import Server
from pdp.runtime import Runtime
from pdp.settings import Settings
from pdp.store import schema
from pdp.store.base import Base
from pdp.store.database import Database
from pdp.store.engine import absolute_url, engine_options, prepare_connections
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
