"""Settings: command line > environment (`PDP__SECTION__KEY`) > config.yaml > defaults.

Unknown keys are errors, every problem is reported at once, secrets are never shown, and each
secret may come from a file (`PDP__SECTION__KEY_FILE`, as container platforms mount them).
"""

import json
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from ruamel.yaml import YAML

Network = IPv4Network | IPv6Network
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SQLITE = "sqlite:///"


def _duration(value: object) -> object:
    """Read `90`, `30s`, `10m`, `4h` or `7d`; what is no text is pydantic's to refuse."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"(\d{1,9})([smhd]?)", value.strip())
    if found is None:
        message = "is no duration: write 90s, 10m, 4h or 7d"
        raise ValueError(message)
    return timedelta(seconds=int(found[1]) * _UNITS[found[2] or "s"])


def _networks(value: object) -> object:
    """Read a list of networks; text holds it as JSON, as in the environment."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, list | tuple):
        message = 'is no list: write ["10.0.0.0/8"], or [] for none'
        raise ValueError(message)  # noqa: TRY004  every problem of the settings is a ValueError
    return tuple(_network(each) for each in value)


def _network(value: object) -> Network:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        network = ip_network(str(value), strict=False)
    except ValueError as error:
        message = f"{str(value)!r} is no network: write 10.0.0.0/8 or 2001:db8::/32"
        raise ValueError(message) from error
    if str(network.network_address) != str(ip_address(str(value).partition("/")[0])):
        message = f"{value!r} is an address within a network: write {network}"
        raise ValueError(message)
    return network


Seconds = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))]
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Section(BaseModel):
    """A group of settings: frozen, and strict about names."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(Section):
    """Where state lives."""

    url: str = "sqlite:///var/pratique.db"
    """SQLAlchemy URL: `sqlite:///path` (one machine) or `postgresql+psycopg://…`."""
    pool_size: Annotated[int, Field(ge=1, le=100)] = 24
    """Most connections of a process; fewer than its threads, and they wait for one another."""
    busy_timeout: Seconds = timedelta(seconds=10)
    """How long a writer waits for another before it answers 503."""

    @field_validator("url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        if url == _SQLITE or not url.startswith((_SQLITE, "postgresql+psycopg://")):
            message = "must begin with sqlite:///path or postgresql+psycopg://"
            raise ValueError(message)
        return url


class RedisSettings(Section):
    """Redis is optional on one machine and holds only what may be lost."""

    url: str | None = None
    """`redis://…`, or nothing for in-process counters."""


class ServerSettings(Section):
    """How the server listens."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Port = 8080
    """Port to listen on."""
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Processes that answer requests."""
    threads: Annotated[int, Field(ge=1, le=64)] = 16
    """Threads of each process for pages; passwords that are checked may hold three quarters."""
    program_threads: Annotated[int, Field(ge=1, le=64)] = 3
    """Threads of each process for webhooks, and for what the event loop leaves to them."""
    management_host: str = "127.0.0.1"
    """Address of `/livez`, `/readyz` and `/metrics`; keep it off the internet."""
    management_port: Port = 8081
    """Port of the management address."""
    tls_certificate: Path | None = None
    """PEM certificate chain, when the server itself speaks TLS."""
    tls_key: Path | None = None
    """PEM private key of the certificate."""
    trusted_proxies: Networks = ()
    """Networks whose `X-Forwarded-For` and `Client-Cert` are believed; none by default."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 1024 * 1024
    """Largest request body; a larger one is answered 413."""

    @model_validator(mode="after")
    def _certificate_and_key_together(self) -> "ServerSettings":
        if (self.tls_certificate is None) != (self.tls_key is None):
            message = "set both server.tls_certificate and server.tls_key, or neither"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _two_ports(self) -> "ServerSettings":
        everywhere = {"0.0.0.0", "::"} & {self.host, self.management_host}  # noqa: S104  compared
        together = everywhere or self.host == self.management_host
        if together and self.port == self.management_port != 0:
            message = f"port and management_port are both {self.port}: choose another for one"
            raise ValueError(message)
        return self


class KeySettings(Section):
    """Keys that never reach the database."""

    master: SecretStr | None = None
    """Base64 of 32 random bytes: encrypts signing keys and connector secrets at rest."""
    master_path: Path = Path("var/master.key")
    """File that holds the master key when `keys.master` is not set; `pdp init` makes it."""


class LifetimeSettings(Section):
    """How long things live."""

    code: Seconds = timedelta(seconds=60)
    """Authorization code."""
    access_token: Seconds = timedelta(minutes=5)
    """Access token."""
    id_token: Seconds = timedelta(minutes=5)
    """ID token."""
    session_idle: Seconds = timedelta(hours=8)
    """Browser session without use."""
    session: Seconds = timedelta(hours=12)
    """Browser session, whatever its use."""
    refresh_idle: Seconds = timedelta(days=14)
    """Refresh token without use."""
    refresh: Seconds = timedelta(days=30)
    """Refresh token family, whatever its use."""
    restricted_token: Seconds = timedelta(minutes=10)
    """Longest access token of a restricted session, whatever its policy names."""
    restricted_session: Seconds = timedelta(hours=1)
    """Longest restricted session, whatever its policy names."""
    parked_request: Seconds = timedelta(hours=2)
    """Authorization request that waits for sign-in or remediation."""
    device_assertion: Seconds = timedelta(seconds=60)
    """Signed device assertion and its nonce."""
    enrolment_token: Seconds = timedelta(minutes=15)
    """Token that enrols one device, once."""
    fresh_sign_in: Seconds = timedelta(minutes=5)
    """How old a sign-in may be for changes to one's own password and factors."""
    logout_token: Seconds = timedelta(minutes=2)
    """Back-channel logout token."""


class SignInSettings(Section):
    """Limits that slow down guessing."""

    attempts: Annotated[int, Field(ge=1)] = 10
    """Wrong passwords or codes for one account within the window before it must wait."""
    attempts_per_address: Annotated[int, Field(ge=1)] = 100
    """Wrong passwords or codes from one address within the window."""
    window: Seconds = timedelta(minutes=5)
    """The window of every limit here."""
    parked_per_address: Annotated[int, Field(ge=1)] = 1000
    """Sign-ins begun from one address within the window; raise it for many behind one address."""
    client_attempts: Annotated[int, Field(ge=1)] = 60
    """Failed client authentications from one address within the window."""
    password_min_length: Annotated[int, Field(ge=8)] = 12
    """Shortest password that a person may choose."""
    hash_concurrency: Annotated[int, Field(ge=1)] = 1
    """Passwords hashed at the same time in one process (19 MiB and about 20 ms each)."""


class OutboundSettings(Section):
    """Calls that the server makes to others."""

    ca_bundle: Path | None = None
    """PEM file of authorities to trust beside the system's."""
    allow_networks: Networks = ()
    """Private networks that may be called; all private ranges are refused by default."""
    allow_http: bool = False
    """Whether plain http is called at all; the demo sets it for loopback."""
    timeout: Seconds = timedelta(seconds=5)
    """Longest wait for one answer."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 256 * 1024
    """Largest answer that is read."""


class LoggingSettings(Section):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe line that is written."""


class Settings(BaseSettings):
    """Everything an operator can set. Policies and compliance rules are data, not settings."""

    model_config = SettingsConfigDict(
        env_prefix="PDP__", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    issuer: str
    """The one exact string by which relying parties know us; https outside loopback."""
    dev: bool = False
    """Development profile: plain http on loopback, cookie names without `__Host-`."""
    display_name: str = "Pratique"
    """What pages call this deployment."""
    support: str = ""
    """How people reach help: an e-mail address or https link shown on pages."""

    database: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    server: ServerSettings = ServerSettings()
    keys: KeySettings = KeySettings()
    lifetimes: LifetimeSettings = LifetimeSettings()
    signin: SignInSettings = SignInSettings()
    outbound: OutboundSettings = OutboundSettings()
    logging: LoggingSettings = LoggingSettings()

    @field_validator("issuer")
    @classmethod
    def _exact_issuer(cls, issuer: str) -> str:
        # Discovery compares the issuer to the character: a slash more makes another issuer.
        if not issuer.startswith(("https://", "http://")) or issuer.endswith("/"):
            message = "must be an https URL (http on loopback only) without a slash at its end"
            raise ValueError(message)
        if any(mark in issuer for mark in "?#@ "):
            message = "must have no query, fragment, user name or space"
            raise ValueError(message)
        return issuer

    @field_validator("support")
    @classmethod
    def _reachable_support(cls, support: str) -> str:
        # Pages make a link of it.
        if not re.fullmatch(r"|https://[^\s/@]+\S*|[^\s@:/]+@[^\s@:/]+", support):
            message = "must be an e-mail address (help@example.com) or an https:// link"
            raise ValueError(message)
        return support

    @model_validator(mode="after")
    def _plain_http_stays_on_loopback(self) -> "Settings":
        host = self.issuer.split("://", 1)[1].split("/", 1)[0].rsplit(":", 1)[0]
        loopback = {"localhost", "127.0.0.1", "[::1]"}
        if self.issuer.startswith("http://"):
            if not self.dev:
                message = "issuer: plain http needs dev: true, and is for loopback only"
                raise ValueError(message)
            if host not in loopback:
                message = f"issuer: plain http is for loopback only, not {host}"
                raise ValueError(message)
        if self.dev and self.server.host not in {"127.0.0.1", "::1", "localhost"}:
            message = f"server.host: dev: true listens on loopback only, not {self.server.host}"
            raise ValueError(message)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments, environment, secret files, config.yaml, its folder."""
        del dotenv_settings, file_secret_settings
        if isinstance(env_settings, EnvSettingsSource):
            # `PDP__KEYS__MASTER_FILE` names a file with `keys.master`, not a setting of that name.
            env_settings.env_vars = {
                name: value
                for name, value in env_settings.env_vars.items()
                if not name.lower().endswith("_file")
            }
        path = config_path(os.environ)
        return (
            init_settings,
            env_settings,
            InitSettingsSource(settings_cls, _secrets_in_files(os.environ)),
            InitSettingsSource(settings_cls, _in_folder(_read_yaml(path), settings_cls, path)),
            InitSettingsSource(settings_cls, _defaults_beside(path)),
        )


def config_path(environ: Mapping[str, str]) -> Path:
    """Return where config.yaml is looked for: `PDP_CONFIG`, else the working folder."""
    return Path(environ.get("PDP_CONFIG", "config.yaml"))


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    if content is None:
        return {}
    if not isinstance(content, dict):
        message = f"{path}: must be a mapping of sections, not {type(content).__name__}"
        raise ValueError(message)  # noqa: TRY004  every problem of the settings is a ValueError
    return content


def _in_folder(values: dict[str, Any], model: type[BaseModel], path: Path) -> dict[str, Any]:
    """Return the values of a settings file, with relative paths taken from the file's folder."""
    found = dict(values)
    for name, field in model.model_fields.items():
        value, kind = found.get(name), field.annotation
        if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, BaseModel):
            found[name] = _in_folder(value, kind, path)
        elif isinstance(value, str) and kind in {Path, Path | None}:
            found[name] = _beside(path, value)
        elif isinstance(value, str) and (model, name) == (DatabaseSettings, "url"):
            found[name] = _url_beside(path, value)
    return found


def _defaults_beside(path: Path) -> dict[str, Any]:
    """Return the defaults that are relative paths, taken from the folder of a settings file."""
    if not path.exists():
        return {}
    return {
        "database": {"url": _url_beside(path, DatabaseSettings().url)},
        "keys": {"master_path": _beside(path, str(KeySettings().master_path))},
    }


def _beside(path: Path, relative: str) -> str:
    return str(path.absolute().parent / relative) if relative else relative


def _url_beside(path: Path, url: str) -> str:
    if url == _SQLITE or not url.startswith(_SQLITE):
        return url
    return _SQLITE + _beside(path, url.removeprefix(_SQLITE))


def _secrets_in_files(environ: Mapping[str, str]) -> dict[str, Any]:
    """Read `PDP__SECTION__KEY_FILE` variables into the settings they stand for."""
    found: dict[str, Any] = {}
    for name, path in environ.items():
        if not (name.startswith("PDP__") and name.endswith("_FILE")):
            continue
        *sections, key = name.removeprefix("PDP__").removesuffix("_FILE").lower().split("__")
        inner = found
        for section in sections:
            inner = inner.setdefault(section, {})
        try:
            inner[key] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            message = f"{name}: {path} cannot be read: {reason}"
            raise ValueError(message) from error
    return found
