"""`pdp device enrol` and `pdp device assert`: the part that runs on the device itself.

The key never leaves the device: a file that only its owner reads stands in for the secure
hardware that a real agent would use.
"""

import os
import platform as machine
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import click
import orjson

from pdp.cli.calls import issuer_option, members, post
from pdp.cli.failures import Failed, Unexpected
from pdp.cli.output import say, show
from pdp.cli.settings_report import read_settings
from pdp.clock import new_id, utcnow
from pdp.domain.ids import DeviceId
from pdp.jose.device_assertion import sign_device_assertion
from pdp.jose.device_enrolment import sign_enrolment_proof
from pdp.jose.device_key import generate_device_key
from pdp.settings import config_path

_DEFAULT_PATH: Final = Path("~/.config/pratique/device.json")
#: Variables that say that there are settings.
_SETTINGS: Final = ("PDP_CONFIG", "PDP__ISSUER_FILE")
_PLATFORMS: Final = {"Darwin": "macos", "Windows": "windows", "Linux": "linux"}

_key_path = click.option(
    "--key-path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=_DEFAULT_PATH,
    show_default=True,
    help="File that holds the device's key, readable by its owner only.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFile:
    """What a device keeps: its id, the server that it is enrolled with, its private key."""

    device: DeviceId
    issuer: str
    jwk: Mapping[str, str]

    def as_json(self) -> bytes:
        """Return the file's content."""
        return orjson.dumps({"device": self.device, "issuer": self.issuer, "jwk": dict(self.jwk)})

    @classmethod
    def read(cls, path: Path) -> "DeviceFile":
        """Read the file; Failed, naming the cure, if it is not there, not ours, or not private."""
        try:
            mode = path.stat().st_mode
            content = orjson.loads(path.read_bytes())
            device, issuer, jwk = content["device"], content["issuer"], content["jwk"]
        except FileNotFoundError as error:
            raise Failed(f"there is no {path}: `pdp device enrol TOKEN` makes it") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Failed(f"{path} cannot be read: enrol the device again") from error
        if mode & 0o077:
            raise Failed(f"{path} is readable by others: `chmod 600 {path}`, then enrol again")
        return cls(device=DeviceId(device), issuer=issuer, jwk=jwk)


@click.command()
@click.argument("token")
@click.option("--name", default=None, help="What people call the device; the host name, if unset.")
@click.option(
    "--platform",
    type=click.Choice(["macos", "windows", "linux", "ios", "android", "chromeos"]),
    default=None,
    help="This machine's, if unset.",
)
@_key_path
@issuer_option(otherwise="the settings' issuer")
def enrol(
    token: str, name: str | None, platform: str | None, key_path: Path, issuer: str | None
) -> None:
    """Run on the device: make a key and enrol it with a TOKEN from `pdp device enrol-token`."""
    path = key_path.expanduser()
    issuer = issuer or _issuer_of_settings()
    if path.exists():
        raise Failed(f"{path} is there already: this device is enrolled; remove it to begin anew")
    jwk = generate_device_key()
    proof = sign_enrolment_proof(
        jwk, enrolment_token=token, issuer=issuer, jti=new_id("jti"), now=utcnow()
    )
    fields = {
        "token": token,
        "proof": proof,
        "name": name if name is not None else machine.node(),
        "platform": platform or _PLATFORMS.get(machine.system()),
    }
    # The file comes first: a key that was enrolled and could not be kept would be lost.
    with _private_file(path) as file:
        try:
            answer = members(post(issuer, "/device/enrol", orjson.dumps(fields)))
            device_id = str(answer["device_id"])
        except (click.ClickException, KeyError):
            path.unlink()
            raise
        file.write(DeviceFile(device=DeviceId(device_id), issuer=issuer, jwk=jwk).as_json())
    show({"device": device_id, "key": str(path)})


@click.command("assert")
@click.option("--code", help="The code that a page of the server shows.")
@_key_path
@issuer_option(otherwise="the one that this device is enrolled with")
def assert_device(code: str | None, key_path: Path, issuer: str | None) -> None:
    """Run on the device: answer the code that a page shows; without --code, show an assertion."""
    kept = DeviceFile.read(key_path.expanduser())
    server = issuer or kept.issuer
    if code is None:
        click.echo(_assertion(kept, server))
        return
    headers = {"Device-Assertion": _assertion(kept, server)}
    members(post(server, "/device/assert", orjson.dumps({"code": code}), headers))
    say("the page knows this device now: go on in the browser")


def _issuer_of_settings() -> str:
    """Return the issuer that settings on this machine name; few devices have any."""
    if not config_path(os.environ).exists() and not any(name in os.environ for name in _SETTINGS):
        raise Failed("say which server: --issuer https://id.example.com (no settings are here)")
    return read_settings().issuer


def _assertion(kept: DeviceFile, issuer: str) -> str:
    given = members(post(issuer, "/device/nonce"))
    nonce = given.get("nonce")
    if not isinstance(nonce, str):
        raise Unexpected(f"{issuer} gave no nonce: is it a Pratique server?")
    return sign_device_assertion(
        kept.jwk,
        device=kept.device,
        issuer=issuer,
        nonce=nonce,
        jti=new_id("jti"),
        now=utcnow(),
    )


def _private_file(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Failed(f"{path} cannot be made: {error.strerror}") from error
    return os.fdopen(handle, "wb")
