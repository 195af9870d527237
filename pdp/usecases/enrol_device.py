"""Enrolment: an enrolment token and a key make a device somebody's (DECISIONS 25)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from pdp.domain.errors import Conflict
from pdp.domain.events import Action, Event
from pdp.domain.ids import DeviceId, SubjectId
from pdp.policy.rules import Rules
from pdp.store import audit, device_keys, devices
from pdp.store.database import Transaction
from pdp.store.device_keys import Enrolment
from pdp.store.exposures import Origin
from pdp.usecases.reassess_device import reassess_device
from pdp.usecases.register_device import register_device


class EnrolmentRefused(StrEnum):
    """Why nothing was enrolled: for logs and counters; callers are told one thing for all."""

    TOKEN_NOT_GOOD = "token-not-good"  # noqa: S105  a reason, not a token
    DEVICE_NOT_THEIRS = "device-not-theirs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What the device will prove itself with.

    `method` is the one of the claim in `pdp.identification` that finds it, `key` what that
    claim says: a thumbprint, or the digest of a cookie, which has no `jwk`.
    """

    method: str
    key: str
    jwk: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What a device tells of itself: it fills in what nobody has said."""

    display_name: str
    platform: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """A device of a person, which the credential identifies from now on."""

    device: DeviceId
    owner: SubjectId


def enrol_device(
    tx: Transaction,
    token_digest: str,
    credential: Credential,
    rules: Rules,
    *,
    display_name: str = "",
    platform: str | None = None,
    now: datetime,
) -> Enrolled | EnrolmentRefused:
    """Use the token up and enrol the credential for its person.

    The caller has verified that whoever asks holds the key. A token that names a record binds
    that one, if it is nobody's yet or the person's; any other makes a new record. What the
    device tells of itself fills in what nobody has said yet. Raises Conflict, and so keeps the
    token, if the key was enrolled before.
    """
    enrolment = device_keys.consume_enrolment_token(tx, token_digest, now=now)
    if enrolment is None:
        return EnrolmentRefused.TOKEN_NOT_GOOD
    return enrol_for(
        tx,
        enrolment,
        credential,
        rules,
        display_name=display_name,
        platform=platform,
        actor=enrolment.subject,
        now=now,
    )


def enrol_for(
    tx: Transaction,
    enrolment: Enrolment,
    credential: Credential,
    rules: Rules,
    *,
    display_name: str = "",
    platform: str | None = None,
    actor: str,
    now: datetime,
) -> Enrolled | EnrolmentRefused:
    """Enrol the credential as the enrolment allows; `actor` is who vouches that the device has it.

    Raises Conflict if it was enrolled before.
    """
    told = _Told(display_name=display_name, platform=platform)
    owner = enrolment.subject
    if enrolment.device is None:
        device_id = register_device(
            tx,
            rules,
            owner=owner,
            display_name=display_name,
            platform=platform,
            actor=actor,
            now=now,
        )
    else:
        device_id = enrolment.device
        if not _take_over(tx, device_id, owner, told, rules, actor=actor, now=now):
            return EnrolmentRefused.DEVICE_NOT_THEIRS
    add_credential(tx, device_id, credential, actor=actor, now=now)
    return Enrolled(device=device_id, owner=owner)


def add_credential(
    tx: Transaction, device_id: DeviceId, credential: Credential, *, actor: str, now: datetime
) -> None:
    """Enrol one more credential of an enrolled device; Conflict if it was ever enrolled before."""
    added = device_keys.add_key(
        tx,
        device_id,
        thumbprint=credential.key,
        method=credential.method,
        jwk=credential.jwk,
        now=now,
    )
    if not added:
        raise Conflict("this key was enrolled before: make a new one for each enrolment")
    audit.append(
        tx,
        Event(
            at=now,
            actor=actor,
            action=Action.DEVICE_ENROLLED,
            kind="device",
            object_id=device_id,
            detail={"method": credential.method},
        ),
    )


def _take_over(
    tx: Transaction,
    device_id: DeviceId,
    subject: SubjectId,
    told: _Told,
    rules: Rules,
    *,
    actor: str,
    now: datetime,
) -> bool:
    """Make a record that is nobody's the person's; False if it is somebody else's, or gone."""
    before = devices.lock(tx, device_id)
    if before is None:
        return False
    known = before.device
    if not (known.shared or known.owner in {None, subject}):
        return False
    device = replace(
        known,
        owner=known.owner or subject,
        display_name=known.display_name or told.display_name,
        platform=known.platform or told.platform,
    )
    if device != known:
        origin = Origin(event_time=now, received_at=now, committed_at=now)
        reassess_device(tx, before, device, rules, origin, actor=actor, now=now)
    return True
