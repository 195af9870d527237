"""Our server as it is served, on a database of its own, with people, devices and tokens in it."""

import base64
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import requests
from ruamel.yaml import YAML

from pdp.assembly import build_runtime
from pdp.clock import new_id, new_secret, utcnow
from pdp.domain.access import Strength
from pdp.domain.client import Client, ClientSecret, Resource
from pdp.domain.ids import ClientId, DeviceId, GrantId, SessionId, SourceId, SubjectId
from pdp.domain.session import Grant, Session
from pdp.domain.signal import DeviceName, NameKind
from pdp.domain.subject import FieldRefused
from pdp.runtime import Runtime
from pdp.settings import Settings
from pdp.sources.signatures import format_secret, sign
from pdp.store import grants, sessions, tokens
from pdp.store.database import Transaction
from pdp.usecases.accounts import Person, create_user
from pdp.usecases.client_secrets import client_pepper, secret_digest
from pdp.usecases.configure_source import add_source
from pdp.usecases.passwords import Busy, NewPassword
from pdp.usecases.register_client import register_client, register_resource
from pdp.usecases.register_device import register_device
from tests.benchmarks.load import raw_request
from tests.servers import free_port, running, wait_until

SECRET: Final = "bench-secret-bench-secret-bench-secret"
SOURCE: Final = SourceId("bench")
API: Final = "https://api.example"
_ACTOR: Final = "benchmark"
_FORM: Final = ("Content-Type", "application/x-www-form-urlencoded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """A running server of ours. `refresh` and `access` are fresh tokens, `serials` its devices."""

    url: str
    process: int
    webhook_secret: str
    refresh: tuple[str, ...]
    access: tuple[str, ...]
    serials: tuple[str, ...]

    def client_credentials(self) -> bytes:
        """Return the request of a machine for a token."""
        body = b"grant_type=client_credentials&scope=read"
        return raw_request("/token", body, headers=[_FORM, basic("machine")])

    def introspection(self, token: str) -> bytes:
        """Return the API's question about a token."""
        return raw_request("/introspect", f"token={token}".encode(), headers=[_FORM, basic("api")])

    def webhook(self, serial: str, risk: str) -> bytes:
        """Return a signed delivery of one new signal."""
        body, headers = self.signal(serial, risk)
        return raw_request(f"/webhooks/{SOURCE}", body, headers=headers.items())

    def signal(self, serial: str, risk: str) -> tuple[bytes, dict[str, str]]:
        """Return body and headers of a signed delivery of one new signal."""
        now = utcnow()
        body = json.dumps(
            {
                "id": new_id("sig"),
                "event_time": now.isoformat().replace("+00:00", "Z"),
                "device": {"serial": serial},
                "risk": risk,
                "posture": {"disk_encrypted": True, "firewall_enabled": True},
                "platform": "linux",
                "os_version": "12.8",
            }
        ).encode()
        delivery, timestamp = new_id("msg"), int(now.timestamp())
        return body, {
            "Content-Type": "application/json",
            "webhook-id": delivery,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self.webhook_secret, delivery, timestamp, body),
        }


def basic(client: str) -> tuple[str, str]:
    """Return the header by which a client of the benchmark authenticates."""
    return "Authorization", "Basic " + base64.b64encode(f"{client}:{SECRET}".encode()).decode()


@contextmanager
def served(database_url: str, home: Path, *, people: int, families: int) -> Iterator[Ours]:
    """Serve a database, made ready for the benchmark, as `pdp serve` does; until the block ends."""
    home.mkdir(parents=True)
    port = free_port()
    url = f"http://localhost:{port}"
    config = home / "config.yaml"
    with config.open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(_settings(url, port, database_url, home), file)
    environment = {**os.environ, "PDP_CONFIG": str(config)}
    pdp = [sys.executable, "-m", "pdp"]
    subprocess.run([*pdp, "init"], env=environment, check=True, capture_output=True)
    webhook_secret = format_secret(secrets.token_bytes(32))
    runtime = build_runtime(_read(config))
    try:
        refresh, serials = _seed(runtime, webhook_secret, people, families)
    finally:
        runtime.outbound.close()
        runtime.database.close()
    command = ["env", f"PDP_CONFIG={config}", *pdp, "serve"]
    with running(command, home / "server.log") as process:
        wait_until(lambda: _answers(url), process, home / "server.log")
        _report_healthy(url, webhook_secret, serials)
        issued = [_refreshed(url, token) for token in refresh[:people]]
        yield Ours(
            url=f"http://127.0.0.1:{port}",
            process=process.pid,
            webhook_secret=webhook_secret,
            refresh=refresh[people:],
            access=tuple(issued),
            serials=serials,
        )


def _settings(url: str, port: int, database_url: str, home: Path) -> dict[str, object]:
    """Return settings: the defaults, but for what a benchmark must not run into."""
    return {
        "issuer": url,
        "dev": True,
        "database": {"url": database_url},
        "server": {"port": port, "management_port": free_port()},
        "keys": {"master_path": str(home / "master.key")},
        # Tokens made beforehand must outlive the run; wrong passwords are the mixed load.
        "lifetimes": {"access_token": "4h"},
        "signin": {"attempts": 1_000_000, "attempts_per_address": 1_000_000},
    }


def _read(config: Path) -> Settings:
    document = YAML(typ="safe").load(config.read_text(encoding="utf-8"))
    return Settings(**document)


def _seed(
    runtime: Runtime, webhook_secret: str, people: int, families: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write clients, a source, and `people` with a device each.

    Returns one refresh token of each person, then so many more families, and the serials.
    """
    hashed = runtime.passwords.hash("never used to sign in")
    assert not isinstance(hashed, Busy)
    password = NewPassword(hashed, must_change=False)
    now = runtime.clock()
    with runtime.database.write() as tx:
        _add_clients(tx, runtime, now)
        add_source(
            tx,
            runtime.envelope,
            SOURCE,
            adapter="generic",
            secret=webhook_secret,
            actor=_ACTOR,
            now=now,
        )
        tx.flush()
        rules = runtime.configurations.current(tx).rules
        live, serials = [], []
        for number in range(people):
            person = create_user(
                tx, Person(username=f"person-{number}"), password, actor=_ACTOR, now=now
            )
            assert not isinstance(person, FieldRefused)
            serials.append(f"SERIAL-{number}")
            device = register_device(
                tx,
                rules,
                names=(DeviceName.of(NameKind.SERIAL, serials[-1]),),
                owner=person.id,
                platform="linux",
                actor=_ACTOR,
                now=now,
            )
            tx.flush()
            live.append(_session(person.id, device, now))
            sessions.create(tx, live[-1], cookie=new_secret())
        refresh = [_grant(tx, live[n % people], now) for n in range(people + families)]
    return tuple(refresh), tuple(serials)


def _add_clients(tx: Transaction, runtime: Runtime, now: datetime) -> None:
    digest = secret_digest(SECRET, client_pepper(runtime.envelope))
    app = Client(
        id=ClientId("app"),
        name="App",
        secrets=(ClientSecret(digest=digest, created_at=now),),
        auth_methods=frozenset({"client_secret_basic"}),
        redirect_uris=("https://app.example/cb",),
        scopes=frozenset({"openid", "offline_access", "read"}),
        # As the peer signs.
        id_token_alg="ES256",
    )
    machine = replace(
        app,
        id=ClientId("machine"),
        name="Machine",
        redirect_uris=(),
        grant_types=frozenset({"client_credentials"}),
        scopes=frozenset({"read"}),
    )
    api = replace(machine, id=ClientId("api"), name="API", scopes=frozenset())
    for client in (app, machine, api):
        register_client(tx, client, actor=_ACTOR, now=now)
    tx.flush()
    register_resource(
        tx,
        Resource(identifier=API, scopes=frozenset({"read"}), client=api.id),
        actor=_ACTOR,
        now=now,
    )


def _session(subject: SubjectId, device: DeviceId, now: datetime) -> Session:
    return Session(
        id=SessionId(new_id("ses")),
        subject=subject,
        device=device,
        strength=Strength.STRONG,
        acr="pwd",
        amr=("pwd",),
        auth_time=now,
        created_at=now,
        idle_expires_at=now + timedelta(hours=8),
        expires_at=now + timedelta(hours=12),
        address="127.0.0.1",
    )


def _grant(tx: Transaction, session: Session, now: datetime) -> str:
    """Give the app a grant in a session; return a refresh token of it."""
    grant = Grant(
        id=GrantId(new_id("gr")),
        subject=session.subject,
        client=ClientId("app"),
        session=session.id,
        device=session.device,
        strength=session.strength,
        scope=("openid", "offline_access", "read"),
        acr=session.acr,
        amr=session.amr,
        auth_time=now,
        created_at=now,
        expires_at=now + timedelta(days=30),
        address=session.address,
    )
    grants.insert(tx, grant)
    token = new_secret()
    expires = now + timedelta(days=14)
    tokens.insert_refresh(tx, token, grant.id, generation=0, now=now, expires_at=expires)
    return token


def _report_healthy(url: str, secret: str, serials: tuple[str, ...]) -> None:
    server = Ours(url=url, process=0, webhook_secret=secret, refresh=(), access=(), serials=serials)
    with requests.Session() as calls:
        for serial in serials:
            body, headers = server.signal(serial, "low")
            answer = calls.post(f"{url}/webhooks/{SOURCE}", data=body, headers=headers, timeout=30)
            assert answer.status_code == 202, answer.text


def _refreshed(url: str, token: str) -> str:
    """Use a refresh token; return the access token."""
    answer = requests.post(
        f"{url}/token",
        data={"grant_type": "refresh_token", "refresh_token": token},
        auth=("app", SECRET),
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/.well-known/openid-configuration", timeout=2).ok
    except requests.RequestException:
        return False
