"""The HTTP server process of `pdp serve`: granian, which forks one process for each worker."""

import multiprocessing
from multiprocessing import util
from typing import Final

import click
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.log import LogLevels
from granian.server.mp import MPServer

from pdp import logs
from pdp.app import create_app
from pdp.cli.processes import die_with
from pdp.cli.settings_report import read_settings
from pdp.runtime import Runtime
from pdp.settings import Settings
from pdp.web.door import Door
from pdp.web.gate import Gate, WsgiApplication, slow_slots

#: Seconds that running requests get to end.
_GRACE: Final = 5
_BACKLOG: Final = 2048
#: granian's lines go the way of ours; its request lines are off, since ours say more.
_LOGGING: Final = {
    "handlers": {},
    "loggers": {"_granian": {"handlers": [], "level": "ERROR", "propagate": True}},
}


@click.command(hidden=True)
@click.option("--supervisor", type=int, required=True, help="Process to end with.")
def http(supervisor: int) -> None:
    """Answer HTTP; started and watched by `pdp serve`."""
    die_with(supervisor)
    settings = read_settings()
    logs.configure(settings.logging.level)
    build_server(settings).serve(target_loader=load_application)


def build_server(settings: Settings) -> MPServer:
    """Return a server that listens as the settings say.

    HTTP/1.1 alone: proxies speak it, and the other protocol's attacks have nothing to attack.
    TLS from 1.2 on (RFC 9325 §3.1.1).
    """
    listen = settings.server
    return MPServer(
        "pdp",
        address=listen.host,
        port=listen.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=listen.workers,
        blocking_threads=listen.threads,
        backlog=_BACKLOG,
        ssl_cert=listen.tls_certificate,
        ssl_key=listen.tls_key,
        ssl_protocol_min=SSLProtocols.tls12,
        log_level=LogLevels.error,
        log_dictconfig=_LOGGING,
        respawn_failed_workers=True,
        workers_kill_timeout=_GRACE,
    )


def load_application(_target: str) -> WsgiApplication:
    """Build the application in a worker process; records that wait are written when it ends."""
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        die_with(parent.pid)
    application = create_app()
    runtime: Runtime = application.extensions["pdp"]
    # A process that multiprocessing forked runs these at its end, and no `atexit`.
    util.Finalize(None, runtime.decision_log.close, exitpriority=1)
    return Gate(Door(application), slots=slow_slots(runtime.settings.server.threads))
