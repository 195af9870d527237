"""A small deployment in a database: default policies and rules, a source, people who are signed in.

Everything is made by the product's own functions; a test changes what it is about.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from ipaddress import ip_network
from typing import Any, Final

from pydantic import SecretStr

from pdp.clock import new_secret
from pdp.domain.access import Strength
from pdp.domain.client import Client
from pdp.domain.errors import Unavailable
from pdp.domain.ids import ClientId, DeviceId, GrantId, SessionId, SourceId, SubjectId
from pdp.domain.session import Grant
from pdp.domain.signal import DeviceName, NameKind, RiskLevel, Signal
from pdp.jose.keys import SigningKey, generate
from pdp.outbound.client import Outbound
from pdp.policy.defaults import POLICIES_FILE, RULES_FILE, default_policies, default_rules
from pdp.runtime import Runtime
from pdp.settings import KeySettings, OutboundSettings, ServerSettings, Settings
from pdp.store import (
    clients,
    devices,
    documents,
    generations,
    grants,
    sessions,
    signing_keys,
    sources,
    subjects,
)
from pdp.store.arrivals import Arrival
from pdp.store.database import Database, Transaction
from pdp.store.decision_log import DecisionLog
from pdp.store.documents import DocumentKind
from pdp.store.engine import DRIVER_ERRORS
from pdp.store.envelope import new_master_key
from pdp.store.signing_keys import StoredKey
from pdp.usecases.configuration import Configurations
from pdp.usecases.ingest_signal import Ingested, ingest_signals
from pdp.usecases.register_device import register_device
from tests.builders import (
    NOW,
    SOURCE,
    WEBHOOK_SECRET,
    FrozenClock,
    a_delivery,
    a_limiter,
    a_session,
    a_subject,
    an_envelope,
    cheap_passwords,
)

RULES: Final = default_rules()
SERIAL: Final = DeviceName(NameKind.SERIAL, "C02XK1")
_logs: list[tuple[DecisionLog, Database]] = []
KEY: Final = generate("ES256", signs_from=NOW - timedelta(days=1))


def a_client(client_id: str = "wiki", **changes: Any) -> Client:
    """A relying party whose ID tokens are signed with the deployment's one key."""
    given: dict[str, Any] = {"id": ClientId(client_id), "name": client_id, "id_token_alg": "ES256"}
    return Client(**{**given, **changes})


def a_deployment(
    database: Database, clock: FrozenClock | None = None, *relying_parties: Client
) -> Runtime:
    """Set up an empty database, and return what one process on it is made of."""
    envelope = an_envelope()
    with database.write() as tx:
        for kind, name, version in (
            (DocumentKind.POLICIES, POLICIES_FILE, default_policies().version),
            (DocumentKind.COMPLIANCE, RULES_FILE, RULES.version),
        ):
            text = files("pdp.policy").joinpath(name).read_text(encoding="utf-8")
            documents.activate(tx, kind, version, text, now=NOW)
        signing_keys.add(tx, envelope, _stored(KEY))
        sources.add(tx, envelope, SOURCE, adapter="generic", secret=WEBHOOK_SECRET, now=NOW)
        for client in relying_parties:
            clients.add(tx, client, now=NOW)
    return a_runtime(database, clock or FrozenClock())


def a_decision_log(database: Database) -> DecisionLog:
    """A log whose thread ends with the test, whatever became of the database."""
    log = DecisionLog(database)
    _logs.append((log, database))
    return log


def close_decision_logs() -> None:
    """End what `a_decision_log` began: a thread that goes on trying would tell later tests."""
    while _logs:
        log, database = _logs.pop()
        with suppress(Unavailable, *DRIVER_ERRORS):
            log.close()
        database.close()


def a_runtime(database: Database, clock: FrozenClock) -> Runtime:
    """One process on a database that is set up; plain http to loopback is open to it."""
    outbound = OutboundSettings(
        allow_http=True, allow_networks=(ip_network("127.0.0.0/8"),), timeout=timedelta(seconds=2)
    )
    settings = Settings(
        issuer="https://id.example.org",
        keys=KeySettings(master=SecretStr(new_master_key())),
        outbound=outbound,
        # Nobody's address in the world: whoever needs a proxy comes from there.
        server=ServerSettings(trusted_proxies=(ip_network("192.0.2.250/32"),)),
    )
    envelope = an_envelope()
    return Runtime(
        settings=settings,
        clock=clock,
        database=database,
        envelope=envelope,
        configurations=Configurations(envelope),
        decision_log=a_decision_log(database),
        passwords=cheap_passwords(),
        rate_limiter=a_limiter(),
        outbound=Outbound(outbound),
    )


def a_signal(signal_id: str = "evt-1", at: datetime = NOW, **changes: Any) -> Signal:
    """A statement of the source `edr` about the device with serial number C02XK1."""
    given: dict[str, Any] = {
        "id": signal_id,
        "source": SOURCE,
        "device": (SERIAL,),
        "event_time": at,
    }
    return Signal(**{**given, **changes})


def a_risky(signal_id: str = "evt-1", at: datetime = NOW, **changes: Any) -> Signal:
    """A statement that the device is at high risk."""
    return a_signal(signal_id, at, risk=RiskLevel.HIGH, **changes)


def a_calm(signal_id: str = "evt-0", at: datetime = NOW, **changes: Any) -> Signal:
    """A statement that the device is at low risk."""
    return a_signal(signal_id, at, risk=RiskLevel.LOW, **changes)


def ingest(
    database: Database,
    *stated: Signal,
    delivery_id: str | None = None,
    now: datetime = NOW,
    source_id: SourceId = SOURCE,
) -> Ingested:
    """Apply signals as one delivery with an id and body of its own."""
    delivery_id = delivery_id or f"msg-{stated[0].id}"
    with database.write() as tx:
        arrival = an_arrival(tx, delivery_id, source=source_id, received_at=now)
        ingested = ingest_signals(tx, arrival, stated, RULES, now=now)
    assert ingested is not None
    return ingested


def an_arrival(tx: Transaction, delivery_id: str, **changes: Any) -> Arrival:
    """A delivery that came just now, with a body of its own."""
    given: dict[str, Any] = {
        "source": SOURCE,
        "delivery_id": delivery_id,
        "body_digest": delivery_id,
        "received_at": NOW,
        "generation": generations.read(tx),
    }
    return Arrival(**{**given, **changes})


def a_webhook(**members: object) -> tuple[bytes, Mapping[str, tuple[str, ...]]]:
    """A signed delivery of one signal in our own format: body and headers."""
    delivery_id = str(members.pop("delivery_id", "msg_1"))
    at = members.pop("signed_at", NOW)
    assert isinstance(at, datetime)
    document = {
        "id": "evt-1",
        "event_time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "device": {"serial": "C02XK1"},
        **members,
    }
    body = json.dumps(document).encode()
    delivery = a_delivery(body, delivery_id=delivery_id, at=at)
    return body, {**delivery.headers, "content-type": ("application/json",)}


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person with a session on a device, and a grant to each client."""

    subject: SubjectId
    device: DeviceId
    session: SessionId
    grants: tuple[GrantId, ...]


def signed_in(
    database: Database,
    *client_ids: str,
    person: str = "ada",
    names: tuple[DeviceName, ...] = (SERIAL,),
) -> SignedIn:
    """Sign a person in from a healthy device of theirs, which `names` name."""
    with database.write() as tx:
        subject = a_subject(id=f"usr_{person}", username=person)
        subjects.create(tx, subject, password_hash="none")
        tx.flush()
        device_id = register_device(
            tx, RULES, names=names, owner=subject.id, actor=subject.id, now=NOW
        )
        session = a_session(
            id=f"ses_{person}", subject=subject.id, device=device_id, strength=Strength.STRONG
        )
        sessions.create(tx, session, cookie=new_secret())
        made = tuple(a_grant(tx, session.id, subject.id, device_id, each) for each in client_ids)
    ingest(
        database,
        a_calm(f"calm-{person}", NOW - timedelta(minutes=1), device=names),
        now=NOW - timedelta(minutes=1),
    )
    return SignedIn(subject.id, device_id, session.id, made)


def a_grant(
    tx: Transaction, session: SessionId, subject: SubjectId, device: DeviceId, client_id: str
) -> GrantId:
    """Give a client what a person agreed to in a session."""
    grant = Grant(
        id=GrantId(f"grt_{session}_{client_id}"),
        subject=subject,
        client=ClientId(client_id),
        session=session,
        device=device,
        strength=Strength.STRONG,
        scope=("openid", "offline_access"),
        acr="pwd",
        amr=("pwd",),
        auth_time=NOW,
        created_at=NOW,
        expires_at=NOW + timedelta(days=30),
    )
    grants.insert(tx, grant)
    return grant.id


def the_device(database: Database, device_id: DeviceId | None = None) -> devices.StoredDevice:
    """The only device there is, or a certain one, as it is stored."""
    with database.read() as tx:
        if device_id is None:
            (stored,) = devices.list_devices(tx)
            return stored
        found = devices.load_stored(tx, device_id)
    assert found is not None
    return found


def _stored(key: SigningKey) -> StoredKey:
    return StoredKey(
        kid=key.kid,
        alg=key.alg,
        private=key.private_text(),
        public=dict(key.public_jwk),
        created_at=key.signs_from,
        signs_from=key.signs_from,
        retired_at=None,
    )
