"""Introspection in the same words as before: only the marks are asked for."""

from datetime import UTC, datetime

from pdp import logs
from pdp.domain.access import Channel
from pdp.domain.client import Client
from pdp.domain.ids import GrantId
from pdp.oidc.answered import Answered, question_of
from pdp.oidc.introspection import Introspected
from pdp.oidc.request import JSON_HEADERS, Answer, Call, OidcRequest
from pdp.oidc.server import Server
from pdp.store.at_once import NotAtOnce, Reader
from pdp.store.standings import MARKS_OF_TOKEN, TokenMarks
from pdp.usecases.decide_access import count_again

#: Bytes of one that is answered on the event loop, whatever it is about: no token needs more, and
#: reading a form takes time.
LARGEST_QUESTION = 8 * 1024
#: An assertion is used up; who proves nothing may not ask.
_KEPT_METHODS = frozenset({"client_secret_basic", "client_secret_post"})


def keep_answer(
    server: Server,
    request: OidcRequest,
    call: Call,
    *,
    caller: Client,
    answer: Introspected,
    body: str,
) -> None:
    """Remember an answer that follows from the token's claims and from a remembered decision.

    From the one that it was worded on: by now, another may be remembered of the same token. For as
    long as the token lives, and every secret of the caller: which of them it presented is not known
    here.
    """
    claims, decision = answer.claims, answer.remembered
    if claims is None or decision is None or request.auth_method not in _KEPT_METHODS:
        return
    if len(call.body) > LARGEST_QUESTION:
        return
    ends = [
        secret.expires_at
        for secret in caller.secrets
        if secret.expires_at is not None and secret.expires_at > request.now
    ]
    server.issuer.answered.keep(
        question_of(call.authorization, call.content_type, call.body),
        Answered(
            body=body,
            client=caller.id,
            jti=str(claims["jti"]),
            grant=None if "gid" not in claims else GrantId(str(claims["gid"])),
            decision=decision,
            configuration=request.configuration,
            since=request.now,
            until=min([datetime.fromtimestamp(int(str(claims["exp"])), UTC), *ends]),
        ),
    )


async def answer_again(server: Server, reader: Reader, call: Call) -> Answer | None:
    """Answer what was answered before to this very question; None if anything may have moved.

    Nothing was done then: the question is to be answered from the beginning.
    """
    known = _asked_before(server, call)
    if known is None:
        return None
    try:
        row = await reader.ask(MARKS_OF_TOKEN, {"jti": known.jti, "grant_id": known.grant})
    except NotAtOnce:
        return None
    if row is None or TokenMarks(row) != known.decision.marks:
        return None
    decision_id = server.runtime.decision_log.count(known.decision.log_key)
    if decision_id is None:
        return None
    logs.note("client", known.client)
    count_again(known.decision.judged, decision_id)
    return Answer(200, known.body, list(JSON_HEADERS))


def _asked_before(server: Server, call: Call) -> Answered | None:
    """Return what was answered, if only the database can have moved since."""
    runtime, issuer = server.runtime, server.issuer
    now = runtime.clock()
    question = question_of(call.authorization, call.content_type, call.body)
    known = issuer.answered.find(question, now)
    if known is None or not runtime.decision_log.is_writable:
        return None
    if known.configuration is not runtime.configurations.latest:
        return None
    decided = issuer.decided.find((known.jti, Channel.INTROSPECTION), now)
    return known if decided is known.decision else None
