"""What came of one try of a job."""

from dataclasses import dataclass
from typing import Final

TRIES: Final = 10


@dataclass(frozen=True, slots=True)
class Done:
    """The job is done, and its row gone."""


@dataclass(frozen=True, slots=True)
class Failed:
    """This try failed; after `tries` of them the job is given up. `reason` holds no secrets."""

    reason: str
    tries: int = TRIES


Result = Done | Failed
