"""Serves the management address from threads of the supervisor."""

import io
import socket
import sys
import threading
from socketserver import TCPServer, ThreadingMixIn
from typing import Final, TextIO
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog

from pdp.runtime import Runtime
from pdp.web.management import Management

_READ_SECONDS: Final = 10
_LOOK_EVERY: Final = 0.1

_log: Final = structlog.get_logger("pdp.management")


class _Line(io.StringIO):
    """Becomes one log line when it is flushed, as after each traceback."""

    def flush(self) -> None:
        if told := self.getvalue():
            _log.error("management.request.failed", exception=told)
            self.seek(0)
            self.truncate()


class _Handler(WSGIRequestHandler):
    # A connection that says nothing is closed.
    timeout = _READ_SECONDS

    def get_stderr(self) -> TextIO:
        """Return what the server writes the traceback of a failed request to."""
        return _Line()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
        """Log nothing: probes come every second."""

    def address_string(self) -> str:
        """Return the peer's address, without asking a name server for its name."""
        return str(self.client_address[0])


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without asking a name server for our own name.

        Connections of an earlier run that linger are no obstacle (`allow_reuse_address`).
        """
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:
        """Make a line of ours of a connection that failed, where the base prints a traceback."""
        del request
        error = sys.exception()
        if isinstance(error, OSError):
            # It went away, or said nothing in time.
            _log.debug("management.connection.lost", peer=client_address, exc_info=error)
        else:
            _log.error("management.connection.failed", peer=client_address, exc_info=error)


class _ServerOverIPv6(_Server):
    address_family = socket.AF_INET6


class ManagementServer:
    """Listens at `server.management_host` and `server.management_port`."""

    def __init__(self, runtime: Runtime, application: Management) -> None:
        server = runtime.settings.server
        kind = _ServerOverIPv6 if ":" in server.management_host else _Server
        self._server = kind((server.management_host, server.management_port), _Handler)
        self._server.set_app(application)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            # How long `stop` may wait for it.
            args=(_LOOK_EVERY,),
            name="management",
            daemon=True,
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Let go of the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
