"""`pdp serve`: one command for everything that runs."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Final

import click

from pdp.cli.failures import Failed
from pdp.cli.settings_report import read_settings

_PREFIX: Final = "pratique-metrics-"
_LOCK: Final = "owner.lock"

PARTS = ("http", "worker")


@click.command()
@click.option(
    "--part",
    "parts",
    type=click.Choice(PARTS),
    multiple=True,
    help="Only this part, beside the management address; both, if left out.",
)
def serve(parts: tuple[str, ...]) -> None:
    """Run HTTP server, worker and management address until SIGTERM, Ctrl-C or hang-up."""
    settings = read_settings()
    with own_folder() as fresh:
        folder = Path(os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(fresh)))
        _empty(folder)
        # Metrics open their files when they are imported: so nothing that counts is, before.
        supervisor = import_module("pdp.cli.supervisor")
        supervisor.run(settings, parts or PARTS)


@contextmanager
def own_folder() -> Iterator[Path]:
    """Make a folder for counters that is ours until this process ends, whatever ends it.

    Folders of servers that were killed go before: one whose lock nobody holds has no owner.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        _remove_if_left(left)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        folder = Path(name)
        unlocked = folder / "owner.new"
        with unlocked.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Nobody sees it before it is locked.
            unlocked.rename(folder / _LOCK)
            yield folder


def _remove_if_left(folder: Path) -> None:
    try:
        # Not through a link: a stranger's folder has no lock of this account in it.
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not folder.is_symlink() and folder.stat().st_uid == os.geteuid():
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        # It is in use, or gone already.
        return
    finally:
        os.close(lock)


def _empty(folder: Path) -> None:
    """Remove what processes of an earlier run counted: it would be added up for ever."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.db"):
            path.unlink()
    except OSError as error:
        raise Failed(
            f"PROMETHEUS_MULTIPROC_DIR: {folder} cannot be emptied: {error.strerror}"
        ) from error
