"""Starts the real servers that tests talk to: private, on loopback, gone when the run ends.

Each starter is a context manager. A missing program is a failure that names the cure, never a
skipped test. `setpriv --pdeathsig` makes the kernel stop a server whose test run was killed.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Literal

import psycopg
import redis

CURE: Final = "`make test` installs it (tools/install-test-servers does that part alone)"
_STARTUP_SECONDS: Final = 120
_POLL_SECONDS: Final = 0.02


class ServerMissing(AssertionError):
    """A program that the tests need is not on this machine."""

    def __init__(self, program: str) -> None:
        super().__init__(f"{program} is not installed: {CURE}")


def free_port() -> int:
    """Return a loopback port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once `ready()`; fail with the server's log when it ends or takes over two minutes."""
    deadline = time.monotonic() + _STARTUP_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(encoding="utf-8", errors="replace")
            raise AssertionError(f"{process.args!r} did not start:\n{said}")
        time.sleep(_POLL_SECONDS)


@contextmanager
def running(
    command: Sequence[str], log: Path, *, stop: str = "TERM", account: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` as `account`, its output in `log`; stopped with signal `stop` at the end."""
    guarded = ["setpriv", f"--pdeathsig={stop}"]
    if account:
        guarded += [f"--reuid={account}", f"--regid={account}", "--clear-groups"]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*guarded, "--", *command], stdout=output, stderr=output, cwd=log.parent
        ) as process,
    ):
        try:
            yield process
        finally:
            subprocess.run(["kill", f"-{stop}", str(process.pid)], check=False)
            process.wait(timeout=_STARTUP_SECONDS)


@contextmanager
def postgresql_server(*, fsync: Literal["on", "off"] = "off") -> Iterator[str]:
    """Run a private PostgreSQL; yield `postgresql://…` of its maintenance database.

    With `fsync` on, commits cost what they cost in production. Off, they survive the death of
    every process all the same: only a power cut could tell the difference. PostgreSQL refuses to
    run as root, so for root it runs as the account `postgres`, which Debian's package makes.
    """
    initdb, postgres = _postgresql_program("initdb"), _postgresql_program("postgres")
    account = _account_for_postgresql()
    with tempfile.TemporaryDirectory(prefix="pratique-pg-", ignore_cleanup_errors=True) as name:
        home, port = Path(name), free_port()
        if account:
            shutil.chown(home, account, account)
        as_account = ["setpriv", f"--reuid={account}", f"--regid={account}", "--clear-groups"]
        making = [*(as_account if account else ()), initdb, "-D", str(home / "data")]
        making += ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
        made = subprocess.run(
            [*making, "--no-sync"],
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        # Whoever is in this group is asked for a password; the first line that fits counts.
        rules = home / "data" / "pg_hba.conf"
        asked = "host all +asked_for_password 127.0.0.1/32 scram-sha-256\n"
        rules.write_text(asked + rules.read_text("utf-8"), "utf-8")
        command = [postgres, "-D", str(home / "data"), "-k", str(home), "-p", str(port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=100"]
        command += ["-c", f"fsync={fsync}"]
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        with running(command, home / "log", stop="QUIT", account=account) as process:
            wait_until(lambda: _answers_sql(url), process, home / "log")
            yield url


@contextmanager
def redis_server(port: int | None = None) -> Iterator[str]:
    """Run a private Redis without persistence, on `port` if given; yield its `redis://…` URL."""
    program = shutil.which("redis-server")
    if program is None:
        raise ServerMissing("redis-server")
    with tempfile.TemporaryDirectory(prefix="pratique-redis-") as name:
        home, port = Path(name), port or free_port()
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(home)]
        command += ["--save", "", "--appendonly", "no"]
        url = f"redis://127.0.0.1:{port}/0"
        with running(command, home / "log") as process:
            wait_until(lambda: _answers_ping(url), process, home / "log")
            yield url


def _postgresql_program(name: str) -> str:
    """Find a program that Debian keeps off PATH; the newest version installed wins."""
    installed = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    newest = max(installed, key=lambda path: float(path.parts[4]), default=None)
    found = str(newest) if newest else shutil.which(name)
    if found is None:
        raise ServerMissing(f"PostgreSQL ({name})")
    return found


def _account_for_postgresql() -> str | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        raise ServerMissing("PostgreSQL (with its account `postgres`)") from None


def _answers_sql(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _answers_ping(url: str) -> bool:
    try:
        with redis.Redis.from_url(url) as client:
            client.ping()
    except redis.ConnectionError:
        return False
    return True


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Have processes stand still for the block: their sockets stay open, and nobody answers."""
    with ExitStack() as woken:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            woken.callback(os.kill, pid, signal.SIGCONT)
        yield
