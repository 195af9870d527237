"""Says which URLs and which addresses may be called; anything it cannot place is refused."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_MAX_URL: Final = 2048

#: A host name as certificates carry it: letters, digits, hyphens, dots.
_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
    r"(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*\Z"
)
#: `2130706433`, `0x7f000001`, `0177.0.0.1`, `127.1`: some resolvers read these as addresses.
_LAST_LABEL_IS_A_NUMBER: Final = re.compile(r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)\Z")
_VISIBLE_ASCII: Final = re.compile(r"[!-~]+\Z")

# The tables stand here, and not `is_private`, whose answers differ between Python versions.
_REFUSED_V4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
#: What is handed out on the internet today; loopback, link-local, ULA, multicast are outside.
_GLOBAL_V6: Final = IPv6Network("2000::/3")
_REFUSED_V6: Final = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
#: Prefixes whose last 32 bits are an IPv4 address that a gateway, or the kernel, goes to.
_CARRIES_V4: Final = tuple(map(IPv6Network, ("::ffff:0:0/96", "64:ff9b::/96")))
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")


class OutboundRefused(Exception):
    """The URL, or an address behind its name, is one that this server never calls."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that passed: where to connect, and what to ask for there.

    `host` is a lower-case name or the text of an address, without brackets; `url` is rebuilt
    from the parts, so that no other parser can read it differently.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the Host header says: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole URL in its one spelling."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def literal(self) -> Address | None:
        """The address, when the URL names one instead of a host name."""
        return _literal(self.host)


def parse_target(url: str, *, allow_http: bool) -> Target:
    """Read `url`; OutboundRefused names what about it is not acceptable."""
    if len(url) > _MAX_URL or not _VISIBLE_ASCII.match(url) or "\\" in url:
        raise OutboundRefused(f"the URL must be plain ASCII of at most {_MAX_URL} characters")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise OutboundRefused("the URL cannot be read") from error
    if parts.scheme == "http" and not allow_http:
        raise OutboundRefused(
            "the URL must begin with https://, since outbound.allow_http is false"
        )
    if parts.scheme not in _DEFAULT_PORTS:
        raise OutboundRefused("the URL must begin with https://")
    if "@" in parts.netloc or parts.fragment:
        raise OutboundRefused("the URL must have neither a user name nor a fragment")
    if port == 0:
        raise OutboundRefused("the URL's port must be 1 to 65535")
    query = f"?{parts.query}" if parts.query else ""
    return Target(
        scheme=parts.scheme,
        host=_checked_host(host or ""),
        port=port or _DEFAULT_PORTS[parts.scheme],
        path=f"{parts.path or '/'}{query}",
    )


def check_addresses(target: Target, addresses: Sequence[Address], allow: Sequence[Network]) -> None:
    """Refuse `target` unless every address of it may be called; no address is a refusal too.

    A public address is acceptable; any other only where `allow` holds it.
    """
    if not addresses:
        raise OutboundRefused(f"{target.host} has no address")
    for address in addresses:
        if not _may_be_called(address, allow):
            raise OutboundRefused(
                f"{target.host} is at {address}, which is not public;"
                " outbound.allow_networks names the private networks that may be called"
            )


def _checked_host(host: str) -> str:
    if _literal(host) is not None and "%" not in host:
        return host
    if not _NAME.match(host) or _LAST_LABEL_IS_A_NUMBER.search(host):
        raise OutboundRefused("the URL's host must be a plain host name or a dotted address")
    return host


def _literal(host: str) -> Address | None:
    """Return the address that `host` spells in the one usual way, or None."""
    try:
        return IPv6Address(host) if ":" in host else IPv4Address(host)
    except AddressValueError:
        return None


def _may_be_called(address: Address, allow: Sequence[Network]) -> bool:
    destination = _destination(address)
    return _is_public(destination) or any(destination in network for network in allow)


def _destination(address: Address) -> Address:
    """Return where packets end: the IPv4 address that travels inside, if one does."""
    if isinstance(address, IPv6Address):
        if any(address in network for network in _CARRIES_V4):
            return IPv4Address(int(address) & 0xFFFFFFFF)
        if address in _SIX_TO_FOUR:
            return IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    return address in _GLOBAL_V6 and not any(address in network for network in _REFUSED_V6)
