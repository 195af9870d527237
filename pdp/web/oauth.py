"""Protocol endpoints that clients call: thin doors before `oidc.endpoints`."""

import orjson
from flask import Blueprint, Response, request

from pdp.oidc import discovery, endpoints
from pdp.oidc.request import Answer, Call
from pdp.web.context import client_address, runtime, server

blueprint = Blueprint("oauth", __name__)

#: Public documents change with keys and resources only; relying parties may keep them a while.
_CACHE = "public, max-age=300"


@blueprint.post("/token")
def token() -> Response:
    """RFC 6749 §3.2."""
    return respond(endpoints.token(server(), _call()))


@blueprint.post("/introspect")
def introspect() -> Response:
    """RFC 7662 §2."""
    return respond(endpoints.introspect(server(), _call()))


@blueprint.post("/revoke")
def revoke() -> Response:
    """RFC 7009 §2."""
    return respond(endpoints.revoke(server(), _call()))


@blueprint.post("/userinfo")
def userinfo() -> Response:
    """OpenID Connect Core §5.3, with the token in header or form."""
    return respond(endpoints.userinfo(server(), _call()))


@blueprint.get("/userinfo")
def userinfo_by_get() -> Response:
    """OpenID Connect Core §5.3, with the token in the header."""
    return respond(endpoints.userinfo_by_get(server(), _call()))


@blueprint.get("/jwks")
def jwks() -> Response:
    """Public keys (RFC 7517), next ones included, so that caches know them in time."""
    with runtime().database.read() as tx:
        configuration = runtime().configurations.current(tx)
    return _public(configuration.keys.public_jwks())


@blueprint.get("/.well-known/openid-configuration")
@blueprint.get("/.well-known/oauth-authorization-server")
def metadata() -> Response:
    """OpenID Connect Discovery 1.0 §4, RFC 8414 §3."""
    with runtime().database.read() as tx:
        configuration = runtime().configurations.current(tx)
    return _public(discovery.metadata(runtime().settings.issuer, configuration.resources))


def respond(answer: Answer) -> Response:
    """Send a protocol answer through Flask."""
    return Response(answer.body, status=answer.status, headers=answer.headers)


def _call() -> Call:
    return Call(
        body=request.get_data(cache=False),
        content_type=request.headers.get("Content-Type", ""),
        authorization=request.headers.get("Authorization"),
        address=client_address(),
    )


def _public(document: object) -> Response:
    response = Response(orjson.dumps(document), content_type="application/json")
    response.headers["Cache-Control"] = _CACHE
    # Browser applications read these from other origins; there is nothing secret in them.
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response
