"""A person is offered to enrol a device: a token that works once, for a short while."""

from datetime import datetime

from pdp.domain.errors import Conflict, NotFound
from pdp.domain.events import Action, Event
from pdp.domain.ids import DeviceId, SubjectId
from pdp.jose.device_enrolment import token_digest
from pdp.store import audit, device_keys, devices, subjects
from pdp.store.database import Transaction
from pdp.store.device_keys import Enrolment


def offer_enrolment(
    tx: Transaction,
    subject_id: SubjectId,
    token: str,
    *,
    device_id: DeviceId | None = None,
    expires_at: datetime,
    actor: str,
    now: datetime,
) -> None:
    """Keep the digest of `token`, which enrols one device of the person until `expires_at` (UTC).

    With a `device_id` it binds that record, for example one that signals speak of already.
    NotFound if there is no such person or device, Conflict if the person's account is shut.
    """
    check_enrolment(tx, Enrolment(subject=subject_id, device=device_id))
    device_keys.create_enrolment_token(
        tx,
        token_digest(token),
        subject_id,
        device_id=device_id,
        now=now,
        expires_at=expires_at,
    )
    detail: dict[str, object] = {"device": device_id, "expires_at": expires_at.isoformat()}
    audit.append(
        tx,
        Event(
            at=now,
            actor=actor,
            action=Action.DEVICE_ENROLMENT_OFFERED,
            kind="subject",
            object_id=subject_id,
            detail=detail,
        ),
    )


def check_enrolment(tx: Transaction, enrolment: Enrolment) -> None:
    """NotFound if there is no such person or device, Conflict if the person's account is shut."""
    subject = subjects.get(tx, enrolment.subject)
    if subject.is_disabled:
        raise Conflict(
            f"{subject.username} is disabled: `pdp user enable {subject.username}` comes first"
        )
    if enrolment.device is not None and devices.load(tx, enrolment.device) is None:
        raise NotFound("device", enrolment.device)
