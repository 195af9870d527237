"""How long to wait after what failed: longer each time, up to a bound, and never in step."""

from datetime import timedelta
from typing import Final

LONGEST_BACK_OFF: Final = timedelta(minutes=5)
_FIRST: Final = timedelta(milliseconds=500)


def back_off(failures: int, chance: float, longest: timedelta = LONGEST_BACK_OFF) -> timedelta:
    """Return how long to wait after the `failures`-th failure; `chance` is from 0 to 1.

    Doubles from half a second to `longest`; between half of it and all of it, so that jobs that
    failed together are not tried together.
    """
    whole: timedelta = min(_FIRST * 2 ** min(failures - 1, 16), longest)
    return timedelta(seconds=whole.total_seconds() * (0.5 + chance / 2))
