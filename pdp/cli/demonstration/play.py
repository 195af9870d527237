"""Plays the story in a deployment of its own, and reports each step and what was measured."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click
import requests

from pdp.cli.demonstration.browser import NotThere
from pdp.cli.demonstration.cast import DEVICES
from pdp.cli.demonstration.deployment import deployed, new_links, set_up
from pdp.cli.demonstration.folder import DemoFolder
from pdp.cli.demonstration.seed import device_of
from pdp.cli.demonstration.stage import NotHappened, Stage
from pdp.cli.demonstration.story import STEPS, Step
from pdp.cli.failures import Unexpected
from pdp.store import exposures
from pdp.store.exposures import Exposure


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """How long an application was exposed to a change, in seconds from its commit (t2).

    It is the longest of all its sign-ins; None while one of them is still open.
    """

    change: str
    client: str
    denied: float | None
    acknowledged: float | None


def play() -> None:
    """Play every step in a temporary folder, on free ports; Unexpected names one that fails."""
    with (
        tempfile.TemporaryDirectory(prefix="pratique-story-") as name,
        DemoFolder.at(Path(name), fresh=False) as folder,
    ):
        begun = time.perf_counter()
        notes = set_up(folder, port=0)
        with deployed(folder, notes):
            _tell("Server, application and five devices run", begun)
            stage = Stage(folder, notes, new_links(folder, notes))
            try:
                for number, step in enumerate(STEPS, start=1):
                    _play_step(number, step, stage)
                _report(stage)
            finally:
                stage.browser.close()
                stage.calls.close()
        _tell("The whole story", begun)


def _play_step(number: int, step: Step, stage: Stage) -> None:
    begun = time.perf_counter()
    try:
        step.play(stage)
    except (NotHappened, NotThere, requests.RequestException) as missing:
        logs = "".join(_last_lines(stage.folder))
        raise Unexpected(
            f"step {number} did not happen: {step.title}\n  {missing}\n{logs}"
        ) from missing
    _tell(f"{number:2}. {step.title}", begun)


def _tell(title: str, begun: float) -> None:
    took = (time.perf_counter() - begun) * 1000
    click.echo(f"{title:<66}{took:>9,.0f} ms")


def _report(stage: Stage) -> None:
    click.echo("\nFrom sending the webhook until it was seen outside:")
    for name, seconds in stage.measured.items():
        click.echo(f"  {name:<30}{seconds * 1000:>9,.1f} ms")
    click.echo("\nExposure windows, as the server recorded them (from its commit, t2):")
    click.echo(f"  {'after':<22}{'application':<12}{'denied (t3)':>14}{'told (t5)':>14}")
    for each in _exposed(stage.folder):
        denied, told = _milliseconds(each.denied), _milliseconds(each.acknowledged)
        click.echo(f"  {each.change:<22}{each.client:<12}{denied:>14}{told:>14}")
    click.echo("  –: takes no back-channel logout, and finds out when it next asks")


def _exposed(folder: DemoFolder) -> list[Exposed]:
    """Return what each change meant for each application, in the order it happened."""
    with folder.opened_runtime() as runtime, runtime.database.read() as tx:
        device = device_of(tx, DEVICES[0])
        found = [] if device is None else exposures.of_device(tx, device)
    together: dict[tuple[datetime, str], list[Exposure]] = {}
    for window in sorted(found, key=lambda each: (each.origin.committed_at, each.client)):
        together.setdefault((window.origin.committed_at, window.client), []).append(window)
    return [_longest(windows) for windows in together.values()]


def _longest(windows: Sequence[Exposure]) -> Exposed:
    origin = windows[0].origin
    return Exposed(
        change=f"signal from {origin.source}" if origin.source else "an administrator",
        client=windows[0].client,
        denied=_seconds([window.denied_at for window in windows], origin.committed_at),
        acknowledged=_seconds([window.acknowledged_at for window in windows], origin.committed_at),
    )


def _seconds(ends: Sequence[datetime | None], begun: datetime) -> float | None:
    known = [end for end in ends if end is not None]
    return (max(known) - begun).total_seconds() if len(known) == len(ends) else None


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:,.1f} ms"


def _last_lines(folder: DemoFolder) -> Iterator[str]:
    for program in ("server", "payroll"):
        log = folder.log(program)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:]
        yield f"{log.name} ends with:\n" + "".join(f"  {line}\n" for line in lines)
