"""Where the request comes from: `network: [10.0.0.0/8, "2001:db8::/32"]`."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

from pdp.domain.access import Facts, Reason
from pdp.policy.condition import Plain
from pdp.policy.membership import open_spec
from pdp.policy.reader import Field
from pdp.policy.ternary import Ternary

_ANYWHERE: Final = IPv4Network("0.0.0.0/0")


@dataclass(frozen=True, slots=True)
class Network:
    """The request's address is in one of the networks."""

    networks: frozenset[IPv4Network | IPv6Network]
    on_missing: bool | None = None
    name = "network"
    reason = Reason.NETWORK
    timed = False

    def evaluate(self, facts: Facts) -> Ternary:
        if facts.address is None:
            return Ternary.UNKNOWN.or_declared(on_missing=self.on_missing)
        address = _unmapped(facts.address)
        return Ternary.of(holds=any(address in network for network in self.networks))

    def seen(self, facts: Facts) -> str:
        return "missing" if facts.address is None else str(_unmapped(facts.address))

    def changes_at(self, facts: Facts) -> datetime | None:  # noqa: ARG002  no clock in it
        return None

    def spec(self) -> Plain:
        networks: list[Plain] = [*sorted(str(network) for network in self.networks)]
        if self.on_missing is None:
            return networks
        return {"in": networks, "on_missing": self.on_missing}

    def parts(self) -> tuple[()]:
        return ()


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    # A dual-stack socket shows IPv4 peers as ::ffff:192.0.2.1; they must match IPv4 networks.
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def parse(field: Field) -> Network:
    """Read networks in CIDR notation (RFC 4632); a lone address is a network of one."""
    values, on_missing = open_spec(field)
    return Network(frozenset(_network(item) for item in values.items()), on_missing)


def _network(field: Field) -> IPv4Network | IPv6Network:
    text = field.text()
    try:
        return ip_network(text)
    except ValueError:
        field.refuse("is not a network", _fix(text))
        return _ANYWHERE


def _fix(text: str) -> str:
    try:
        return f"did you mean `{ip_network(text, strict=False)}`?"
    except ValueError:
        return "write CIDR, such as `10.0.0.0/8` or `2001:db8::/32`"
