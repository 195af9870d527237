"""Back-channel logout: tell a relying party that a session is over (OIDC Back-Channel Logout 1.0).

When the receiver is down or refuses, the job is tried again later, for a day; its relying party is
refused at its next check anyway.
"""

from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from pdp import metrics
from pdp.clock import new_id
from pdp.domain.client import Client
from pdp.jose.keys import KeyRing
from pdp.jose.tokens import sign_jwt
from pdp.outbound.client import Outbound, OutboundFailed, OutboundRefused
from pdp.runtime import Runtime
from pdp.store import exposures, jobs
from pdp.store.jobs import ClaimedJob
from pdp.usecases.follow_ups import DeliverLogout
from pdp.worker.result import Done, Failed, Result

TYPE: Final = "logout+jwt"
EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
#: A receiver that says "failed" (§2.8) says so again: a few tries are for what passes by.
TRIES_AFTER_REFUSAL: Final = 3


def deliver_logout(runtime: Runtime, job: ClaimedJob) -> Result:
    """Send the logout token, and note when it went out and when it was acknowledged."""
    logout = DeliverLogout.read(job.payload)
    with runtime.database.read() as tx:
        configuration = runtime.configurations.current(tx)
    client = configuration.clients.get(logout.receiver.client)
    uri = None if client is None else client.backchannel_logout_uri
    if client is None or uri is None:
        return _finish(runtime, job)
    sent_at = runtime.clock()
    token = logout_token(
        logout,
        client,
        configuration.keys,
        issuer=runtime.settings.issuer,
        life=runtime.settings.lifetimes.logout_token,
        now=sent_at,
    )
    failed = _post(runtime.outbound, uri, token)
    acknowledged_at = runtime.clock()
    with runtime.database.write() as tx:
        exposures.note_sent(tx, logout.receiver, sent_at)
        if failed is None:
            exposures.note_acknowledged(tx, logout.receiver, acknowledged_at)
            jobs.finish(tx, job.id)
    if failed is not None:
        metrics.logout_delivered(client.id, "failed")
        return failed
    metrics.logout_delivered(client.id, "delivered")
    metrics.signal_enforced(acknowledged_at - logout.receiver.committed_at)
    return Done(is_answered=True)


def count_given_up(receiver: str, count: int = 1) -> None:
    """Count logouts that will not reach `receiver` any more; nothing for a job of our own."""
    if receiver != jobs.NOBODY:
        metrics.logout_delivered(receiver, "given-up", count)


def logout_token(
    logout: DeliverLogout,
    client: Client,
    keys: KeyRing,
    *,
    issuer: str,
    life: timedelta,
    now: datetime,
) -> str:
    """Return the logout token (§2.4): with `sid` and `sub`, and never with a `nonce`."""
    claims = {
        "iss": issuer,
        "aud": client.id,
        "iat": int(now.timestamp()),
        "exp": int((now + life).timestamp()),
        "jti": new_id("lgt"),
        "events": {EVENT: {}},
        "sub": logout.subject,
        "sid": logout.receiver.session,
    }
    return sign_jwt(keys.signing_key(client.id_token_alg, now), claims, TYPE)


def _post(outbound: Outbound, uri: str, token: str) -> Failed | None:
    try:
        answer = outbound.post(
            uri,
            body=urlencode({"logout_token": token}).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
    except (OutboundFailed, OutboundRefused) as error:
        return Failed(str(error), receiver_is_down=True)
    if answer.status in {200, 204}:
        return None
    if answer.status == 400:  # noqa: PLR2004  §2.8
        return Failed(
            "the receiver answered 400: it could not log out",
            TRIES_AFTER_REFUSAL,
            is_answered=True,
        )
    return Failed(f"the receiver answered {answer.status}, not 200", receiver_is_down=True)


def _finish(runtime: Runtime, job: ClaimedJob) -> Result:
    """Nobody is to be told any more: the client is gone, or takes no logouts."""
    with runtime.database.write() as tx:
        jobs.finish(tx, job.id)
    return Done()
