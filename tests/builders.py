"""Plain functions that build what tests are about, with defaults for everything else.

A test names only what matters to it: `a_device(owner="ada")`. Builders return real values of the
product, never doubles of it. Each group stands under a comment heading; append yours.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Final

from pdp.domain.access import (
    AuthenticationFacts,
    Channel,
    ClientFacts,
    DeviceFacts,
    Facts,
    Strength,
    SubjectFacts,
)
from pdp.domain.compliance import Compliance
from pdp.domain.ids import ClientId, DeviceId, SourceId, SubjectId
from pdp.domain.signal import RiskLevel
from pdp.jose.device_assertion import sign_device_assertion
from pdp.sources.signatures import Delivery, format_secret, sign

# Time

#: A Monday, mid-morning: the instant of every test that does not say otherwise.
NOW: Final = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


@dataclass(slots=True)
class FrozenClock:
    """A clock (`pdp.clock.Clock`) that moves only when told to."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> datetime:
        """Move forward; return the new instant."""
        self.now += by
        return self.now


# Facts of a decision


def subject_facts(
    name: str = "ada", *, groups: Collection[str] = (), break_glass: bool = False
) -> SubjectFacts:
    """Return what is known of a person."""
    return SubjectFacts(id=SubjectId(name), groups=frozenset(groups), break_glass=break_glass)


def device_facts(
    *,
    compliance: Compliance = Compliance.COMPLIANT,
    risk: RiskLevel = RiskLevel.LOW,
    platform: str | None = "linux",
    strength: Strength = Strength.STRONG,
    blocked: bool = False,
    valid_until: datetime | None = None,
) -> DeviceFacts:
    """Return what is known of a device: healthy, and proven to be the one that speaks."""
    return DeviceFacts(
        id=DeviceId("dev_1"),
        compliance=compliance,
        risk=risk,
        platform=platform,
        strength=strength,
        blocked=blocked,
        valid_until=valid_until,
    )


def authentication_facts(
    acr: str = "pwd", *, amr: Collection[str] = ("pwd",), ago: timedelta = timedelta(minutes=1)
) -> AuthenticationFacts:
    """Return how somebody signed in, `ago` before NOW."""
    return AuthenticationFacts(acr=acr, amr=frozenset(amr), time=NOW - ago)


_ADA: Final = subject_facts()
_HEALTHY: Final = device_facts()
_SIGNED_IN: Final = authentication_facts()


def facts(
    *,
    client: str = "wiki",
    channel: Channel = Channel.SIGN_IN,
    grant_type: str | None = "authorization_code",
    scopes: Collection[str] = ("openid", "profile"),
    subject: SubjectFacts | None = _ADA,
    device: DeviceFacts | None = _HEALTHY,
    authentication: AuthenticationFacts | None = _SIGNED_IN,
    address: str | None = "192.0.2.7",
    now: datetime = NOW,
) -> Facts:
    """Return the facts of Ada's sign-in to the wiki on a healthy device."""
    return Facts(
        channel=channel,
        client=ClientFacts(id=ClientId(client)),
        now=now,
        grant_type=grant_type,
        scopes=frozenset(scopes),
        subject=subject,
        device=device,
        authentication=authentication,
        address=None if address is None else ip_address(address),
    )


def machine_facts(client: str = "backup") -> Facts:
    """Return the facts of a service that signs in as itself."""
    return facts(
        client=client,
        channel=Channel.CLIENT_CREDENTIALS,
        grant_type="client_credentials",
        scopes=("backup",),
        subject=None,
        device=None,
        authentication=None,
    )


# Signals, as sources send them

SOURCE: Final = SourceId("edr")
#: What a source signs its deliveries with in tests; it opens nothing.
WEBHOOK_SECRET: Final = format_secret(bytes(range(32)))


def a_signal_document(**members: object) -> dict[str, object]:
    """Return a signal in our own JSON format; `members` replace or add to the defaults."""
    return {
        "id": "evt-1",
        "event_time": "2026-03-02T09:59:30Z",
        "device": {"serial": "C02XK1"},
        **members,
    }


def a_delivery(
    body: bytes = b"{}",
    *,
    secret: str = WEBHOOK_SECRET,
    delivery_id: str = "msg_1",
    at: datetime = NOW,
    **headers: tuple[str, ...],
) -> Delivery:
    """Return a signed webhook; `headers` (`webhook_id=(…)`) replace what was signed."""
    timestamp = int(at.timestamp())
    signed = {
        "webhook-id": (delivery_id,),
        "webhook-timestamp": (str(timestamp),),
        "webhook-signature": (sign(secret, delivery_id, timestamp, body),),
    }
    replaced = {name.replace("_", "-"): values for name, values in headers.items()}
    return Delivery({**signed, **replaced}, body)


# Devices that prove themselves

ISSUER: Final = "https://id.example.com"
#: The private key of RFC 8037 appendix A.1: known to everybody.
DEVICE_JWK: Final = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
}


def a_device_assertion(
    jwk: Mapping[str, str] = DEVICE_JWK, *, now: datetime = NOW, issuer: str = ISSUER
) -> str:
    """Return the assertion that device `dev_1` signs for one request."""
    return sign_device_assertion(
        jwk, device=DeviceId("dev_1"), issuer=issuer, nonce="nonce-1", jti="jti-1", now=now
    )
