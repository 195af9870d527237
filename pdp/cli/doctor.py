"""`pdp doctor`: what is missing for production, and what to do about it."""

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import click
from redis import Redis, RedisError

from pdp.cli.context import opened_runtime
from pdp.cli.failures import Failed
from pdp.cli.output import say, show
from pdp.cli.settings_report import read_settings
from pdp.domain.errors import DomainError
from pdp.runtime import Runtime
from pdp.settings import Settings
from pdp.store import subjects
from pdp.store.engine import DRIVER_ERRORS, unusable_part
from pdp.store.envelope import Envelope
from pdp.usecases.check_readiness import Check, check_readiness

_ADMINISTRATORS: Final = "pdp-admins"
_REDIS_SECONDS: Final = 2
_PROXIES_MUST: Final = "they must drop X-Forwarded-For and Client-Cert from what visitors send"


@click.command()
@click.pass_context
def doctor(context: click.Context) -> None:
    """List what is missing for production, each with its cure; exit code 1 if anything is."""
    settings = read_settings()
    checks = [*(make(settings) for make in _SETTINGS_CHECKS), *_deployment()]
    show(
        [
            {
                "check": check.name,
                "ok": check.ok,
                "found": check.detail,
                "cure": check.cure,
            }
            for check in checks
        ]
    )
    missing = sum(not check.ok for check in checks)
    say("nothing is missing" if not missing else f"{missing} to be mended before production")
    if missing:
        context.exit(1)


def _deployment() -> Iterator[Check]:
    """Look at what is behind the settings; where that cannot be opened, say why."""
    try:
        with opened_runtime() as runtime:
            readiness = check_readiness(runtime.database, runtime.configurations, runtime.clock)
            yield from readiness.checks
            if all(check.ok for check in readiness.checks if check.name == "schema"):
                yield from _people(runtime)
    except (DomainError, Failed) as error:
        yield Check(
            name="deployment", ok=False, detail=str(error), cure="mend that, then look again"
        )


def _finding(name: str, *, ok: bool, detail: str, cure: str) -> Check:
    return Check(name=name, ok=ok, detail=detail, cure="" if ok else cure)


def _issuer(settings: Settings) -> Check:
    return _finding(
        "issuer",
        ok=settings.issuer.startswith("https://"),
        detail=settings.issuer,
        cure="set issuer to the https URL by which relying parties know this server",
    )


def _profile(settings: Settings) -> Check:
    return _finding(
        "profile",
        ok=not settings.dev,
        detail="development" if settings.dev else "production",
        cure="remove dev: true",
    )


def _master_key(settings: Settings) -> Check:
    if settings.keys.master is not None:
        return _finding("master key", ok=True, detail="from the settings", cure="")
    path = settings.keys.master_path
    try:
        mode = path.stat().st_mode & 0o777
        key = Envelope.from_text(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        detail, ok = f"there is none at {path}", False
        cure = "put it back from its backup; for a new deployment run `pdp init`"
    except OSError as error:
        detail, ok = f"{path}: {error.strerror}", False
        cure = "run pdp as the account that it belongs to"
    except (DomainError, UnicodeDecodeError):
        detail, ok = f"{path} holds no base64 of 32 bytes", False
        cure = "put it back from its backup"
    else:
        detail, ok = f"{path}, mode {mode:03o}, fingerprint {key.key_id}", not mode & 0o077
        cure = f"chmod 600 {path}"
    return _finding("master key", ok=ok, detail=detail, cure=cure)


def _storage(settings: Settings) -> Check:
    is_sqlite = settings.database.url.startswith("sqlite")
    if not is_sqlite:
        return _finding("storage", ok=True, detail="PostgreSQL", cure="")
    path = Path(settings.database.url.removeprefix("sqlite:///"))
    unusable = unusable_part(path)
    if unusable is not None:
        return _finding(
            "storage",
            ok=False,
            detail=f"SQLite at {path}: {unusable} is not writable by this account",
            cure="run pdp as the account that the server runs as, or `chown` it",
        )
    readable = path.exists() and bool(path.stat().st_mode & 0o077)
    return _finding(
        "storage",
        ok=not readable,
        detail=f"SQLite at {path}: one machine, one writer at a time",
        cure=f"others can read it: chmod 600 {path} (and the -wal and -shm beside it)",
    )


def _encryption(settings: Settings) -> Check:
    server = settings.server
    # What an https issuer promises is kept by the server itself, or by a proxy that it knows of.
    is_plain = _is_loopback(server.host) and settings.issuer.startswith("http://")
    ok = server.tls_certificate is not None or is_plain or bool(server.trusted_proxies)
    if server.tls_certificate is not None:
        detail = "TLS by the server"
    elif server.trusted_proxies:
        detail = f"TLS by a proxy in {', '.join(str(each) for each in server.trusted_proxies)}"
    else:
        detail = f"plain http at {server.host}"
    return _finding(
        "encryption",
        ok=ok,
        detail=detail,
        cure=(
            "set server.tls_certificate and server.tls_key, or name the proxy that speaks TLS"
            " in server.trusted_proxies: without, all visitors seem to come from one address"
        ),
    )


def _proxies(settings: Settings) -> Check:
    trusted = settings.server.trusted_proxies
    everyone = [each for each in trusted if each.prefixlen == 0]
    named = ", ".join(str(each) for each in trusted)
    return _finding(
        "trusted proxies",
        ok=not everyone,
        detail=f"{named}: {_PROXIES_MUST}" if trusted else "none",
        cure="name the proxies only: whoever is trusted may claim any address and certificate",
    )


def _management(settings: Settings) -> Check:
    host = settings.server.management_host
    return _finding(
        "management address",
        ok=_is_loopback(host) or _is_private(host),
        detail=f"{host}:{settings.server.management_port}",
        cure="set server.management_host to 127.0.0.1 or an address of the operators' network",
    )


def _outbound(settings: Settings) -> Check:
    outbound = settings.outbound
    everything = [str(each) for each in outbound.allow_networks if each.prefixlen == 0]
    ok = not outbound.allow_http and not everything
    detail = "https to public addresses"
    if outbound.allow_networks:
        detail += f", and to {', '.join(str(each) for each in outbound.allow_networks)}"
    if outbound.allow_http:
        detail += ", and plain http"
    return _finding(
        "outbound",
        ok=ok,
        detail=detail,
        cure="set outbound.allow_http: false, and allow only the networks of your receivers",
    )


def _redis(settings: Settings) -> Check:
    url = settings.redis.url
    if url is None:
        return _finding("redis", ok=True, detail="not used: counters are in memory", cure="")
    try:
        with Redis.from_url(
            url, socket_timeout=_REDIS_SECONDS, socket_connect_timeout=_REDIS_SECONDS
        ) as connection:
            connection.ping()
    except (RedisError, ValueError):
        return _finding(
            "redis", ok=False, detail="does not answer", cure="start it, or mend redis.url"
        )
    return _finding("redis", ok=True, detail="answers", cure="")


def _people(runtime: Runtime) -> Iterator[Check]:
    try:
        with runtime.database.read() as tx:
            everybody = [each for each in subjects.list_all(tx) if not each.is_disabled]
    except (DomainError, *DRIVER_ERRORS) as error:
        yield _finding("people", ok=False, detail=str(error), cure="mend the database first")
        return
    administrators = [each.username for each in everybody if _ADMINISTRATORS in each.groups]
    yield _finding(
        "administrators",
        ok=bool(administrators),
        detail=", ".join(administrators) or "none",
        cure="run `pdp admin create NAME`",
    )
    prepared = [each.username for each in everybody if each.break_glass]
    yield _finding(
        "break-glass",
        ok=bool(prepared),
        detail=", ".join(prepared) or "none",
        cure="run `pdp admin break-glass set NAME`: who gets in when an evaluation fails",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_private(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_private and not address.is_unspecified


_SETTINGS_CHECKS: Final[tuple[Callable[[Settings], Check], ...]] = (
    _issuer,
    _profile,
    _master_key,
    _storage,
    _encryption,
    _proxies,
    _management,
    _outbound,
    _redis,
)
