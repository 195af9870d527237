"""The one door for HTTP calls to others: vetted addresses, no redirects, no proxies, bounded.

When the other side is down, slow, or answers nonsense, the call ends within its timeout in
`OutboundFailed`, and nothing is tried again here: jobs own their retries. Texts of errors name
the host and what went wrong, never the path, the body sent or the body received.
"""

import http.client
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import Final

import requests
from requests import PreparedRequest, Response
from requests.exceptions import ConnectTimeout, RequestException, SSLError
from urllib3.exceptions import HTTPError, NewConnectionError

from pdp.outbound.addresses import (
    Address,
    OutboundRefused,
    Target,
    check_addresses,
    parse_target,
)
from pdp.outbound.transport import CALL, Call, PinningAdapter, tls_context
from pdp.settings import OutboundSettings

__all__ = ["Answer", "Outbound", "OutboundFailed", "OutboundRefused", "Resolver"]

#: Returns every address of a host name, in order of preference; OSError when it has none.
Resolver = Callable[[str], Sequence[Address]]

_CHUNK: Final = 16 * 1024
_RESOLVER_THREADS: Final = 16
#: The headers that say where a message goes and where it ends are never the caller's.
_OURS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection"})


class OutboundFailed(Exception):
    """The call was made, or begun, and brought no whole answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said: a redirect is an answer too, and is not followed.

    `headers` are found whatever the case of their names.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]


def resolve(host: str) -> Sequence[Address]:
    """Ask the system's resolver."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [ip_address(str(entry[4][0])) for entry in found]


class Outbound:
    """Makes calls under one set of settings; may be used from several threads."""

    def __init__(self, settings: OutboundSettings, *, resolver: Resolver = resolve) -> None:
        self._settings = settings
        self._resolver = resolver
        bundle = settings.ca_bundle
        self._adapter = PinningAdapter(tls_context(None if bundle is None else str(bundle)))
        self._resolving = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="resolve")
        self._lookups: dict[str, Future[Sequence[Address]]] = {}
        self._lookups_lock = threading.Lock()

    def post(
        self,
        url: str,
        *,
        body: bytes,
        headers: Mapping[str, str],
        timeout: timedelta | None = None,
    ) -> Answer:
        """Send `body` to `url` and return the whole answer within `timeout`.

        The timeout (default: the settings') counts from here to the last byte. Raises
        OutboundRefused before anything is sent, OutboundFailed after.
        """
        return self._call("POST", url, body, headers, timeout or self._settings.timeout)

    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: timedelta | None = None,
    ) -> Answer:
        """Fetch `url`; the rest as in `post`."""
        return self._call("GET", url, None, headers or {}, timeout or self._settings.timeout)

    def check(self, url: str) -> None:
        """Raise what a call would raise before it connects: OutboundRefused or OutboundFailed."""
        deadline = time.monotonic() + self._settings.timeout.total_seconds()
        self._vetted(parse_target(url, allow_http=self._settings.allow_http), deadline)

    def close(self) -> None:
        """Close the connections that are kept alive."""
        self._adapter.close()
        self._resolving.shutdown(wait=False, cancel_futures=True)

    def _call(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
        timeout: timedelta,
    ) -> Answer:
        deadline = time.monotonic() + timeout.total_seconds()
        target = parse_target(url, allow_http=self._settings.allow_http)
        addresses = self._vetted(target, deadline)
        request = _prepared(method, target, body, headers)
        for address in addresses[:-1]:
            answer = self._attempt(request, target, address, deadline)
            if answer is not None:
                return answer
        answer = self._attempt(request, target, addresses[-1], deadline)
        if answer is None:
            raise OutboundFailed(f"{target.host} does not accept connections")
        return answer

    def _vetted(self, target: Target, deadline: float) -> Sequence[Address]:
        """Resolve once, and refuse unless every address may be called."""
        if target.literal is not None:
            addresses: Sequence[Address] = [target.literal]
        else:
            # The system's resolver knows no deadline: it is waited for, and left behind.
            lookup = self._lookup(target.host)
            try:
                addresses = lookup.result(timeout=max(0.0, deadline - time.monotonic()))
            except TimeoutError as error:
                raise OutboundFailed(f"{target.host} was not resolved in time") from error
            except (OSError, UnicodeError) as error:
                raise OutboundFailed(f"{target.host} has no address") from error
        check_addresses(target, addresses, self._settings.allow_networks)
        return list(dict.fromkeys(addresses))

    def _lookup(self, host: str) -> "Future[Sequence[Address]]":
        """Look a name up, once at a time: one that nobody answers for holds one thread alone."""
        with self._lookups_lock:
            lookup = self._lookups.get(host)
            if lookup is None:
                lookup = self._lookups[host] = self._resolving.submit(self._resolve, host)
        return lookup

    def _resolve(self, host: str) -> Sequence[Address]:
        try:
            return self._resolver(host)
        finally:
            with self._lookups_lock:
                del self._lookups[host]

    def _attempt(
        self, request: PreparedRequest, target: Target, address: Address, deadline: float
    ) -> Answer | None:
        """Return the answer from one address, or None if it accepts no connection."""
        call = Call(str(address), target.host, deadline)
        token = CALL.set(call)
        try:
            left = call.remaining()
            # Straight to the adapter: a session would add cookies, proxies and .netrc, and
            # would read the body of a redirect without any limit.
            response = self._adapter.send(request, stream=True, timeout=left, proxies={})
            try:
                return Answer(response.status_code, self._body(response), response.headers)
            finally:
                response.close()
        except (RequestException, HTTPError, http.client.HTTPException, OSError) as error:
            if _nothing_was_sent(error):
                return None
            raise OutboundFailed(f"{target.host} {_what_went_wrong(error)}") from error
        finally:
            CALL.reset(token)

    def _body(self, response: Response) -> bytes:
        limit = self._settings.max_body_bytes
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise OutboundFailed("the answer is compressed, which was not asked for")
        body = bytearray()
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            body += chunk
            if len(body) > limit:
                raise OutboundFailed(f"the answer is larger than {limit} bytes")
        return bytes(body)


def _prepared(
    method: str, target: Target, body: bytes | None, headers: Mapping[str, str]
) -> PreparedRequest:
    theirs = {name: value for name, value in headers.items() if name.lower() not in _OURS}
    # Compression would hide how large an answer becomes.
    ours = {"Host": target.authority, "Accept-Encoding": "identity"}
    try:
        return requests.Request(method, target.url, headers={**theirs, **ours}, data=body).prepare()
    except RequestException as error:
        raise OutboundRefused("the request's URL or headers cannot be sent") from error


def _nothing_was_sent(error: Exception) -> bool:
    if isinstance(error, ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)


def _what_went_wrong(error: Exception) -> str:
    if isinstance(error, SSLError):
        return "has no certificate that outbound.ca_bundle or the system vouches for"
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, TimeoutError | requests.Timeout):
            return "did not answer in time"
        seen = seen.__context__
    return "broke the connection off or answered what is not HTTP"
