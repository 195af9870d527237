"""An HTTP adapter that connects to a vetted address, and reads against one total deadline.

`requests` times each read; a server that sends a byte now and then would hold a thread for
ever. Here every wait, the one for headers included, ends at the deadline of the whole call.
"""

import http.client
import io
import ssl
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from socket import socket
from typing import Any, Final

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

_POOLS: Final = 64
_CONNECTIONS_PER_POOL: Final = 8

#: What `requests` calls this parameter; ours is decided by `tls_context` alone.
_Verify = bool | str | None


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the address to connect to, the name its certificate must bear, when to stop.

    `deadline` is an instant of `time.monotonic()`.
    """

    address: str
    name: str
    deadline: float

    def remaining(self) -> float:
        """Return the seconds left; TimeoutError when none are."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


#: The call that this thread is making; without one, nothing connects.
CALL: Final[ContextVar[Call]] = ContextVar("outbound_call")


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket, each wait cut to what is left of the call."""

    def __init__(self, connection: socket) -> None:
        super().__init__()
        self._connection = connection
        self._raw = connection.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:  # noqa: ANN401  the buffer protocol
        self._connection.settimeout(CALL.get().remaining())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket, *arguments: Any, **named: Any) -> None:  # noqa: ANN401  passed on
        super().__init__(sock, *arguments, **named)
        self.fp.close()
        self.fp = io.BufferedReader(_DeadlineReader(sock))


class _Connection(HTTPConnection):
    response_class = _Response

    def _new_conn(self) -> socket:
        connection = super()._new_conn()
        # Connecting took its share: the TLS handshake has what is left.
        connection.settimeout(CALL.get().remaining())
        return connection


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class PinningAdapter(HTTPAdapter):
    """Connects where `CALL` says, whatever the name in the URL resolves to by now.

    The certificate is verified against the name. Connections are kept alive, and shared only
    by calls to the same address under the same name.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        super().__init__(pool_connections=_POOLS, pool_maxsize=_CONNECTIONS_PER_POOL)

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401  passed on
        super().init_poolmanager(*arguments, **named)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def get_connection_with_tls_context(
        self,
        request: PreparedRequest,
        verify: _Verify,
        proxies: Mapping[str, str] | None = None,
        cert: tuple[str, str] | str | None = None,
    ) -> HTTPConnectionPool:
        """Return the pool of connections to the vetted address; never one to a proxy."""
        del proxies, cert
        call = CALL.get()
        host, _ = self.build_connection_pool_key_attributes(request, verify or True)
        tls = {
            "ssl_context": self._tls,
            "cert_reqs": "CERT_REQUIRED",
            "server_hostname": call.name,
            "assert_hostname": call.name,
        }
        pool: HTTPConnectionPool = self.poolmanager.connection_from_host(
            **{**host, "host": call.address},
            pool_kwargs=tls if host["scheme"] == "https" else None,
        )
        return pool

    def cert_verify(self, conn: object, url: str, verify: object, cert: object) -> None:
        """Leave the pool as it was made: its own context holds the authorities."""


@lru_cache(maxsize=2)
def tls_context(extra_authorities: str | None) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities and those in the PEM file.

    One for a whole process: reading the authorities takes tens of milliseconds.
    """
    context = ssl.create_default_context()
    if extra_authorities is not None:
        context.load_verify_locations(cafile=extra_authorities)
    return context
