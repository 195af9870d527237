"""When: `time_window: {days: [mon, fri], from: "08:00", to: "18:00", zone: Europe/Berlin}`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from pdp.domain.access import Facts, Reason
from pdp.policy.condition import Plain
from pdp.policy.reader import Field, did_you_mean
from pdp.policy.ternary import Ternary

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_UTC_ZONE: Final = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeWindow:
    """It is one of the days, between two times on the wall of a zone.

    A window that ends at or before its start runs into the next day and counts as the day on
    which it begins. `to` itself is outside.
    """

    days: frozenset[str]
    start: time
    end: time
    zone: ZoneInfo
    name = "time_window"
    reason = Reason.TIME_WINDOW
    timed = True

    def evaluate(self, facts: Facts) -> Ternary:
        # Compared as instants, so that the answer changes exactly where `changes_at` says.
        return Ternary.of(
            holds=any(begin <= facts.now < end for begin, end in self._around(facts.now))
        )

    def _around(self, now: datetime) -> Iterator[tuple[datetime, datetime]]:
        today = now.astimezone(self.zone).date()
        for offset in range(-2, 9):  # a window lasts up to two dates; a week finds the next
            day = today + timedelta(days=offset)
            if DAYS[day.weekday()] in self.days:
                last = day if self.end > self.start else day + timedelta(days=1)
                yield self._instant(day, self.start), self._instant(last, self.end)

    def _instant(self, day: date, wall: time) -> datetime:
        return datetime.combine(day, wall, tzinfo=self.zone).astimezone(UTC)

    def seen(self, facts: Facts) -> str:
        local = facts.now.astimezone(self.zone)
        return f"{DAYS[local.weekday()]} {local:%H:%M} {self.zone.key}"

    def changes_at(self, facts: Facts) -> datetime | None:
        edges = (edge for window in self._around(facts.now) for edge in window)
        return min((edge for edge in edges if edge > facts.now), default=None)

    def spec(self) -> Plain:
        return {
            "days": [day for day in DAYS if day in self.days],
            "from": f"{self.start:%H:%M}",
            "to": f"{self.end:%H:%M}",
            "zone": self.zone.key,
        }

    def parts(self) -> tuple[()]:
        return ()


def parse(field: Field) -> TimeWindow:
    """Read days (all, if not said), times `HH:MM` (the whole day) and an IANA zone (required)."""
    members = field.members(("days", "from", "to", "zone"), required=("zone",))
    return TimeWindow(
        days=members["days"].words(DAYS) if "days" in members else frozenset(DAYS),
        start=_time(members["from"]) if "from" in members else time(0),
        end=_time(members["to"]) if "to" in members else time(0),
        zone=_zone(members["zone"]) if "zone" in members else _UTC_ZONE,
    )


def _time(field: Field) -> time:
    value = field.node.value
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        field.refuse_kind("a time of day", 'write HH:MM, such as "08:30"')
        return time(0)
    return time(int(found[1]), int(found[2]))


def _zone(field: Field) -> ZoneInfo:
    key = field.text()
    try:
        return ZoneInfo(key)
    except (KeyError, ValueError, OSError):
        zones = available_timezones()
        fix = did_you_mean(key, zones) if zones else ""
        field.refuse("is not an IANA time zone", fix if "did you" in fix else "as `Europe/Berlin`")
        return _UTC_ZONE
