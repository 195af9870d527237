"""Serves the management address from threads of the supervisor."""

import socket
import threading
from socketserver import TCPServer, ThreadingMixIn
from typing import Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from pdp.runtime import Runtime
from pdp.web.management import Management

_READ_SECONDS: Final = 10
_LOOK_EVERY: Final = 0.1


class _Handler(WSGIRequestHandler):
    # A connection that says nothing is closed.
    timeout = _READ_SECONDS

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
