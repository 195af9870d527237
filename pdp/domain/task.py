"""A security task: what a person can do to regain access, closed only by proof."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Self

from pdp.domain.errors import InvalidTransition
from pdp.domain.ids import DeviceId, SourceId, TaskId


class TaskState(StrEnum):
    """Open until a later signal disproves the finding, or until somebody waives it for a while."""

    OPEN = "open"
    CLOSED = "closed"
    WAIVED = "waived"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityTask:
    """One finding on one device that asks for action.

    `rule`, `source` and `attribute` say which compliance rule found what, in whose statement:
    together they are the task's identity, so that a relapse reopens instead of multiplying.
    `code` is short enough to read out on the telephone.
    """

    id: TaskId
    code: str
    device: DeviceId
    rule: str
    source: SourceId | None
    attribute: str
    title: str
    category: str
    state: TaskState
    opened_at: datetime
    closed_at: datetime | None = None
    waived_until: datetime | None = None

    def verified_closed(self, now: datetime) -> Self:
        """Return the task closed because a later signal disproved its finding."""
        if self.state is TaskState.CLOSED:
            raise InvalidTransition(f"task {self.code} is closed")
        return replace(self, state=TaskState.CLOSED, closed_at=now)

    def reopened(self, now: datetime) -> Self:
        """Return the task open again after a relapse."""
        if self.state is TaskState.OPEN:
            raise InvalidTransition(f"task {self.code} is open")
        return replace(self, state=TaskState.OPEN, opened_at=now, closed_at=None, waived_until=None)
