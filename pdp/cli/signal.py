"""`pdp signal`: say something about a device, as a source would."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import click
import orjson

from pdp.cli.calls import deliver, issuer_option, members
from pdp.cli.context import opened_runtime
from pdp.cli.failures import Failed
from pdp.cli.output import read_text, show
from pdp.cli.parameters import FILE, INSTANT, read_json_object
from pdp.cli.settings_report import read_settings
from pdp.clock import new_id, utcnow
from pdp.domain.errors import NotFound
from pdp.domain.ids import SourceId
from pdp.domain.signal import NameKind
from pdp.store import sources

_KINDS = tuple(kind.value for kind in NameKind)


@click.group()
def signal() -> None:
    """Send signals by hand."""


@signal.command()
@click.argument("source")
@click.option("--device", help=f"KIND:VALUE; KIND is one of {', '.join(_KINDS)}.")
@click.option("--risk", type=click.Choice(["low", "medium", "high", "critical"]))
@click.option("--compliant/--not-compliant", default=None)
@click.option("--json", "document", type=FILE, help="A signal, or several, as JSON, instead.")
@click.option("--id", "signal_id", help="Of the signal; a fresh one, if left out.")
@click.option("--time", "event_time", type=INSTANT, help="When it became so; now, if left out.")
@click.option("--secret-file", type=FILE, help="Holds the source's secret; else the database's.")
@issuer_option(otherwise="the settings' issuer")
def send(  # noqa: PLR0917  each option is one member of the signal
    source: str,
    device: str | None,
    risk: str | None,
    compliant: bool | None,  # noqa: FBT001  a flag with three states
    document: Path | None,
    signal_id: str | None,
    event_time: datetime | None,
    secret_file: Path | None,
    issuer: str | None,
) -> None:
    """Sign a signal with the secret of SOURCE and send it to the server."""
    stated = _stated(device, risk, compliant=compliant)
    if (document is None) == (not stated):
        raise Failed("say --device with --risk or --compliant, or give --json FILE")
    now = utcnow()
    if document is not None:
        body = orjson.dumps(read_json_object(document))
    else:
        instant = (event_time or now).isoformat().replace("+00:00", "Z")
        body = orjson.dumps({"id": signal_id or new_id("sig"), "event_time": instant, **stated})
    secret = _stored_secret(source, now) if secret_file is None else read_text(secret_file).strip()
    try:
        answer = deliver(issuer or read_settings().issuer, source, body, secret, now=now)
    except ValueError as error:
        raise Failed(str(error)) from error
    show({"status": answer.status, **members(answer)})


def _stated(
    device: str | None, risk: str | None, *, compliant: bool | None
) -> Mapping[str, object]:
    if device is None:
        return {}
    kind, separator, name = device.partition(":")
    if kind not in _KINDS or not separator or not name:
        raise Failed(f"--device {device!r}: write KIND:VALUE, KIND one of {', '.join(_KINDS)}")
    stated: dict[str, object] = {"device": {kind: name}}
    if risk is not None:
        stated["risk"] = risk
    if compliant is not None:
        stated["compliant"] = compliant
    return stated


def _stored_secret(source: str, now: datetime) -> str:
    with opened_runtime() as runtime, runtime.database.read() as tx:
        found = sources.load_all(tx, runtime.envelope).get(SourceId(source))
    if found is None:
        raise NotFound("source", source)
    ring = found.ring(now)
    if not ring:
        raise Failed(f"{source} has no secret that works: `pdp source rotate-secret {source}`")
    return ring[0]
