"""The demo's folder: settings, database, keys and passwords, for its owner's eyes only."""

import errno
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

import orjson
from ruamel.yaml import YAML

from pdp.assembly import build_runtime
from pdp.cli.failures import Failed
from pdp.clock import new_code, new_secret
from pdp.runtime import Runtime
from pdp.settings import Settings

_NOTES: Final = "demo.json"
#: Locked for as long as a demo lives; the kernel lets go of it whatever ends the demo.
_LOCK: Final = ".pratique-demo.lock"
_PORTS_TRIED: Final = 50
_PAYROLL_PORT: Final = 9090


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What the demo must remember between two runs: ports, and everything it made up."""

    port: int
    management_port: int
    payroll_port: int
    webhook_secret: str
    passwords: dict[str, str]
    client_secrets: dict[str, str]

    @property
    def issuer(self) -> str:
        """The server's address. Another host than Payroll's: browsers keep their cookies apart."""
        return f"http://localhost:{self.port}"

    @property
    def payroll(self) -> str:
        """The example application's address."""
        return f"http://127.0.0.1:{self.payroll_port}"

    def moved_to(self, *, port: int, management_port: int) -> "Notes":
        """Return the same demo with its server on other ports."""
        return Notes(**{**asdict(self), "port": port, "management_port": management_port})


@dataclass(frozen=True, slots=True)
class DemoFolder:
    """A folder that holds one demo and nothing else."""

    path: Path

    @classmethod
    @contextmanager
    def at(cls, path: Path, *, fresh: bool) -> Iterator[Self]:
        """Open or make the folder and keep other demos out of it until the block ends.

        `fresh` deletes what an earlier demo left in it. Failed if a demo runs there, if it holds
        anything that is not a demo's, or if this account may not write there.
        """
        folder = cls(path.absolute())
        try:
            lock = folder._begin(fresh=fresh)
        except OSError as error:
            raise Failed(
                f"--folder {path} cannot be used: {error.strerror}; name one that this account may"
                " write"
            ) from error
        try:
            yield folder
        finally:
            os.close(lock)

    def _begin(self, *, fresh: bool) -> int:
        """Return the locked file; whoever closes it lets the next demo in."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_a_demos = self.is_set_up or (self.path / _LOCK).exists()
        if not is_a_demos and any(self.path.iterdir()):
            raise Failed(f"{self.path} holds other things than a demo: name another --folder")
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if fresh:
                self._clear()
        except BlockingIOError as error:
            os.close(lock)
            raise Failed(
                f"a demo runs in {self.path}: stop it first (Ctrl-C in its terminal)"
            ) from error
        except OSError:
            os.close(lock)
            raise
        return lock

    def _clear(self) -> None:
        """Delete everything but the lock: another demo that came now would lock another file."""
        for left in self.path.iterdir():
            if left.name == _LOCK:
                continue
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()

    @property
    def is_set_up(self) -> bool:
        """Whether a demo was begun here."""
        return (self.path / _NOTES).exists()

    @property
    def config(self) -> Path:
        """The settings file that the demo's processes read."""
        return self.path / "config.yaml"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the demo's processes: its settings, and no others."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PDP_")}
        return {**kept, "PDP_CONFIG": str(self.config)}

    @contextmanager
    def opened_runtime(self) -> Iterator[Runtime]:
        """Work on the demo's database from this process, beside the server's."""
        settings = YAML(typ="safe").load(self.config.read_text(encoding="utf-8"))
        runtime = build_runtime(Settings(**settings))
        try:
            yield runtime
        finally:
            runtime.close()

    def log(self, program: str) -> Path:
        """Return where a program's output goes."""
        return self.path / f"{program}.log"

    def read_notes(self) -> Notes:
        """Return the notes; Failed if they cannot be read."""
        try:
            return Notes(**orjson.loads((self.path / _NOTES).read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise Failed(f"{self.path / _NOTES} cannot be read: start with --fresh") from error

    def write(self, notes: Notes) -> None:
        """Write settings and notes; the notes hold passwords, so only the owner may read them."""
        settings = {
            "issuer": notes.issuer,
            "dev": True,
            "display_name": "Pratique demo",
            "support": "help@example.com",
            "database": {"url": f"sqlite:///{self.path / 'pratique.db'}"},
            "server": {
                "host": "127.0.0.1",
                "port": notes.port,
                "management_port": notes.management_port,
            },
            "redis": {"url": None},
            "keys": {"master": None, "master_path": str(self.path / "master.key")},
            # The example application listens on loopback without TLS; nothing else is opened.
            "outbound": {"allow_networks": ["127.0.0.0/8"], "allow_http": True},
        }
        with self.config.open("w", encoding="utf-8") as file:
            YAML(typ="safe").dump(settings, file)
        target = self.path / _NOTES
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(orjson.dumps(asdict(notes), option=orjson.OPT_INDENT_2))


def new_notes(
    *, port: int, webhook_secret: str, people: tuple[str, ...], clients: tuple[str, ...]
) -> Notes:
    """Make up the secrets of a new demo, on free ports from `port` on, or on any for 0."""
    server = free_port(port)
    payroll = free_port(_PAYROLL_PORT if port else 0, taken=(server,))
    return Notes(
        port=server,
        management_port=free_port(server + 1 if port else 0, taken=(server, payroll)),
        payroll_port=payroll,
        webhook_secret=webhook_secret,
        passwords={name: "-".join(new_code(4) for _ in range(4)) for name in people},
        client_secrets={name: new_secret() for name in clients},
    )


def free_port(wanted: int, *, taken: tuple[int, ...] = ()) -> int:
    """Return the first port from `wanted` on, but for `taken`, that nobody listens on.

    Any free one for 0.
    """
    for port in range(wanted, wanted + _PORTS_TRIED) if wanted else (0,) * _PORTS_TRIED:
        found = _free(port)
        if found is not None and found not in taken:
            return found
    raise Failed(f"ports {wanted} to {wanted + _PORTS_TRIED - 1} are all in use: name a --port")


def _free(port: int) -> int | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return None
        found: int = probe.getsockname()[1]
        return found
