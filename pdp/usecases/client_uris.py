"""Which URIs a client may register: exact, absolute, and only where nobody else listens."""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

#: Hosts that are this machine itself, whatever a resolver says.
LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
#: RFC 8252 §7.1: a private-use scheme is a domain name of the app's maker, turned round.
_PRIVATE_USE: Final = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+")
_VISIBLE_ASCII: Final = re.compile(r"[!-~]{1,2000}")


def redirect_uri_problem(uri: str, *, is_public: bool) -> str | None:
    """Return why `uri` cannot be a redirect URI, or None (RFC 9700 §2.1, RFC 8252 §7).

    https anywhere, http on this machine only, and for public clients a private-use scheme with
    a dot in it.
    """
    problem = _shape_problem(uri)
    if problem is not None:
        return problem
    parts = urlsplit(uri)
    if parts.scheme in {"http", "https"}:
        return _web_problem(uri)
    if not is_public:
        return "must begin with https://, or http:// on loopback"
    if not _PRIVATE_USE.fullmatch(parts.scheme):
        return "an app's own scheme must hold a dot, as com.example.app:/callback"
    return None


def server_uri_problem(uri: str) -> str | None:
    """Return why `uri` cannot be an address that we call or send people to, or None."""
    return _shape_problem(uri) or _web_problem(uri)


def _shape_problem(uri: str) -> str | None:
    if not _VISIBLE_ASCII.fullmatch(uri) or "\\" in uri:
        return "must be plain ASCII without spaces and backslashes, at most 2,000 characters"
    if "*" in uri:
        return "must be exact: there are no wildcards"
    if "#" in uri:
        return "must have no fragment"
    try:
        scheme = urlsplit(uri).scheme
    except ValueError:
        return "cannot be read as a URI"
    return None if scheme else "must be absolute, with its scheme"


def _web_problem(uri: str) -> str | None:
    try:
        parts = urlsplit(uri)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return "has a host or port that cannot be read"
    return next(_web_problems(parts.scheme, parts.netloc, host), None)


def _web_problems(scheme: str, netloc: str, host: str | None) -> Iterator[str]:
    if scheme not in {"http", "https"}:
        yield "must begin with https://, or http:// on loopback"
    if not host:
        yield "names no host"
    if "@" in netloc:
        yield "must hold no user name or password"
    if scheme == "http" and host not in LOOPBACK_HOSTS:
        yield "http is for loopback only: use https"
