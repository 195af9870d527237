"""Token-side endpoints as plain functions: bytes and headers in, answer out.

Each reads, decides and signs without a lock, then writes in one transaction, which first makes
sure that nothing has moved.

They know no web framework, so that the same handlers can stand behind any front door.
"""

import re
from collections.abc import Callable
from http import HTTPStatus

import orjson
from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Error

from pdp import logs, metrics
from pdp.domain.client import Client
from pdp.ephemeral.rate_limit import Limited
from pdp.oidc import client_auth
from pdp.oidc.again import keep_answer
from pdp.oidc.changes import Moved
from pdp.oidc.introspection import introspect as introspect_token
from pdp.oidc.request import JSON_HEADERS, Answer, Call, OidcRequest, Parameters
from pdp.oidc.revocation import revoke as revoke_token
from pdp.oidc.server import Server
from pdp.oidc.userinfo import Challenge
from pdp.oidc.userinfo import userinfo as claims_of
from pdp.store.database import Transaction
from pdp.usecases.configuration import Configuration

_FORM = "application/x-www-form-urlencoded"
_BEARER = "bearer "
_MOST_HEADER = 16 * 1024
#: Bytes; reading a form is work that nobody has proved anything for yet.
_MOST_FORM = 64 * 1024
#: b64token of RFC 6750 §2.1.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
#: How often a request is looked at anew because something moved under it.
_TRIES = 5


def token(server: Server, call: Call) -> Answer:
    """Answer `POST /token` (RFC 6749 §3.2)."""
    parameters = _parameters(call)
    if isinstance(parameters, Answer):
        return parameters
    answer = _settled(server, call, parameters, server.token)
    if answer.status == HTTPStatus.OK:
        metrics.token_issued(parameters.values["grant_type"])
    return _slowed(server, call, answer)


def introspect(server: Server, call: Call) -> Answer:
    """Answer `POST /introspect` (RFC 7662 §2)."""
    log = server.runtime.decision_log
    parameters = _parameters(call)
    if isinstance(parameters, Answer):
        return parameters
    if not log.is_writable:
        return unrecorded()

    def tell(request: OidcRequest) -> Answer:
        caller = _caller(server, request)
        answer = introspect_token(server.issuer, request, caller, log)
        body = orjson.dumps(answer.body).decode()
        keep_answer(server, request, call, caller=caller, answer=answer, body=body)
        return Answer(200, body, list(JSON_HEADERS))

    return _slowed(server, call, _settled(server, call, parameters, tell))


def revoke(server: Server, call: Call) -> Answer:
    """Answer `POST /revoke` (RFC 7009 §2)."""
    parameters = _parameters(call)
    if isinstance(parameters, Answer):
        return parameters

    def end(request: OidcRequest) -> Answer:
        caller = client_auth.authenticate(
            request, issuer=server.issuer.issuer, pepper=server.pepper
        )
        revoke_token(server.issuer, request, caller)
        return Answer(200, "{}", list(JSON_HEADERS))

    return _slowed(server, call, _settled(server, call, parameters, end))


def userinfo(server: Server, call: Call) -> Answer:
    """Answer `POST /userinfo` (OpenID Connect Core §5.3): the token comes in header or form."""
    if call.authorization is None:
        return _userinfo(server, call, _bearer_of_body(call))
    return userinfo_by_get(server, call)


def userinfo_by_get(server: Server, call: Call) -> Answer:
    """Answer `GET /userinfo`: the token comes in the header alone (RFC 6750 §2.2)."""
    return _userinfo(server, call, _bearer_of_header(call))


def _userinfo(server: Server, call: Call, bearer: str | None) -> Answer:
    if bearer is None:
        return Answer(401, "{}", [*JSON_HEADERS, ("WWW-Authenticate", "Bearer")])
    log = server.runtime.decision_log
    if not log.is_writable:
        return unrecorded()

    def tell(request: OidcRequest) -> Answer:
        answer = claims_of(server.issuer, request, bearer, log)
        if isinstance(answer, Challenge):
            status = 403 if answer.error == "insufficient_scope" else 401
            body = orjson.dumps({"error": answer.error}).decode()
            return Answer(status, body, [*JSON_HEADERS, ("WWW-Authenticate", answer.header)])
        return Answer(200, orjson.dumps(answer).decode(), list(JSON_HEADERS))

    return _settled(server, call, Parameters({}), tell)


def _settled(
    server: Server,
    call: Call,
    parameters: Parameters,
    respond: Callable[[OidcRequest], Answer],
) -> Answer:
    """Answer on what the database says now, then write what the answer changes.

    An answer that rests on something that moved meanwhile is thrown away, and the request is
    looked at anew. Where that happens again and again: 503, and nothing was written.
    """
    configurations = server.runtime.configurations
    for attempt in range(_TRIES):
        if attempt:
            logs.forget("decision")
        with server.runtime.database.read() as tx:
            # The one at hand may be out of date: then the first attempt finds that out.
            configuration = configurations.current(tx) if attempt else configurations.at_hand(tx)
            request = _request(server, call, parameters, tx, configuration)
            answer = _respond(server, request, respond)
        if answer is None:
            continue
        if answer.status == HTTPStatus.UNAUTHORIZED:
            # A failed authentication uses nothing up.
            return answer
        if not request.changes or request.changes.carry_out(server.runtime.database):
            return answer
    return Answer(503, '{"error":"temporarily_unavailable"}', [*JSON_HEADERS, ("Retry-After", "1")])


def _respond(
    server: Server, request: OidcRequest, respond: Callable[[OidcRequest], Answer]
) -> Answer | None:
    """Return the answer; None if the configuration at hand turned out not to be in force."""
    configurations = server.runtime.configurations
    try:
        answer = respond(request)
    except Moved:
        return None
    except OAuth2Error as error:
        answer = server.refuse(request, error)
    if request.is_confirmed or configurations.current(request.tx) is request.configuration:
        return answer
    return None


def _slowed(server: Server, call: Call, answer: Answer) -> Answer:
    """Count a failed client authentication; beyond the limit of its address answer 429.

    Right credentials are never slowed down: secrets are random and cannot be guessed, and
    anybody could lock a client out who shares its address, as all do behind a proxy.
    """
    if answer.status != HTTPStatus.UNAUTHORIZED:
        return answer
    runtime = server.runtime
    limits = runtime.settings.signin
    limited = runtime.rate_limiter.hit(
        f"client-authentication:{call.address}",
        limit=limits.client_attempts,
        window=limits.window,
        now=runtime.clock(),
    )
    if not isinstance(limited, Limited):
        return answer
    seconds = max(1, int(limited.retry_after.total_seconds()))
    return Answer(
        429, '{"error":"temporarily_unavailable"}', [*JSON_HEADERS, ("Retry-After", str(seconds))]
    )


def unrecorded() -> Answer:
    """Answer 503 while checks cannot be recorded: what nobody can account for is not allowed."""
    return Answer(
        503,
        '{"error":"temporarily_unavailable"}',
        [*JSON_HEADERS, ("Retry-After", "5")],
    )


def _caller(server: Server, request: OidcRequest) -> Client:
    """Return the authenticated caller; RFC 7662 §2.1: a client that proves nothing is none."""
    caller = client_auth.authenticate(request, issuer=server.issuer.issuer, pepper=server.pepper)
    if request.auth_method == "none":
        raise client_auth.failure()
    return caller


def _parameters(call: Call) -> Parameters | Answer:
    """Read the form; credentials and tokens are taken from the body alone."""
    if call.content_type.partition(";")[0].strip().lower() != _FORM:
        return _malformed(f"Send a form: Content-Type {_FORM}.")
    if call.authorization is not None and len(call.authorization) > _MOST_HEADER:
        return _malformed("The Authorization header is too long.")
    if len(call.body) > _MOST_FORM:
        return _malformed("The form is too long.")
    try:
        parameters = Parameters.parse(call.body.decode())
    except (UnicodeDecodeError, ValueError):
        return _malformed("The form cannot be read.")
    if parameters.repeated:
        return _malformed("A parameter came twice.")
    return parameters


def _malformed(description: str) -> Answer:
    status, body, headers = InvalidRequestError(description)()
    return Answer(status, orjson.dumps(body).decode(), list(headers))


def _request(
    server: Server,
    call: Call,
    parameters: Parameters,
    tx: Transaction,
    configuration: Configuration,
) -> OidcRequest:
    return OidcRequest(
        "POST",
        parameters,
        authorization=call.authorization,
        address=call.address,
        tx=tx,
        configuration=configuration,
        now=server.runtime.clock(),
    )


def _bearer_of_header(call: Call) -> str | None:
    """Return the bearer token of the header (RFC 6750 §2.1); None if it is not spelled exactly."""
    header = call.authorization or ""
    scheme, token = header[: len(_BEARER)], header[len(_BEARER) :]
    return token if scheme.lower() == _BEARER and _TOKEN.fullmatch(token) else None


def _bearer_of_body(call: Call) -> str | None:
    """Return the bearer token of a form (RFC 6750 §2.2)."""
    if call.content_type.partition(";")[0].strip().lower() != _FORM:
        return None
    if len(call.body) > _MOST_FORM:
        return None
    try:
        parameters = Parameters.parse(call.body.decode())
    except (UnicodeDecodeError, ValueError):
        return None
    return None if parameters.repeated else parameters.values.get("access_token")
