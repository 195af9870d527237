"""A stretch of time, as statements over rows with an instant take it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pdp.store.base import to_micros
from pdp.store.database import Value

_ALWAYS: Final = 2**62


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` on and before `until` (UTC); None leaves that end open."""

    since: datetime | None = None
    until: datetime | None = None

    def bounds(self) -> dict[str, Value]:
        """Return the parameters `:since` and `:until`, in microseconds.

        An open end is a bound that no row reaches, so that one text serves an index either way.
        """
        return {
            "since": -_ALWAYS if self.since is None else to_micros(self.since),
            "until": _ALWAYS if self.until is None else to_micros(self.until),
        }


EVER: Final = Period()
