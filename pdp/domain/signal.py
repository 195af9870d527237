"""A signal: one statement by one source about one device, normalised."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Self, assert_never

from pdp.domain.ids import SourceId

Scalar = bool | int | float | str

#: A finding of this category is never softened by grace, and never told to the person in detail.
ACTIVE_THREAT: Final = "active-threat"


class RiskLevel(StrEnum):
    """Risk as CAEP spells it, and `unknown` for "nobody told us"."""

    UNKNOWN = "unknown"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def badness(self) -> int:
        """Rank for comparison: what nobody told us ranks lowest, so that any statement counts."""
        return _RISK_BADNESS[self]


_RISK_BADNESS: Final[Mapping[RiskLevel, int]] = {
    level: rank for rank, level in enumerate(RiskLevel)
}


class NameKind(StrEnum):
    """The kinds of name that sources and people give a device; `id` is our own."""

    ID = "id"
    SERIAL = "serial"
    ENTRA_ID = "entra_id"
    EDR_ID = "edr_id"
    HOSTNAME = "hostname"


@dataclass(frozen=True, slots=True, order=True)
class DeviceName:
    """One name of a device: `serial:C02XK1…`."""

    kind: NameKind
    value: str

    @classmethod
    def of(cls, kind: NameKind, value: str) -> Self:
        """Return the name in the one spelling by which sources and people mean the same device.

        Case says nothing in a serial number, a GUID or a host name; only ids of ours keep theirs.
        """
        match kind:
            case NameKind.SERIAL:
                return cls(kind, value.upper())
            case NameKind.ENTRA_ID | NameKind.EDR_ID | NameKind.HOSTNAME:
                return cls(kind, value.lower())
            case NameKind.ID:
                return cls(kind, value)
            case _:
                assert_never(kind)

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something a source found on a device, or found gone (`resolved`)."""

    id: str
    title: str
    severity: RiskLevel
    category: str = ""
    resolved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One statement by a source: only what it says, nothing that it leaves open.

    `id` is unique per source. `device` holds every name that the statement gives the device.
    `event_time` is the instant at the source, in UTC. `posture` fields are named so that `true`
    and the greater number are the healthy side (`disk_encrypted`, not `disk_unencrypted`):
    when two statements carry the same time, the worse one must be known.
    """

    id: str
    source: SourceId
    device: tuple[DeviceName, ...]
    event_time: datetime
    risk: RiskLevel | None = None
    category: str = ""
    compliant: bool | None = None
    posture: Mapping[str, Scalar] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    platform: str | None = None
    os_version: str | None = None
