"""What came of one try of a job."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Done:
    """The job is done, and its row gone; `is_answered` if its receiver said so."""

    is_answered: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """This try failed; `reason` holds no secrets.

    After `tries` such answers the job is given up; None tries until a day is over
    (`timers.PATIENCE`). `receiver_is_down` tells that others of the same receiver would fail too,
    `is_answered` that it is there.
    """

    reason: str
    tries: int | None = None
    receiver_is_down: bool = False
    is_answered: bool = False


Result = Done | Failed
