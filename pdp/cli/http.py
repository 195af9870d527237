"""The HTTP server process of `pdp serve`: granian, which forks one process for each worker."""

import multiprocessing
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

import click
import structlog
from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from pdp import logs
from pdp.app import create_app
from pdp.cli.processes import die_with, keep_loaded
from pdp.cli.settings_report import read_settings
from pdp.runtime import Runtime
from pdp.settings import Settings
from pdp.web.door import Door, is_program
from pdp.web.front import Front, Pool
from pdp.web.gate import Gate, slow_slots
from pdp.web.on_the_loop import OnTheLoop

_log: Final = structlog.get_logger("pdp.serve")

#: Seconds that running requests get to end.
_GRACE: Final = 5
_BACKLOG: Final = 2048
#: Requests that a process takes in at once: those that only trickle in hold no thread.
_MOST_AT_ONCE: Final = 16_384
#: Milliseconds that the head of a request may take.
_HEAD_WITHIN: Final = 10_000
#: Bytes that a head may always have. What a last read brings on top is at most as many again, so
#: that twice as many are always refused: each connection could make us hold them.
_LARGEST_HEAD: Final = 32 * 1024
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
    logs.take_over()
    _allow_connections()
    keep_loaded()
    # granian's annotation knows callables; with RSGI it takes an object.
    build_server(settings).serve(target_loader=cast("Callable[..., Any]", load_application))


def _allow_connections() -> None:
    """Open as many connections as the system lets this account: many only wait for bodies."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


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
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=_HEAD_WITHIN, max_buffer_size=_LARGEST_HEAD
        ),
        loop=Loops.uvloop,
        # A third quicker with bodies, measured with nothing behind it.
        runtime_mode=RuntimeModes.mt,
        websockets=False,
        workers=listen.workers,
        backlog=_BACKLOG,
        backpressure=_MOST_AT_ONCE,
        ssl_cert=listen.tls_certificate,
        ssl_key=listen.tls_key,
        ssl_protocol_min=SSLProtocols.tls12,
        log_level=LogLevels.error,
        log_dictconfig=_LOGGING,
        respawn_failed_workers=True,
        workers_kill_timeout=_GRACE,
    )


def load_application(_target: str) -> Front:
    """Build the application in a worker process; records that wait are written when it ends."""
    # The fork took over granian's handler, which only tells the parent. Before it serves, this
    # process has nothing to bring to its end: it would go on loading, and be killed for it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with _told():
        return _front()


@contextmanager
def _told() -> Iterator[None]:
    """End this process with a line about what was raised: multiprocessing would only print it."""
    try:
        yield
    except Exception as error:
        _log.exception("server.process.failed")
        raise SystemExit(1) from error


def _front() -> Front:
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        die_with(parent.pid)
    application = create_app()
    runtime: Runtime = application.extensions["pdp"]
    listen = runtime.settings.server
    door = Door(application)
    gate = Gate(door, slots=slow_slots(listen.threads))
    # As long as a thread waits for the database at most.
    patience = runtime.settings.database.busy_timeout.total_seconds()
    return Front(
        programs=Pool("programs", door, listen.program_threads, patience=patience),
        pages=Pool("pages", gate, listen.threads, patience=patience),
        at_once=OnTheLoop(application),
        is_program=is_program,
        largest_body=listen.max_body_bytes,
        at_end=_told()(runtime.decision_log.close),
    )
