"""Plays the story in a deployment of its own, and reports each step and what was measured."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Window:
    """An exposure window as the server recorded it, in seconds from its commit (t2)."""

    client: str
    denied: float | None
    acknowledged: float | None


def play() -> None:
    """Play every step in a temporary folder, on free ports; Unexpected names one that fails."""
    with tempfile.TemporaryDirectory(prefix="pratique-story-") as name:
        folder = DemoFolder.at(Path(name), fresh=False)
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
    click.echo("\nFrom the answer to the webhook until it was seen outside:")
    for name, seconds in stage.measured.items():
        click.echo(f"  {name:<30}{seconds * 1000:>9,.1f} ms")
    click.echo("\nExposure windows, as the server recorded them (from its commit, t2):")
    click.echo(f"  {'application':<30}{'denied (t3)':>14}{'told (t5)':>14}")
    for window in _windows(stage.folder):
        denied, told = _milliseconds(window.denied), _milliseconds(window.acknowledged)
        click.echo(f"  {window.client:<30}{denied:>14}{told:>14}")


def _windows(folder: DemoFolder) -> list[Window]:
    with folder.opened_runtime() as runtime, runtime.database.read() as tx:
        device = device_of(tx, DEVICES[0])
        found = [] if device is None else exposures.of_device(tx, device)
    return [_window(exposure) for exposure in reversed(found)]


def _window(exposure: Exposure) -> Window:
    begun = exposure.origin.committed_at
    denied, told = exposure.denied_at, exposure.acknowledged_at
    return Window(
        exposure.client,
        None if denied is None else (denied - begun).total_seconds(),
        None if told is None else (told - begun).total_seconds(),
    )


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:,.1f} ms"


def _last_lines(folder: DemoFolder) -> Iterator[str]:
    for program in ("server", "payroll"):
        log = folder.log(program)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:]
        yield f"{log.name} ends with:\n" + "".join(f"  {line}\n" for line in lines)
