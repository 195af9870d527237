"""Plain functions that build what tests are about, with defaults for everything else.

A test names only what matters to it: `a_device(owner="ada")`. Builders return real values of the
product, never doubles of it. Each group stands under a comment heading; append yours.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any, Final

from argon2 import PasswordHasher
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pdp.domain.access import (
    AuthenticationFacts,
    Channel,
    ClientFacts,
    DeviceFacts,
    Facts,
    Strength,
    SubjectFacts,
)
from pdp.domain.client import Client
from pdp.domain.compliance import Compliance
from pdp.domain.ids import ClientId, DeviceId, SourceId, SubjectId, TaskId
from pdp.domain.session import Session
from pdp.domain.signal import RiskLevel
from pdp.domain.subject import Subject
from pdp.domain.task import SecurityTask, TaskState
from pdp.ephemeral.rate_limit import RateLimiter
from pdp.jose.device_assertion import sign_device_assertion
from pdp.jose.keys import KeyRing
from pdp.policy.defaults import default_policies, default_rules
from pdp.sources.signatures import Delivery, format_secret, sign
from pdp.store.envelope import Envelope
from pdp.usecases.configuration import Configuration
from pdp.usecases.passwords import Passwords

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


CERTIFIED_FROM: Final = datetime(2026, 1, 1, tzinfo=UTC)
CERTIFIED_UNTIL: Final = datetime(2099, 1, 1, tzinfo=UTC)


def a_certificate(
    name: str = "dev_1", *, since: datetime = CERTIFIED_FROM, until: datetime = CERTIFIED_UNTIL
) -> bytes:
    """A certificate that a device signed itself, in DER; who signs is for the proxy to check."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    whose = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = x509.CertificateBuilder(whose, whose, key.public_key(), 1, since, until)
    return certificate.sign(key, None).public_bytes(serialization.Encoding.DER)


# People, their sessions and passwords


def a_subject(**changes: object) -> Subject:
    """A person with an open account."""
    given: dict[str, Any] = {
        "id": "usr_ada",
        "username": "ada",
        "name": "Ada Lovelace",
        "email": "ada@example.org",
        "groups": frozenset(),
        "break_glass": False,
        "must_change_password": False,
        "has_factor": False,
        "epoch": 0,
        "created_at": NOW,
        "password_changed_at": NOW,
    }
    return Subject(**{**given, **changes})


def a_session(**changes: object) -> Session:
    """A session that began just now, by password alone."""
    given: dict[str, Any] = {
        "id": "ses_1",
        "subject": "usr_ada",
        "device": None,
        "strength": Strength.NONE,
        "acr": "pwd",
        "amr": ("pwd",),
        "auth_time": NOW,
        "created_at": NOW,
        "idle_expires_at": NOW + timedelta(hours=8),
        "expires_at": NOW + timedelta(hours=12),
        "address": "192.0.2.1",
    }
    return Session(**{**given, **changes})


@dataclass(slots=True)
class CountingHasher:
    """Argon2 at its cheapest, counting the work it was asked to do."""

    argon2: PasswordHasher = field(
        default_factory=lambda: PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    )
    hashed: int = 0
    verified: int = 0

    def hash(self, password: bytes) -> str:
        self.hashed += 1
        return self.argon2.hash(password)

    def verify(self, hash: str, password: bytes) -> bool:  # noqa: A002  argon2's name
        self.verified += 1
        return self.argon2.verify(hash, password)

    def check_needs_rehash(self, hash: str) -> bool:  # noqa: A002  argon2's name
        return self.argon2.check_needs_rehash(hash)


def cheap_passwords(hasher: CountingHasher | None = None, concurrency: int = 8) -> Passwords:
    """The product's password checks, with hashes that cost next to nothing."""
    return Passwords(concurrency=concurrency, hasher=hasher or CountingHasher())


def a_limiter() -> RateLimiter:
    """Counters of one process: without Redis, half of each limit (DECISIONS 18)."""
    return RateLimiter(pepper=b"pepper")


def an_envelope() -> Envelope:
    """Encryption at rest under a master key that everybody knows."""
    return Envelope(bytes(32))


def a_configuration(*clients: Client) -> Configuration:
    """The default policies and rules, with `clients` and nothing else."""
    return Configuration(
        generation=1,
        clients={client.id: client for client in clients},
        resources=(),
        keys=KeyRing(()),
        sources={},
        bundle=default_policies(),
        rules=default_rules(),
    )


# Tasks


def a_task(**changes: Any) -> SecurityTask:
    """Return an open task about a device's disk."""
    task = SecurityTask(
        id=TaskId("tsk_1"),
        code="ABCD-EFGH",
        device=DeviceId("dev_1"),
        rule="disk-encrypted",
        source=None,
        attribute="",
        title="Disk is not encrypted",
        category="",
        state=TaskState.OPEN,
        opened_at=NOW,
    )
    return replace(task, **changes)
