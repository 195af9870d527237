"""What must follow a change, as jobs: written in the change's transaction, carried out later.

Old shapes stay readable while rows of them exist: members are only added, with a default.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self

from pdp.domain.errors import DomainError
from pdp.domain.ids import ClientId, DeviceId, SessionId, SourceId, SubjectId
from pdp.store import jobs
from pdp.store.base import from_micros, to_micros
from pdp.store.database import Transaction
from pdp.store.exposures import Origin, Receiver


class UnreadableJob(DomainError):
    """The row of a job is not as we write them; the message names the member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PropagateChange:
    """A device changed: make everybody act on it who let it in."""

    type: ClassVar[str] = "propagate-change"

    device: DeviceId
    origin: Origin

    @property
    def to(self) -> str:
        """Whom the job has to reach: nobody outside."""
        return jobs.NOBODY

    def payload(self) -> dict[str, object]:
        """Return the job as JSON values."""
        return {
            "device": self.device,
            "source": self.origin.source,
            "signal": self.origin.signal,
            "event_time": to_micros(self.origin.event_time),
            "received_at": to_micros(self.origin.received_at),
            "committed_at": to_micros(self.origin.committed_at),
        }

    @classmethod
    def read(cls, payload: object) -> Self:
        """Return the job that `payload` wrote; UnreadableJob for anything else."""
        return cls(
            device=DeviceId(_text(payload, "device")),
            origin=Origin(
                source=SourceId(_text(payload, "source")),
                signal=_text(payload, "signal"),
                event_time=_instant(payload, "event_time"),
                received_at=_instant(payload, "received_at"),
                committed_at=_instant(payload, "committed_at"),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverLogout:
    """A relying party must end its session (OpenID Connect Back-Channel Logout 1.0).

    `receiver` names the exposure windows that the delivery closes.
    """

    type: ClassVar[str] = "deliver-logout"

    receiver: Receiver
    subject: SubjectId

    @property
    def to(self) -> str:
        """Whom the job has to reach: the client."""
        return self.receiver.client

    def payload(self) -> dict[str, object]:
        """Return the job as JSON values."""
        return {
            "client": self.receiver.client,
            "session": self.receiver.session,
            "committed_at": to_micros(self.receiver.committed_at),
            "subject": self.subject,
        }

    @classmethod
    def read(cls, payload: object) -> Self:
        """Return the job that `payload` wrote; UnreadableJob for anything else."""
        return cls(
            receiver=Receiver(
                client=ClientId(_text(payload, "client")),
                session=SessionId(_text(payload, "session")),
                committed_at=_instant(payload, "committed_at"),
            ),
            subject=SubjectId(_text(payload, "subject")),
        )


FollowUp = PropagateChange | DeliverLogout


def follow_up(tx: Transaction, job: FollowUp, *, now: datetime) -> None:
    """Let `job` follow, if and when this transaction commits."""
    jobs.enqueue(tx, job.type, job.payload(), now=now, receiver=job.to)


def _text(payload: object, name: str) -> str:
    value = _member(payload, name)
    if not isinstance(value, str):
        raise UnreadableJob(f"the job's {name} must be a string, not {type(value).__name__}")
    return value


def _instant(payload: object, name: str) -> datetime:
    value = _member(payload, name)
    if not isinstance(value, int):
        raise UnreadableJob(f"the job's {name} must be microseconds, not {type(value).__name__}")
    return from_micros(value)


def _member(payload: object, name: str) -> object:
    if not isinstance(payload, Mapping):
        raise UnreadableJob("the job's payload must be an object of JSON")
    return payload.get(name)
