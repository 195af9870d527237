"""`pdp device`: devices, and an administrator's word about them."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import click

from pdp.cli.agent import assert_device, enrol
from pdp.cli.context import pass_runtime
from pdp.cli.device_certificate import enrol_certificate
from pdp.cli.failures import Failed
from pdp.cli.invocation import Output, actor, current
from pdp.cli.output import say, show
from pdp.cli.parameters import DURATION, INSTANT, in_period, period
from pdp.clock import new_typed_secret
from pdp.domain.compliance import Assessment
from pdp.domain.errors import NotFound
from pdp.domain.ids import DeviceId
from pdp.domain.signal import NameKind
from pdp.domain.subject import normalise_username
from pdp.runtime import Runtime
from pdp.store import device_keys, device_names, devices, subjects, tasks
from pdp.store.database import Transaction
from pdp.store.devices import StoredDevice
from pdp.usecases.administer_device import (
    block_device,
    override_device,
    share_device,
    unblock_device,
)
from pdp.usecases.device_history import Moment, device_history
from pdp.usecases.offer_enrolment import offer_enrolment
from pdp.usecases.reassess_device import assessment_at

_SHOWN_RECORDS: Final = 5


@click.group()
def device() -> None:
    """Enrol, look at, block and override devices."""


device.add_command(enrol)
device.add_command(assert_device)
device.add_command(enrol_certificate)


@device.command("enrol-token")
@click.argument("username", metavar="USER")
@click.option("--device", "device_id", help="Bind this record, instead of making a new one.")
@click.option("--link", is_flag=True, help="Show a link for the device's browser, too.")
@click.option("--for", "lifetime", type=DURATION, help="How long it works; at most 24h.")
@pass_runtime
def enrol_token(
    runtime: Runtime,
    username: str,
    device_id: str | None,
    link: bool,  # noqa: FBT001  a flag is what it is
    lifetime: timedelta | None,
) -> None:
    """Make a token with which USER enrols one device, once."""
    lifetime = lifetime or runtime.settings.lifetimes.enrolment_token
    if not timedelta(0) < lifetime <= timedelta(hours=24):
        raise Failed("--for: an enrolment token lives at most 24h")
    now = runtime.clock()
    token = new_typed_secret()
    with runtime.database.write() as tx:
        subject = subjects.find(tx, normalise_username(username))
        if subject is None:
            raise NotFound("user", username)
        offer_enrolment(
            tx,
            subject.id,
            token,
            device_id=None if device_id is None else DeviceId(device_id),
            expires_at=now + lifetime,
            actor=actor(),
            now=now,
        )
        nobodys = _nobodys(tx) if device_id is None else []
    result: dict[str, object] = {"user": username, "token": token, "expires": now + lifetime}
    if link:
        result["link"] = f"{runtime.settings.issuer}/enrol/{token}"
    show(result)
    say(f"on the device: pdp device enrol {token} --issuer {runtime.settings.issuer}")
    _warn_of(nobodys)


@device.command("list")
@click.option("--after", default="", help="Go on behind this id.")
@click.option("--count", type=click.IntRange(1, 10_000), default=100, show_default=True)
@pass_runtime
def list_devices(runtime: Runtime, after: str, count: int) -> None:
    """List devices in the order of their ids."""
    now = runtime.clock()
    with runtime.database.read() as tx:
        rules = runtime.configurations.current(tx).rules
        found = devices.list_devices(tx, after=after, count=count)
        people = {subject.id: subject.username for subject in subjects.list_all(tx)}
        is_all = len(found) < count or not devices.list_devices(
            tx, after=found[-1].device.id, count=1
        )
    show(
        [
            {
                **_summary(each, assessment_at(each, rules, now)),
                "owner": people.get(each.device.owner) if each.device.owner else None,
            }
            for each in found
        ]
    )
    if not is_all:
        say(f"there are more: --count, or --after {found[-1].device.id}")


@device.command("show")
@click.argument("name", metavar="ID|CODE")
@click.option("--count", type=click.IntRange(1, 1000), default=20, show_default=True)
@in_period
@pass_runtime
def show_device(
    runtime: Runtime,
    name: str,
    count: int,
    since: datetime | timedelta | None,
    until: datetime | timedelta | None,
) -> None:
    """Show a device, and its newest signals, changes and decisions.

    Besides its ID, the CODE names it that the remediation page tells people to give to their help
    desk.
    """
    now = runtime.clock()
    wanted = period(since, until, now)
    with runtime.database.read() as tx:
        rules = runtime.configurations.current(tx).rules
        stored = _named(tx, name)
        if stored is None:
            raise NotFound("device or help code", name)
        record = _record(tx, stored, assessment_at(stored, rules, now))
        story = device_history(tx, stored.device.id, period=wanted, count=count)
        history = [_moment(each) for each in story]
    if current().output is not Output.TABLE:
        show({**record, "history": history})
        return
    show(record)
    click.echo("")
    show(history)


@device.command()
@click.argument("device_id", metavar="ID")
@click.option("--reason", required=True)
@pass_runtime
def block(runtime: Runtime, device_id: str, reason: str) -> None:
    """Let the device ID in nowhere, whatever its health."""
    _administer(
        runtime,
        lambda tx, now: block_device(
            tx,
            DeviceId(device_id),
            runtime.configurations.current(tx).rules,
            reason=reason,
            actor=actor(),
            now=now,
        ),
    )
    say(f"{device_id} is blocked: running sessions end within seconds")


@device.command()
@click.argument("device_id", metavar="ID")
@click.option("--reason", default="")
@pass_runtime
def unblock(runtime: Runtime, device_id: str, reason: str) -> None:
    """Judge the device ID by its health again."""
    assessment = _administer(
        runtime,
        lambda tx, now: unblock_device(
            tx,
            DeviceId(device_id),
            runtime.configurations.current(tx).rules,
            reason=reason,
            actor=actor(),
            now=now,
        ),
    )
    say(f"{device_id} is unblocked: {assessment.status.value}")


@device.command()
@click.argument("device_id", metavar="ID")
@click.option("--until", type=INSTANT, help="When it ends.")
@click.option("--for", "duration", type=DURATION, help="How long, instead of --until.")
@click.option("--reason", required=True)
@pass_runtime
def override(
    runtime: Runtime,
    device_id: str,
    until: datetime | None,
    duration: timedelta | None,
    reason: str,
) -> None:
    """Count the device ID as compliant for a while; a block and an attack still win."""
    if (until is None) == (duration is None):
        raise Failed("say when it ends: --until 2026-03-02T18:00Z, or --for 4h")
    end = until if until is not None else runtime.clock() + (duration or timedelta(0))
    assessment = _administer(
        runtime,
        lambda tx, now: override_device(
            tx,
            DeviceId(device_id),
            runtime.configurations.current(tx).rules,
            until=end,
            reason=reason,
            actor=actor(),
            now=now,
        ),
    )
    say(f"{device_id} is {assessment.status.value} until {end.isoformat()}")


@device.command()
@click.argument("device_id", metavar="ID")
@pass_runtime
def share(runtime: Runtime, device_id: str) -> None:
    """Count the device ID for everybody who signs in on it, as a kiosk's."""
    _share(runtime, device_id, shared=True)
    say(f"{device_id} is shared: it counts for everybody who signs in on it")


@device.command()
@click.argument("device_id", metavar="ID")
@pass_runtime
def unshare(runtime: Runtime, device_id: str) -> None:
    """Count the device ID for its owner alone again."""
    _share(runtime, device_id, shared=False)
    say(f"{device_id} is not shared: for anybody but its owner it is unknown within seconds")


def _share(runtime: Runtime, device_id: str, *, shared: bool) -> None:
    _administer(
        runtime,
        lambda tx, now: share_device(
            tx,
            DeviceId(device_id),
            runtime.configurations.current(tx).rules,
            shared=shared,
            actor=actor(),
            now=now,
        ),
    )


def _named(tx: Transaction, name: str) -> StoredDevice | None:
    """Return the device of this id, or the one that a help code is about."""
    stored = devices.load_stored(tx, DeviceId(name))
    if stored is None and (task := tasks.find_by_code(tx, name)) is not None:
        return devices.load_stored(tx, task.device)
    return stored


def _warn_of(nobodys: Sequence[str]) -> None:
    if not nobodys:
        return
    say(
        "signals speak of devices that nobody has enrolled, and this token makes another record,"
        " which does not hear them. Is it one of these? Make a token with --device ID:"
    )
    for each in nobodys:
        say(f"  {each}")


def _nobodys(tx: Transaction) -> list[str]:
    """Return the newest records that nobody owns, each with the names that signals gave it."""
    return [
        "  ".join([stored.device.id, *_given_names(tx, stored.device.id)])
        for stored in devices.list_unowned(tx, count=_SHOWN_RECORDS)
    ]


def _given_names(tx: Transaction, device_id: DeviceId) -> list[str]:
    names = device_names.of_device(tx, device_id)
    return [str(name) for name in names if name.kind is not NameKind.ID]


def _administer(
    runtime: Runtime, change: Callable[[Transaction, datetime], Assessment]
) -> Assessment:
    with runtime.database.write() as tx:
        return change(tx, runtime.clock())


def _summary(stored: StoredDevice, assessment: Assessment) -> dict[str, object]:
    return {
        "id": stored.device.id,
        "name": stored.device.display_name,
        "platform": stored.device.platform,
        "status": assessment.status,
        "risk": assessment.risk,
        "blocked": stored.device.block is not None,
    }


def _record(tx: Transaction, stored: StoredDevice, assessment: Assessment) -> dict[str, object]:
    found = stored.device
    owner = None if found.owner is None else subjects.get(tx, found.owner)
    return {
        **_summary(stored, assessment),
        "os_version": found.os_version,
        "owner": None if owner is None else owner.username,
        "shared": found.shared,
        "valid_until": assessment.valid_until,
        "block": None if found.block is None else found.block.reason,
        "override": None
        if found.override is None
        else f"until {found.override.until.isoformat()}: {found.override.reason}",
        "causes": [f"{each.rule} ({each.source or 'nobody said'})" for each in assessment.causes],
        "names": [str(name) for name in device_names.of_device(tx, found.id)],
        "keys": [f"{key.method} {key.thumbprint}" for key in device_keys.list_keys(tx, found.id)],
        "open_tasks": [f"{task.code}: {task.title}" for task in tasks.open_of_device(tx, found.id)],
    }


def _moment(moment: Moment) -> dict[str, object]:
    return {
        "at": moment.at,
        "kind": moment.kind,
        "what": moment.what,
        "detail": moment.detail,
    }
