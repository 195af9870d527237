"""`pdp init`: everything that a fresh deployment needs, once; repeating it changes nothing."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from pdp.assembly import open_database, refuse_new_master_key
from pdp.cli.context import check_schema, opened_runtime
from pdp.cli.failures import Failed
from pdp.cli.invocation import actor
from pdp.cli.output import say
from pdp.cli.settings_report import check_settings, read_settings
from pdp.jose.keys import generate
from pdp.runtime import Runtime
from pdp.settings import Settings, config_path
from pdp.store import schema
from pdp.store.envelope import Envelope, new_master_key
from pdp.usecases.client_uris import LOOPBACK_HOSTS
from pdp.usecases.initialise import add_first_keys, missing_algorithms, publish_defaults

_CONFIG: Final = """\
# Settings of Pratique. `pdp config show` lists them all and says where each value comes from.
issuer: {issuer}
"""
_DEV_CONFIG: Final = (
    "# Plain http on loopback is for trying things out; remove this in production.\ndev: true\n"
)
_PORT_CONFIG: Final = "server:\n  port: {port}\n"
_NEXT: Final = """\
Next:
  pdp admin create NAME            the first administrator
  pdp client add NAME --redirect-uri URL
  pdp serve
  pdp doctor                       what is missing for production"""


@click.command()
@click.option("--issuer", help="URL by which relying parties know this server; begins config.yaml.")
@click.option("--dev", is_flag=True, help="Write `dev: true`: plain http, on loopback only.")
def init(issuer: str | None, dev: bool) -> None:  # noqa: FBT001  a flag is what it is
    """Make what a fresh deployment needs: settings, master key, schema, keys, policies.

    What is there already is left as it is, so that repeating it is harmless.
    """
    done = [*_settings_file(issuer, is_dev=dev)]
    settings = read_settings()
    # SQLite holds password hashes: the file is for this account alone.
    os.umask(0o077)
    done += _master_key(settings)
    with opened_runtime() as runtime:
        done += _schema(runtime)
        done += _content(runtime)
    for line in done or ["everything was there already"]:
        say(line)
    _warn_of_another_port(settings)
    say(_NEXT)


def _settings_file(issuer: str | None, *, is_dev: bool) -> Iterator[str]:
    path = config_path(os.environ)
    if issuer is None:
        return
    try:
        if path.exists():
            yield f"{path} is there already: --issuer was not used"
            return
        # Refuse a bad issuer before it is in a file.
        port = _loopback_port(issuer)
        check_settings(issuer=issuer, dev=is_dev, port=port)
        _write_settings(path, issuer, port, is_dev=is_dev)
    except OSError as error:
        raise Failed(
            f"{path.absolute()} cannot be written: {error.strerror}; run pdp as an account that"
            " may, or name another file: `pdp --config PATH init`"
        ) from error
    yield f"wrote {path}"


def _write_settings(path: Path, issuer: str, port: int | None, *, is_dev: bool) -> None:
    text = _CONFIG.format(issuer=issuer)
    if is_dev:
        text += _DEV_CONFIG
    if port is not None:
        text += _PORT_CONFIG.format(port=port)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _loopback_port(issuer: str) -> int | None:
    """Return the port that an issuer on this machine names: no proxy stands before the server."""
    try:
        parts = urlsplit(issuer)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Failed(f"issuer: {issuer!r} is no URL: {error}") from error
    return port if host in LOOPBACK_HOSTS else None


def _warn_of_another_port(settings: Settings) -> None:
    named, port = _loopback_port(settings.issuer), settings.server.port
    if named is not None and named != port:
        say(
            f"the issuer is {settings.issuer}, but the server listens on port {port}:"
            f" set server.port: {named}, unless something forwards"
        )


def _master_key(settings: Settings) -> Iterator[str]:
    path = settings.keys.master_path
    if settings.keys.master is not None or os.path.exists(path):  # noqa: PTH110  never raises
        return
    refuse_new_master_key(path, open_database(settings))
    key = new_master_key()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # O_EXCL: of two that begin at once, one writes the key, and the other one keeps it.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise Failed(f"the master key cannot be written to {path}: {error.strerror}") from error
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(key + "\n")
        file.flush()
        os.fsync(file.fileno())
    fingerprint = Envelope.from_text(key).key_id
    yield (
        f"made the master key {path} (fingerprint {fingerprint}):"
        " back it up apart from the database"
    )


def _schema(runtime: Runtime) -> Iterator[str]:
    engine = runtime.database.engine
    if schema.current(engine) is None:
        schema.upgrade(engine)
        yield f"made the schema ({schema.expected()})"
    check_schema(runtime)


def _content(runtime: Runtime) -> Iterator[str]:
    with runtime.database.read() as tx:
        missing = missing_algorithms(tx, runtime.envelope)
    now = runtime.clock()
    keys = tuple(generate(alg, signs_from=now) for alg in missing)
    with runtime.database.write() as tx:
        added = add_first_keys(tx, runtime.envelope, keys, actor=actor(), now=now)
        kinds = publish_defaults(tx, actor=actor(), now=now)
    for key in added:
        yield f"made the {key.alg} signing key {key.kid}"
    for kind in kinds:
        yield f"put the default {kind.value} in force"
