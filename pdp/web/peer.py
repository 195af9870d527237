"""Whose word about addresses is believed: nobody's, unless settings name a proxy."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from pdp.settings import Network

Address = IPv4Address | IPv6Address


def is_trusted_proxy(address: str | None, trusted: Sequence[Network]) -> bool:
    """Tell whether headers from this peer are believed; nobody's are unless settings say so."""
    parsed = _parsed(address or "")
    return parsed is not None and any(parsed in network for network in trusted)


def address_of(environ: Mapping[str, object], trusted: Sequence[Network]) -> str:
    """Return the visitor's address: the peer's, or what trusted proxies say in X-Forwarded-For.

    The list is read from the right, where the nearest proxy wrote, up to the first address that
    is no trusted proxy's. What stands left of it may be anybody's invention. Where an entry
    cannot be read, the proxy that passed it on counts as the visitor. Empty for a Unix socket.
    """
    nearest = str(environ.get("REMOTE_ADDR") or "")
    if not trusted or not is_trusted_proxy(nearest, trusted):
        return nearest
    forwarded = str(environ.get("HTTP_X_FORWARDED_FOR") or "")
    for entry in reversed(forwarded.split(",")):
        parsed = _parsed(_without_port(entry.strip()))
        if parsed is None:
            break
        nearest = str(parsed)
        if not is_trusted_proxy(nearest, trusted):
            break
    return nearest


def _parsed(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def _without_port(entry: str) -> str:
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
