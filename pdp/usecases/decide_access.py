"""The PDP: gather, evaluate, record. Every channel's answer comes from here.

A disabled person or client and a revoked or expired grant never reach the policies: there is
nothing to decide on. Everything else is the policies' to say, through one pure function.
"""

import time
from dataclasses import dataclass
from datetime import datetime

from pdp import logs, metrics
from pdp.clock import new_row_id
from pdp.domain.access import Channel, Decision, Facts
from pdp.domain.events import Action, Event
from pdp.domain.ids import DecisionId, SessionId
from pdp.policy.evaluate import evaluate
from pdp.store import audit, decisions, exposures
from pdp.store.database import Transaction, Value
from pdp.store.decision_log import DecisionLog, Key
from pdp.store.standings import Held
from pdp.usecases.configuration import Configuration
from pdp.usecases.gather_facts import facts_of_grant


@dataclass(frozen=True, slots=True)
class Judged:
    """A decision beside the facts it saw; it has happened once it is recorded.

    `session` is the sign-in that it was about: None where no person takes part.
    """

    facts: Facts
    decision: Decision
    session: SessionId | None


def judge(configuration: Configuration, facts: Facts, session: SessionId | None) -> Judged:
    """Decide on facts, of a session if a person takes part, and count that it was done."""
    started = time.perf_counter()
    decision = evaluate(configuration.bundle, facts)
    metrics.decided(facts.channel, decision.outcome.wire, time.perf_counter() - started)
    if decision.fail_open:
        metrics.failed_open()
    return Judged(facts, decision, session)


def count_again(judged: Judged, decision_id: DecisionId) -> None:
    """Count a decision that was taken before on the same facts, and answered again."""
    note_line(judged, decision_id)
    metrics.decided_again(judged.facts.channel, judged.decision.outcome.wire)
    if judged.decision.fail_open:
        metrics.failed_open()


def judge_held(
    tx: Transaction,
    held: Held | None,
    channel: Channel,
    configuration: Configuration,
    *,
    now: datetime,
    scopes: frozenset[str] | None = None,
) -> Judged | None:
    """Decide on a grant as its rows stand, as of now, for `scopes` or all that was granted.

    None when nothing may hang on the grant any more, whatever policies say: it is revoked or
    over, or its person or client is disabled or gone.
    """
    if held is None:
        return None
    grant, standing = held.grant, held.standing
    client = configuration.clients.get(grant.client)
    if (
        grant.revoked_at is not None
        or now >= grant.expires_at
        or standing.disabled
        or client is None
        or client.disabled
    ):
        return None
    facts = facts_of_grant(
        tx,
        grant,
        standing,
        client,
        configuration.rules,
        channel=channel,
        scopes=frozenset(grant.scope) if scopes is None else scopes,
        now=now,
    )
    return judge(configuration, facts, grant.session)


def record(tx: Transaction, judged: Judged) -> DecisionId:
    """Record a decision in the transaction that carries it out; return its id."""
    decision_id, row = record_row(judged)
    decisions.append(tx, row)
    exposures.note_decision(tx, row, judged.session)
    note_break_glass(tx, decision_id, judged)
    return decision_id


def record_row(judged: Judged) -> tuple[DecisionId, dict[str, Value]]:
    """Return a decision's id and row, for whoever writes it together with something else.

    The decision of a break-glass person needs `note_break_glass` beside it.
    """
    decision_id = DecisionId(new_row_id("dec"))
    note_line(judged, decision_id)
    return decision_id, decisions.row_of(decision_id, judged.facts, judged.decision)


def note_line(judged: Judged, decision_id: DecisionId) -> None:
    """Name a decision in the log line of the request.

    And the client: the one that asks, where it was authenticated, else the one it is about.
    """
    logs.note_once("client", judged.facts.client.id)
    logs.note("decision", decision_id)


def note_break_glass(tx: Transaction, decision_id: DecisionId, judged: Judged) -> None:
    """Leave an audit row if the decision let a break-glass person in past an error."""
    if judged.decision.fail_open and judged.facts.subject is not None:
        audit.append(
            tx,
            Event(
                at=judged.facts.now,
                actor=judged.facts.subject.id,
                action=Action.BREAK_GLASS_USED,
                kind="subject",
                object_id=judged.facts.subject.id,
                detail={"decision": decision_id, "channel": judged.facts.channel.value},
            ),
        )


def record_in_group(log: DecisionLog, judged: Judged, *, token: str, subject_epoch: int) -> Key:
    """Record a check that issues nothing: within a second, equal allows counted on one row.

    Returns the key under which an equal answer is counted.
    """
    facts, decision = judged.facts, judged.decision
    key: Key = (
        token,
        facts.channel,
        decision.outcome,
        decision.policy_version,
        subject_epoch,
        None if facts.device is None else facts.device.epoch,
        None if facts.device is None else facts.device.compliance,
    )
    known = log.count(key)
    if known is None:
        decision_id, row = record_row(judged)
        log.append(decision_id, row, session=judged.session, key=key)
    else:
        note_line(judged, known)
    return key
