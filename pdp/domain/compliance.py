"""Compliance: the assessed status of a device, why, and how long it holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from pdp.domain.ids import SourceId
from pdp.domain.signal import RiskLevel


class Compliance(StrEnum):
    """Assessed status, from best to worst; always a value, never absent."""

    COMPLIANT = "compliant"
    IN_GRACE = "in-grace"
    STALE = "stale"
    UNKNOWN = "unknown"
    NOT_COMPLIANT = "not-compliant"
    ERROR = "error"

    @property
    def badness(self) -> int:
        """Rank for "worse never opens": 0 is compliant."""
        return _BADNESS[self]


_BADNESS: Final[Mapping[Compliance, int]] = {status: rank for rank, status in enumerate(Compliance)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One thing that keeps a device from being compliant, and what it rests on.

    `rule` names the compliance rule (or `pratique:…` for a built-in one), `attribute` what the
    source spoke of, `since` the instant it began, `grace_until` when leniency ends, if any.
    """

    rule: str
    status: Compliance
    source: SourceId | None = None
    attribute: str = ""
    title: str = ""
    category: str = ""
    since: datetime | None = None
    grace_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What the rules make of a device at one instant.

    `valid_until` is the first instant (UTC) at which the same readings may give another answer;
    None means only a new signal or new rules can.
    """

    status: Compliance
    risk: RiskLevel = RiskLevel.UNKNOWN
    causes: tuple[Cause, ...] = ()
    valid_until: datetime | None = None
