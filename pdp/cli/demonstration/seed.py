"""Puts the demo's cast into an initialised database, through the use cases that everybody uses."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from pdp.cli.demonstration.cast import (
    CONFIDENTIAL,
    DEVICES,
    PEOPLE,
    SOURCE,
    DemoDevice,
    clients,
    resource,
)
from pdp.cli.demonstration.folder import Notes
from pdp.cli.failures import Failed
from pdp.clock import new_secret
from pdp.domain.client import ClientSecret
from pdp.domain.ids import DeviceId, SubjectId
from pdp.domain.signal import DeviceName, NameKind
from pdp.domain.subject import FieldRefused
from pdp.runtime import Runtime
from pdp.store import device_names, subjects
from pdp.store.database import Transaction
from pdp.store.documents import DocumentKind
from pdp.usecases.accounts import Person, create_user
from pdp.usecases.client_secrets import client_pepper, secret_digest
from pdp.usecases.configure_source import add_source
from pdp.usecases.offer_enrolment import offer_enrolment
from pdp.usecases.passwords import Busy, NewPassword
from pdp.usecases.publish_document import publish
from pdp.usecases.register_client import register_client, register_resource
from pdp.usecases.register_device import register_device

ACTOR = "pratique:demo"


def seed(runtime: Runtime, notes: Notes, policies: Path) -> None:
    """Write the cast, all of it or nothing; Conflict if it is there already."""
    passwords = {name: _hashed(runtime, text) for name, text in notes.passwords.items()}
    now = runtime.clock()
    with runtime.database.write() as tx:
        owners = {
            person.username: _add_person(tx, person.username, passwords[person.username], now)
            for person in PEOPLE
        }
        add_source(
            tx,
            runtime.envelope,
            SOURCE,
            adapter="generic",
            secret=notes.webhook_secret,
            actor=ACTOR,
            now=now,
        )
        _add_clients(tx, runtime, notes, now)
        publish(
            tx,
            DocumentKind.POLICIES,
            policies.read_text(encoding="utf-8"),
            file=policies.name,
            actor=ACTOR,
            now=now,
        )
        tx.flush()
        rules = runtime.configurations.current(tx).rules
        for device in DEVICES:
            register_device(
                tx,
                rules,
                names=(DeviceName.of(NameKind.SERIAL, device.serial),),
                owner=owners[device.owner],
                display_name=device.display_name,
                platform=device.platform,
                actor=ACTOR,
                now=now,
            )


def enrolment_links(runtime: Runtime, notes: Notes) -> dict[str, str]:
    """Return a one-time link for each device, by its name: it makes a browser speak for it."""
    now = runtime.clock()
    links = {}
    with runtime.database.write() as tx:
        for device in DEVICES:
            token = new_secret()
            owner = subjects.find(tx, device.owner)
            found = device_of(tx, device)
            if owner is None or found is None:
                raise Failed("the demo's people or devices are gone: start with --fresh")
            offer_enrolment(
                tx,
                owner.id,
                token,
                device_id=found,
                expires_at=now + runtime.settings.lifetimes.enrolment_token,
                actor=ACTOR,
                now=now,
            )
            links[device.name] = f"{notes.issuer}/enrol/{token}"
    return links


def device_of(tx: Transaction, device: DemoDevice) -> DeviceId | None:
    """Return the record of a simulated device, or None."""
    serial = DeviceName.of(NameKind.SERIAL, device.serial)
    return next(iter(device_names.find_by_names(tx, (serial,))), None)


def _hashed(runtime: Runtime, password: str) -> NewPassword:
    hashed = runtime.passwords.hash(password)
    if isinstance(hashed, Busy):
        raise Failed("passwords cannot be hashed now: try again")
    return NewPassword(hashed, must_change=False)


def _add_person(tx: Transaction, username: str, password: NewPassword, now: datetime) -> SubjectId:
    person = next(person for person in PEOPLE if person.username == username)
    added = create_user(
        tx,
        Person(
            username=username,
            name=person.name,
            email=f"{username}@example.com",
            groups=person.groups,
        ),
        password,
        actor=ACTOR,
        now=now,
    )
    if isinstance(added, FieldRefused):
        raise Failed(f"{username}: {added}")
    return added.id


def _add_clients(tx: Transaction, runtime: Runtime, notes: Notes, now: datetime) -> None:
    pepper = client_pepper(runtime.envelope)
    for client in clients(notes.payroll):
        secrets = (
            (
                ClientSecret(
                    digest=secret_digest(notes.client_secrets[client.id], pepper), created_at=now
                ),
            )
            if client.id in CONFIDENTIAL
            else ()
        )
        register_client(tx, replace(client, secrets=secrets), actor=ACTOR, now=now)
    register_resource(tx, resource(), actor=ACTOR, now=now)
