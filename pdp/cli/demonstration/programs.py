"""Starts the demo's programs, waits until they answer, and stops them so that nothing stays."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import requests

from pdp.cli.demonstration.bound import bound
from pdp.cli.demonstration.cast import PAYROLL
from pdp.cli.demonstration.folder import DemoFolder, Notes
from pdp.cli.failures import Failed, Unexpected

_PROJECT: Final = Path(__file__).resolve().parents[3]
RELYING_PARTY: Final = _PROJECT / "examples" / "relying_party" / "app.py"
POLICIES: Final = _PROJECT / "examples" / "demo" / "policies.yaml"
_STARTUP_SECONDS: Final = 60
_STOP_SECONDS: Final = 15
_POLL_SECONDS: Final = 0.05
_LAST_LINES: Final = 20

Program = subprocess.Popen[bytes]


def check_examples() -> None:
    """Fail, naming the cure, where the examples are missing: wheels do not carry them."""
    for path in (RELYING_PARTY, POLICIES):
        if not path.exists():
            raise Failed(f"{path} is missing: the demo runs from a clone of the project")


def run_pdp(folder: DemoFolder, *arguments: str) -> str:
    """Run one `pdp` command on the demo; return what it printed, or fail with it."""
    done = subprocess.run(  # noqa: S603  the commands are this program's own
        _pdp(*arguments), env=folder.environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Unexpected(f"pdp {' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def running(folder: DemoFolder, notes: Notes) -> Iterator[None]:
    """Run server and example application until the block ends; both answer when it begins."""
    payroll = {
        "PAYROLL_ISSUER": notes.issuer,
        "PAYROLL_URL": notes.payroll,
        "PAYROLL_CLIENT_ID": PAYROLL,
        "PAYROLL_CLIENT_SECRET": notes.client_secrets[PAYROLL],
    }
    with _stopped_by_signals(), contextlib.ExitStack() as programs:
        server = programs.enter_context(
            _program(_pdp("serve"), folder.log("server"), folder.environment)
        )
        application = programs.enter_context(
            _program(
                [sys.executable, str(RELYING_PARTY)],
                folder.log("payroll"),
                {**os.environ, **payroll},
            )
        )
        _wait_for(f"{notes.issuer}/.well-known/openid-configuration", server, folder.log("server"))
        _wait_for(f"{notes.payroll}/", application, folder.log("payroll"))
        yield


def _pdp(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pdp", *arguments]


@contextmanager
def _program(
    command: Sequence[str], log: Path, environment: Mapping[str, str]
) -> Iterator[Program]:
    # In a session of its own: a Ctrl-C is ours to pass on, once and in order.
    with (
        log.open("ab") as output,
        subprocess.Popen(  # noqa: S603  the commands are this program's own
            bound(*command),
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as program,
    ):
        try:
            yield program
        finally:
            _stop(program)


def _stop(program: Program) -> None:
    program.terminate()
    try:
        program.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        program.kill()
    # Whatever it started and did not stop is in its group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGINT end the block, also where a shell had SIGINT ignored."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    ending = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, interrupt) for number in ending]
    try:
        yield
    finally:
        for number, handler in zip(ending, before, strict=True):
            signal.signal(number, handler)


def _wait_for(url: str, program: Program, log: Path) -> None:
    deadline = time.monotonic() + _STARTUP_SECONDS
    while program.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(requests.RequestException):
            if requests.get(url, timeout=2, allow_redirects=False).ok:
                return
        time.sleep(_POLL_SECONDS)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
    raise Unexpected(f"{url} does not answer; {log} ends with:\n" + "\n".join(lines))
