"""The door of signal sources: a thin blueprint before `receive_webhook`."""

from typing import Any, Final

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from pdp.domain.ids import SourceId
from pdp.web.context import client_address, runtime
from pdp.web.receive_webhook import Request, receive_webhook, too_large

_OF_THE_BODY: Final = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}

blueprint = Blueprint("webhooks", __name__)


@blueprint.post("/webhooks/<source>")
def receive(source: str) -> Response:
    """Take one delivery of a source (docs/signals.md)."""
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        answer = too_large(runtime().settings.server.max_body_bytes)
    else:
        answer = receive_webhook(
            runtime(),
            Request(
                source=SourceId(source),
                headers=headers_of(request.environ),
                body=body,
                address=client_address(),
            ),
        )
    return Response(
        answer.body,
        status=answer.status,
        content_type=answer.content_type,
        headers=dict(answer.headers),
    )


def headers_of(environ: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return every header of a request in lower case, with its value: WSGI has one of each name."""
    headers: dict[str, tuple[str, ...]] = {
        key.removeprefix("HTTP_").replace("_", "-").lower(): (value,)
        for key, value in environ.items()
        if key.startswith("HTTP_")
    }
    for name, key in _OF_THE_BODY.items():
        headers.pop(name, None)  # PEP 3333 knows these two without the prefix only
        if environ.get(key):
            headers[name] = (environ[key],)
    return headers
