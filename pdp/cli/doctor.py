"""`pdp doctor`: what is missing for production, and what to do about it."""

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import click
from redis import Redis, RedisError

from pdp.cli.context import opened_runtime
from pdp.cli.output import say, show
from pdp.domain.errors import DomainError
from pdp.runtime import Runtime
from pdp.settings import Settings
from pdp.store import subjects
from pdp.usecases.check_readiness import Check, check_readiness

_ADMINISTRATORS: Final = "pdp-admins"
_REDIS_SECONDS: Final = 2


@click.command()
@click.pass_context
def doctor(context: click.Context) -> None:
    """List what is missing for production, each with its cure; exit code 1 if anything is."""
    with opened_runtime() as runtime:
        checks = [
            *(make(runtime.settings) for make in _SETTINGS_CHECKS),
            *check_readiness(runtime.database, runtime.configurations, runtime.clock).checks,
            *_people(runtime),
        ]
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
    except OSError as error:
        detail, ok, cure = f"{path}: {error.strerror}", False, "run `pdp init`"
    else:
        detail, ok, cure = f"{path}, mode {mode:03o}", not mode & 0o077, f"chmod 600 {path}"
    return _finding("master key", ok=ok, detail=detail, cure=cure)


def _storage(settings: Settings) -> Check:
    is_sqlite = settings.database.url.startswith("sqlite")
    if not is_sqlite:
        return _finding("storage", ok=True, detail="PostgreSQL", cure="")
    path = Path(settings.database.url.removeprefix("sqlite:///"))
    readable = path.exists() and bool(path.stat().st_mode & 0o077)
    return _finding(
        "storage",
        ok=not readable,
        detail=f"SQLite at {path}: one machine, one writer at a time",
        cure=f"others can read it: chmod 600 {path} (and the -wal and -shm beside it)",
    )


def _encryption(settings: Settings) -> Check:
    server = settings.server
    is_local = _is_loopback(server.host)
    ok = server.tls_certificate is not None or is_local or bool(server.trusted_proxies)
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
        cure="set server.tls_certificate and server.tls_key, or listen on loopback behind a proxy",
    )


def _proxies(settings: Settings) -> Check:
    everyone = [each for each in settings.server.trusted_proxies if each.prefixlen == 0]
    return _finding(
        "trusted proxies",
        ok=not everyone,
        detail=", ".join(str(each) for each in settings.server.trusted_proxies) or "none",
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
    except DomainError as error:
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
