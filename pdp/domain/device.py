"""A device, and what its sources last said of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from pdp.domain.ids import DeviceId, SourceId, SubjectId
from pdp.domain.signal import Finding, RiskLevel, Scalar, Signal

Value = Scalar | RiskLevel | Finding


def _badness(value: Value) -> tuple[int, float, str]:
    """Order values of one attribute from healthy to bad; total, so that ties have one answer."""
    match value:
        case Finding():
            open_rank = 0 if value.resolved else 1 + value.severity.badness
            return (0, open_rank, f"{value.category}\0{value.title}")
        case RiskLevel():
            return (1, value.badness, "")
        case bool():
            return (2, 0 if value else 1, "")
        case int() | float():
            return (3, -value, "")
        case _:
            return (4, 0, value)


@dataclass(frozen=True, slots=True)
class Statement:
    """The newest thing that one source said of one attribute of a device."""

    value: Value
    event_time: datetime
    signal_id: str

    def supersedes(self, other: "Statement | None") -> bool:
        """Tell whether this statement stands: later wins, at equal times the worse, then the id.

        A total order on statements: whatever the order of arrival, the same one stands.
        """
        if other is None:
            return True
        mine = (self.event_time, _badness(self.value), self.signal_id)
        theirs = (other.event_time, _badness(other.value), other.signal_id)
        return mine > theirs


@dataclass(frozen=True, slots=True)
class Reading:
    """The newest statements of one source about one device, by attribute.

    Attributes are `risk`, `compliant`, `platform`, `os_version`, `posture.<field>` and
    `finding.<id>`; each is a register of its own, so that a late signal about one never hides
    a newer one about another.
    """

    statements: Mapping[str, Statement] = field(default_factory=dict)

    @property
    def last_event_time(self) -> datetime | None:
        """The latest instant, at the source, of anything it said."""
        return max((s.event_time for s in self.statements.values()), default=None)

    def findings(self) -> Iterator[tuple[Finding, Statement]]:
        """Yield each finding that is still open, with the statement that says so."""
        for statement in self.statements.values():
            if isinstance(statement.value, Finding) and not statement.value.resolved:
                yield statement.value, statement

    def with_signal(self, signal: Signal) -> Self:
        """Return the reading after `signal`: idempotent, and the same in any order of signals."""
        statements = dict(self.statements)
        for attribute, value in _attributes(signal):
            statement = Statement(value, signal.event_time, signal.id)
            if statement.supersedes(statements.get(attribute)):
                statements[attribute] = statement
        return replace(self, statements=statements)


def _attributes(signal: Signal) -> Iterator[tuple[str, Value]]:
    # Each signal proves that the source still watches the device, even one that says no more.
    yield "seen", True
    if signal.risk is not None:
        yield "risk", signal.risk
        yield "category", signal.category
    if signal.compliant is not None:
        yield "compliant", signal.compliant
    if signal.platform is not None:
        yield "platform", signal.platform
    if signal.os_version is not None:
        yield "os_version", signal.os_version
    for name, value in signal.posture.items():
        yield f"posture.{name}", value
    for finding in signal.findings:
        yield f"finding.{finding.id}", finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """An administrator's word that the device counts as compliant for a while."""

    until: datetime
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """An administrator's word that the device is let in nowhere."""

    since: datetime
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device, its owner, and the readings that its compliance follows from.

    `epoch` counts changes that decisions depend on: it says "decide again", nothing more.
    `block` and `override` are an administrator's; a block wins over an override.
    """

    id: DeviceId
    owner: SubjectId | None = None
    shared: bool = False
    display_name: str = ""
    platform: str | None = None
    os_version: str | None = None
    readings: Mapping[SourceId, Reading] = field(default_factory=dict)
    block: Block | None = None
    override: Override | None = None
    epoch: int = 0

    def with_signal(self, signal: Signal) -> Self:
        """Return the device after `signal`; the same for any order and repetition of signals."""
        reading = self.readings.get(signal.source, Reading()).with_signal(signal)
        readings = {**self.readings, signal.source: reading}
        return replace(
            self,
            readings=readings,
            platform=_newest(readings, "platform") or self.platform,
            os_version=_newest(readings, "os_version") or self.os_version,
        )


def _newest(readings: Mapping[SourceId, Reading], attribute: str) -> str | None:
    stated = [
        (statement.event_time, str(statement.value), source)
        for source, reading in readings.items()
        if (statement := reading.statements.get(attribute)) is not None
    ]
    return max(stated)[1] if stated else None
