"""Calls that commands make to a running server: whoever types its URL may call it.

When the server is away or answers nonsense: one line that names it, exit code 1.
"""

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import click
import orjson

from pdp.cli.failures import Denied, Failed, Unexpected
from pdp.clock import new_id
from pdp.outbound.client import Answer, Outbound, OutboundFailed, OutboundRefused
from pdp.settings import OutboundSettings
from pdp.sources.signatures import sign
from pdp.usecases.client_uris import LOOPBACK_HOSTS

_ANYWHERE: Final = (ip_network("0.0.0.0/0"), ip_network("::/0"))
_MOST_SHOWN: Final = 300
#: Refusals of who asks, as opposed to how: 401, 403 and 404 (no such code, token or device).
_DENIALS: Final = frozenset({401, 403, 404})

Command = TypeVar("Command", bound=Callable[..., object])


def issuer_option(*, otherwise: str) -> Callable[[Command], Command]:
    """Add `--issuer` to a command that talks to the server, or to `otherwise` if it is left out."""
    return click.option(
        "--issuer", envvar="PDP__ISSUER", help=f"URL of the server; {otherwise}, if left out."
    )


def post(
    issuer: str, path: str, body: bytes = b"{}", headers: Mapping[str, str] | None = None
) -> Answer:
    """Send JSON to the server at `issuer` and return its answer, whatever its status."""
    host = urlsplit(issuer).hostname or ""
    bundle = os.environ.get("PDP__OUTBOUND__CA_BUNDLE")
    settings = OutboundSettings(
        ca_bundle=None if bundle is None else Path(bundle),
        allow_networks=_ANYWHERE,
        allow_http=host in LOOPBACK_HOSTS,
    )
    outbound = Outbound(settings)
    try:
        return outbound.post(
            f"{issuer}{path}",
            body=body,
            headers={"Content-Type": "application/json", **(headers or {})},
        )
    except OutboundRefused as error:
        raise Failed(f"{issuer} cannot be called: {error}") from error
    except OutboundFailed as error:
        raise Unexpected(f"{issuer}: {error}: is `pdp serve` running?") from error
    finally:
        outbound.close()


def deliver(issuer: str, source: str, body: bytes, secret: str, *, now: datetime) -> Answer:
    """Send a signed webhook as `source`; ValueError for a secret that cannot be used."""
    delivery_id = new_id("msg")
    timestamp = int(now.timestamp())
    headers = {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret, delivery_id, timestamp, body),
    }
    return post(issuer, f"/webhooks/{source}", body, headers)


def members(answer: Answer) -> Mapping[str, object]:
    """Return the JSON object of a good answer; a refusal fails with the server's own words."""
    if answer.status >= 400:  # noqa: PLR2004  RFC 9110 §15.5: where errors begin
        kind = Denied if answer.status in _DENIALS else Unexpected
        raise kind(f"the server answered {answer.status}: {told(answer)}")
    if not answer.body:
        return {}
    try:
        value = orjson.loads(answer.body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Unexpected(f"the server answered {answer.status}, but no JSON object")
    return value


def told(answer: Answer) -> str:
    """Return what an error answer says to people (RFC 9457 `detail`, else `title`)."""
    try:
        problem = orjson.loads(answer.body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        return "no reason was given"
    reason = problem.get("detail") or problem.get("title") or "no reason was given"
    return str(reason)[:_MOST_SHOWN]
