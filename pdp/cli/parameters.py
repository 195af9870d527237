"""Kinds of values that options take: durations, instants, periods, JSON files."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click
import orjson

from pdp.cli.failures import Failed
from pdp.store.period import Period

_DURATION: Final = re.compile(r"(\d{1,6})([smhd])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class DurationType(click.ParamType[timedelta]):
    """`30s`, `10m`, `24h` or `7d`; `0s` where nothing is meant."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Return the duration, or fail with an example."""
        if isinstance(value, timedelta):
            return value
        found = _DURATION.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no duration: write 30s, 10m, 24h or 7d", param, ctx)
        return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


class InstantType(click.ParamType[datetime]):
    """RFC 3339 with a zone, as `2026-03-02T18:00Z`."""

    name = "instant"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the instant in UTC; one without a zone would mean two things, so it fails."""
        if isinstance(value, datetime):
            return value
        try:
            instant = datetime.fromisoformat(str(value))
        except ValueError:
            instant = None
        if instant is None or instant.tzinfo is None:
            self.fail(
                f"{value!r} is no instant: write date, time and zone, 2026-03-02T18:00Z", param, ctx
            )
        return instant.astimezone(UTC)


class MomentType(click.ParamType["datetime | timedelta"]):
    """An instant, or how long ago: `2026-03-02T18:00Z`, or `2h`."""

    name = "instant|ago"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | timedelta:
        """Return the instant in UTC, or the duration to go back from now."""
        if isinstance(value, timedelta) or _DURATION.fullmatch(str(value)):
            return DURATION.convert(value, param, ctx)
        return INSTANT.convert(value, param, ctx)


DURATION: Final = DurationType()
INSTANT: Final = InstantType()
MOMENT: Final = MomentType()
FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


def in_period(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options `--since` and `--until`, for `period`."""
    until = click.option("--until", type=MOMENT, help="Only before this instant, or this long ago.")
    since = click.option(
        "--since", type=MOMENT, help="Only from this instant on (2026-03-02T18:00Z), or 2h ago."
    )
    return since(until(command))


def period(
    since: datetime | timedelta | None, until: datetime | timedelta | None, now: datetime
) -> Period:
    """Return the period that the options name; fails for one that holds no instant."""
    first, end = (
        now - given if isinstance(given, timedelta) else given for given in (since, until)
    )
    if first is not None and end is not None and first >= end:
        raise Failed("--since must be earlier than --until, or nothing is between them")
    return Period(first, end)


def read_json_object(path: Path) -> Mapping[str, object]:
    """Return the JSON object that a file holds; fails, naming the file, for anything else."""
    try:
        value = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{path} holds no JSON: {error}") from error
    if not isinstance(value, dict):
        raise click.BadParameter(f"{path} must hold a JSON object")
    return value
