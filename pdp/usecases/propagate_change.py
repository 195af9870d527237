"""The PA: what a device's change means for everybody who let it in.

Each live grant on the device is decided on as of now. Only what is stricter than what was last
carried out needs an act: remediate tells the relying party to end its session and keeps ours,
block ends ours and every grant given from it. Step-up and restricted narrow with the next check.
"""

from datetime import datetime
from typing import assert_never

from pdp.domain.access import Channel, Outcome
from pdp.domain.ids import SessionId
from pdp.domain.session import EndReason
from pdp.store import exposures, grants, sessions
from pdp.store.database import Transaction
from pdp.store.grants import LiveGrant
from pdp.store.standings import live_on_device
from pdp.usecases.configuration import Configuration
from pdp.usecases.decide_access import judge_held
from pdp.usecases.follow_ups import PropagateChange
from pdp.usecases.revoke_access import end_grants, note_session_ended, tell_relying_parties

ACTOR = "pratique:propagation"


def propagate_change(
    tx: Transaction, change: PropagateChange, configuration: Configuration, *, now: datetime
) -> None:
    """Carry out what follows from a change; safe to repeat."""
    committed_at = change.origin.committed_at
    cut_off: list[LiveGrant] = []
    ended: set[SessionId] = set()
    measured = exposures.opened_by(tx, change.device, committed_at)
    for grant, held in live_on_device(tx, change.device, now=now):
        standing = None if grant.session in ended else held
        judged = judge_held(tx, standing, Channel.SESSION, configuration, now=now)
        # None: revoked by an earlier turn of this loop, or its person or client is shut out.
        outcome = Outcome.BLOCK if judged is None else judged.decision.outcome
        if outcome is Outcome.BLOCK:
            ended.add(grant.session)
        if outcome > Outcome.RESTRICTED:
            exposures.note_denied(tx, change.device, grant.session, grant.client, now)
        if outcome <= max(grant.outcome, Outcome.RESTRICTED) and grant.id in measured:
            exposures.dismiss(tx, grant.id, committed_at)
        cut_off += _carry_out(tx, grant, outcome, now=now)
    # A session from which nothing was granted yet has no grant that would speak for it.
    for session_id in sessions.live_on_blocked_device(tx, change.device, now=now):
        cut_off += _end_session_and_grants(tx, session_id, now=now)
    tell_relying_parties(tx, cut_off, configuration, committed_at=committed_at, now=now)


def _end_session_and_grants(
    tx: Transaction, session_id: SessionId, *, now: datetime
) -> list[LiveGrant]:
    """End our session and revoke every grant given from it; return the grants that ended.

    A session that the person has signed out of may have left grants for offline access behind.
    """
    reason = EndReason.BLOCKED
    cut_off = end_grants(tx, session_id, reason, now=now)
    if sessions.end_session(tx, session_id, reason, now):
        note_session_ended(tx, session_id, reason, cut_off, actor=ACTOR, now=now)
    return cut_off


def _carry_out(
    tx: Transaction, grant: LiveGrant, outcome: Outcome, *, now: datetime
) -> list[LiveGrant]:
    """Do what the outcome means; return the grants whose relying parties must hear of it."""
    if outcome is not grant.outcome:
        grants.note_outcome(tx, grant.id, outcome)
    match outcome:
        case Outcome.FULL | Outcome.RESTRICTED | Outcome.STEP_UP:
            return []
        case Outcome.REMEDIATE:
            return [grant] if grant.outcome < Outcome.REMEDIATE else []
        case Outcome.BLOCK:
            return _end_session_and_grants(tx, grant.session, now=now)
        case _:
            assert_never(outcome)
