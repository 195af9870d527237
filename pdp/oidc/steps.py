"""The steps that token endpoints add to a request's changes, each in the words of what it does."""

from datetime import datetime
from functools import partial

from pdp import metrics
from pdp.domain.events import Action, Event
from pdp.domain.ids import DecisionId, GrantId
from pdp.domain.session import EndReason
from pdp.oidc.issue import NewRefreshToken
from pdp.oidc.request import OidcRequest
from pdp.store import audit, decisions, exposures, grants, standings, tokens
from pdp.store.database import Transaction
from pdp.store.standings import Held
from pdp.usecases import decide_access
from pdp.usecases.decide_access import Judged


def stand_on(request: OidcRequest, held: Held) -> None:
    """Write what follows only if the decision's facts have not moved."""
    generation = request.configuration.generation
    request.changes.then(partial(standings.still_stands, held=held, generation=generation))


def record(request: OidcRequest, judged: Judged) -> None:
    """Record a decision with what it allows or refuses."""
    decision_id, row = decide_access.record_row(judged)

    def keep(tx: Transaction) -> bool:
        decisions.append(tx, row)
        exposures.note_decision(tx, row, judged.session)
        return True

    request.changes.then(keep)
    note_break_glass(request, decision_id, judged)


def note_break_glass(request: OidcRequest, decision_id: DecisionId, judged: Judged) -> None:
    """Leave an audit row where the decision let a break-glass person in past an error."""
    if not judged.decision.fail_open:
        return

    def note(tx: Transaction) -> bool:
        decide_access.note_break_glass(tx, decision_id, judged)
        return True

    request.changes.then(note)


def keep_first(request: OidcRequest, refresh: NewRefreshToken, grant_id: GrantId) -> None:
    """Keep the first refresh token of a family."""
    now = request.now

    def keep(tx: Transaction) -> bool:
        tokens.insert_refresh(
            tx, refresh.token, grant_id, generation=0, now=now, expires_at=refresh.expires_at
        )
        return True

    request.changes.then(keep)


def narrow(request: OidcRequest, grant_id: GrantId, ends: datetime) -> None:
    """Bring the family's absolute end forward to `ends` (UTC)."""

    def bring_forward(tx: Transaction) -> bool:
        grants.narrow(tx, grant_id, ends)
        return True

    request.changes.then(bring_forward)


def end_family(
    request: OidcRequest,
    grant_id: GrantId,
    reason: EndReason,
    action: Action,
    *,
    actor: str = "server",
) -> None:
    """Revoke a grant with all its tokens, and say in the audit log who did and why."""
    now = request.now

    def end(tx: Transaction) -> bool:
        if grants.revoke_grant(tx, grant_id, reason, now):
            audit.append(
                tx,
                Event(
                    at=now,
                    actor=actor,
                    action=action,
                    kind="grant",
                    object_id=grant_id,
                    detail={"reason": reason.value},
                ),
            )
        return True

    if reason is EndReason.REUSE:
        metrics.refresh_reuse_detected()
    elif reason is EndReason.CODE_REPLAYED:
        metrics.code_replay_detected()
    request.changes.then(end)
