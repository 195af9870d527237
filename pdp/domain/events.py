"""Past-tense facts: what the audit record and the jobs that follow a change are made of."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Action(StrEnum):
    """What happened, `<noun>.<noun>.<past participle>`; the audit record's vocabulary."""

    SUBJECT_CREATED = "subject.created"
    SUBJECT_DISABLED = "subject.disabled"
    SUBJECT_ENABLED = "subject.enabled"
    SUBJECT_GROUPS_CHANGED = "subject.groups.changed"
    SUBJECT_BREAK_GLASS_CHANGED = "subject.break-glass.changed"
    BREAK_GLASS_USED = "subject.break-glass.used"
    PASSWORD_CHANGED = "subject.password.changed"  # noqa: S105  an action, not a password
    PASSWORD_RESET = "subject.password.reset"  # noqa: S105  an action, not a password
    FACTOR_ENROLLED = "subject.factor.enrolled"
    RECOVERY_CODES_REPLACED = "subject.recovery-codes.replaced"
    FACTOR_RESET = "subject.factor.reset"
    SIGN_IN_SUCCEEDED = "subject.sign-in.succeeded"
    SIGN_IN_FAILED = "subject.sign-in.failed"
    SESSION_ENDED = "session.ended"
    GRANT_REVOKED = "grant.revoked"
    REFRESH_REUSED = "grant.refresh.reused"
    CODE_REPLAYED = "grant.code.replayed"
    CONSENT_GIVEN = "consent.given"
    CONSENT_WITHDRAWN = "consent.withdrawn"
    CLIENT_CREATED = "client.created"
    CLIENT_DISABLED = "client.disabled"
    CLIENT_ENABLED = "client.enabled"
    CLIENT_SECRET_ROTATED = "client.secret.rotated"  # noqa: S105  an action, not a secret
    RESOURCE_CREATED = "resource.created"
    SOURCE_CREATED = "source.created"
    SOURCE_DISABLED = "source.disabled"
    SOURCE_ENABLED = "source.enabled"
    JOB_RETRIED = "job.retried"
    JOB_DROPPED = "job.dropped"
    SOURCE_SECRET_ROTATED = "source.secret.rotated"  # noqa: S105  an action, not a secret
    DEVICE_CREATED = "device.created"
    DEVICE_ENROLMENT_OFFERED = "device.enrolment.offered"
    DEVICE_ENROLLED = "device.enrolled"
    DEVICE_COMPLIANCE_CHANGED = "device.compliance.changed"
    DEVICE_BLOCKED = "device.blocked"
    DEVICE_UNBLOCKED = "device.unblocked"
    DEVICE_OVERRIDDEN = "device.overridden"
    DEVICE_SHARED = "device.shared"
    DEVICE_UNSHARED = "device.unshared"
    TASK_OPENED = "task.opened"
    TASK_CLOSED = "task.closed"
    DOCUMENT_ACTIVATED = "document.activated"
    KEY_CREATED = "key.created"
    KEY_ROTATED = "key.rotated"
    KEY_RETIRED = "key.retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened: who did what to which object, and what changed."""

    at: datetime
    actor: str
    action: Action
    kind: str
    object_id: str
    detail: dict[str, object] = field(default_factory=dict)
