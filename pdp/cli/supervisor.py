"""Runs the parts of `pdp serve`: looks whether they can run, starts, watches and stops them."""

import os
import socket
import ssl
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import click
import structlog

from pdp import __version__, logs
from pdp.cli.context import built_runtime, check_schema
from pdp.cli.failures import Failed, Unexpected
from pdp.cli.invocation import Output, current
from pdp.cli.management import ManagementServer
from pdp.cli.processes import Child, Family, keep_loaded, stop_when_told
from pdp.runtime import Runtime
from pdp.settings import Settings
from pdp.usecases.check_readiness import Check
from pdp.web.management import Management, OwnChecks

#: Seconds from SIGTERM until whatever still runs is killed.
STOP_WITHIN: Final = 8.0
#: A part that dies so often without ever having served is not started again.
MOST_FIRST_DEATHS: Final = 3
_WATCH_EVERY: Final = 0.1
_PROBE_SECONDS: Final = 0.2

_DEV: Final = (
    "DEVELOPMENT PROFILE (dev: true): plain http on loopback, cookies without __Host- and Secure."
    " Not for production."
)
_log = structlog.get_logger("pdp.serve")


def run(settings: Settings, parts: Sequence[str]) -> None:
    """Serve until SIGTERM, Ctrl-C or hang-up; Failed, naming cause and cure, if that cannot be."""
    logs.configure(settings.logging.level)
    logs.take_over()
    check_listening(settings, parts)
    runtime = built_runtime(settings)
    keep_loaded()
    try:
        check_deployment(runtime)
        _supervise(runtime, parts)
    finally:
        runtime.close()


def check_listening(settings: Settings, parts: Sequence[str]) -> None:
    """Fail unless the ports are free and the TLS files are there and fit together."""
    server = settings.server
    check_port(server.management_host, server.management_port, "server.management_port")
    if "http" in parts:
        check_port(server.host, server.port, "server.port")
        check_tls(server.tls_certificate, server.tls_key)


def check_port(host: str, port: int, setting: str) -> None:
    """Fail if something listens at `host` and `port` already, or nothing of ours can."""
    if port == 0:
        raise Failed(f"{setting}: choose a port from 1 to 65535; 0 would be another one each time")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Connections of an earlier run that linger are no obstacle; whoever listens is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Failed(
                f"{setting}: cannot listen at {host} port {port}: {error.strerror};"
                f" stop what uses it, or set {setting} to another one"
            ) from error


def check_tls(certificate: Path | None, key: Path | None) -> None:
    """Fail unless both files can be read and belong together; without any there is no TLS."""
    if certificate is None or key is None:
        return
    for setting, path in (("server.tls_certificate", certificate), ("server.tls_key", key)):
        if not os.access(path, os.R_OK):
            raise Failed(f"{setting}: {path} is not there, or this account may not read it")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise Failed(
            f"server.tls_certificate and server.tls_key: {certificate} and {key} are no PEM"
            f" certificate chain with its private key ({getattr(error, 'reason', error)})"
        ) from error


def check_deployment(runtime: Runtime) -> None:
    """Fail unless the schema is this program's and keys, policies and rules can be loaded."""
    check_schema(runtime)
    with runtime.database.read() as tx:
        runtime.configurations.current(tx)


def _supervise(runtime: Runtime, parts: Sequence[str]) -> None:
    stopping = threading.Event()
    stop_when_told(stopping.set)
    supervised = ("--supervisor", str(os.getpid()))
    command = (sys.executable, "-m", "pdp", "--output", Output.JSON)
    children = [Child(name, [*command, name, *supervised]) for name in parts]
    family = Family(children, os.environ)
    checks = _parts_checked(runtime.settings, family, parts)
    management = ManagementServer(runtime, Management(runtime, checks))
    management.start()
    try:
        family.start()
        _watch(runtime.settings, family, stopping)
    finally:
        _log.info("server.stop.begun")
        is_clean = family.stop(within=STOP_WITHIN)
        management.stop()
        _log.info("server.stop.finished", clean=is_clean)


def _parts_checked(settings: Settings, family: Family, parts: Sequence[str]) -> OwnChecks:
    def checked(part: str) -> Check:
        if not family.is_alive(part):
            return Check(
                name=part,
                ok=False,
                detail="died, and starts again",
                cure="see the log for why it ended",
            )
        if part == "http" and not _accepts(settings):
            return Check(
                name=part,
                ok=False,
                detail="runs, and accepts no connections yet",
                cure="wait some seconds; then see the log for what keeps it",
            )
        return Check(name=part, ok=True, detail="runs")

    return lambda: tuple(checked(part) for part in parts)


def _watch(settings: Settings, family: Family, stopping: threading.Event) -> None:
    is_announced = False
    while not stopping.wait(_WATCH_EVERY):
        if not is_announced and _answers(settings, family):
            is_announced = True
            # A terminal that was closed meanwhile: that ends it, and clean.
            with suppress(OSError):
                _announce(settings, family)
        for death in family.revive():
            _log.error(
                "server.part.died",
                part=death.child.name,
                status=death.status,
                starts_again_in=death.wait,
            )
            if not is_announced and death.child.deaths >= MOST_FIRST_DEATHS:
                raise Unexpected(
                    f"{death.child.name} ended {death.child.deaths} times before it served"
                    f" (status {death.status}): the log above says why"
                )


def _answers(settings: Settings, family: Family) -> bool:
    """Tell whether every part is up: the HTTP server is once it accepts connections."""
    if not all(child.is_alive for child in family.children):
        return False
    return not any(child.name == "http" for child in family.children) or _accepts(settings)


def _accepts(settings: Settings) -> bool:
    """Tell whether the HTTP server accepts connections; it does not as soon as it runs."""
    address = (_reachable(settings.server.host), settings.server.port)
    try:
        socket.create_connection(address, timeout=_PROBE_SECONDS).close()
    except OSError:
        return False
    return True


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  it is compared


def _announce(settings: Settings, family: Family) -> None:
    server = settings.server
    scheme = "https" if server.tls_certificate else "http"
    if current().output is Output.JSON:
        _log.info(
            "server.start.finished",
            version=__version__,
            issuer=settings.issuer,
            parts=[child.name for child in family.children],
            listens=f"{scheme}://{server.host}:{server.port}",
            health=f"http://{server.management_host}:{server.management_port}/readyz",
            dev=settings.dev,
        )
        return
    if any(child.name == "http" for child in family.children):
        click.echo(
            f"Pratique {__version__} serves {settings.issuer}, listening at"
            f" {scheme}://{server.host}:{server.port}"
            f" ({server.workers} processes of {server.threads} threads)"
        )
    click.echo(f"health: http://{server.management_host}:{server.management_port}/readyz")
    if settings.dev:
        click.echo(_DEV)
