"""A device, and what its sources last said of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from pdp.domain.ids import DeviceId, SourceId, SubjectId
from pdp.domain.signal import ACTIVE_THREAT, Finding, RiskLevel, Scalar, Signal

Value = Scalar | RiskLevel | Finding


def _badness(value: Value) -> tuple[int, float, str]:
    """Order values of one attribute from healthy to bad, for statements of the same instant."""
    match value:
        case Finding():
            open_rank = 0 if value.resolved else 1 + value.severity.badness
            return (0, open_rank, value.title)
        case RiskLevel():
            return (1, value.badness, "")
        case bool():
            return (2, 0 if value else 1, "")
        case int() | float():
            return (3, -value, "")
        case _:
            # The kind of risk is such a word: none is worse than an active threat.
            return (4, 1 if value == ACTIVE_THREAT else 0, value)


@dataclass(frozen=True, slots=True)
class Statement:
    """The newest thing that one source said of one attribute of a device."""

    value: Value
    event_time: datetime
    signal_id: str

    def beside(self, other: "Statement | None") -> "Statement":
        """Return what stands of two: the later, at equal times the worse, then the greater id.

        Whatever the order of arrival and however often each comes, the same stands in the end.
        """
        if other is None or self.event_time > other.event_time:
            return self
        if self.event_time < other.event_time:
            return other
        milder, worse = sorted((self, other), key=_rank)
        return worse.as_threatening_as(milder)

    def as_threatening_as(self, milder: "Statement") -> "Statement":
        """Return this statement, of an open finding that is an active threat if `milder` says so.

        Severity and active threat are two things: neither of two worse ones may hide the other.
        """
        match self.value, milder.value:
            case Finding(resolved=False) as finding, Finding(resolved=False, category=category) if (
                category == ACTIVE_THREAT
            ):
                return replace(self, value=replace(finding, category=ACTIVE_THREAT))
            case _:
                return self


def _rank(statement: Statement) -> tuple[tuple[int, float, str], str]:
    return _badness(statement.value), statement.signal_id


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
            said = Statement(value, signal.event_time, signal.id)
            statements[attribute] = said.beside(statements.get(attribute))
        return type(self)(statements)


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
