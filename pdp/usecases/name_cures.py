"""What would let a person in whom a decision kept out: for each of its reasons, what is to be done.

For administrators: it names detections and policies, which the remediation page keeps from people.
It looks at device and person as they are now: what was mended since is no longer asked for.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from pdp.domain.access import DeviceFacts, Outcome, Reason
from pdp.domain.compliance import Cause
from pdp.domain.errors import NotFound
from pdp.domain.session import ACR_ORDER
from pdp.domain.task import SecurityTask
from pdp.policy.errors import MalformedPolicy
from pdp.policy.explain import ConditionTrace
from pdp.policy.reader import spell_duration
from pdp.policy.rules import Rules, remediation_for
from pdp.policy.rules_document import parse_rules
from pdp.store import devices, documents, subjects, tasks
from pdp.store.database import Transaction
from pdp.store.devices import StoredDevice
from pdp.store.documents import DocumentKind
from pdp.usecases.explain_decision import ExplainedDecision
from pdp.usecases.reassess_device import assessment_at

#: What of a device's story is shown with a decision: most causes are younger than a day, and the
#: minute that the decision fell into is over then.
_BEFORE: Final = timedelta(days=1)
_AFTER: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cure:
    """What to do about one reason of a decision, a sentence for each thing."""

    reason: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    tx: Transaction
    explained: ExplainedDecision
    now: datetime


def name_cures(tx: Transaction, explained: ExplainedDecision, *, now: datetime) -> tuple[Cure, ...]:
    """Return a cure for each reason of a decision; none for one that gave all."""
    if explained.record.outcome is Outcome.FULL:
        return ()
    case = _Case(tx=tx, explained=explained, now=now)
    return tuple(
        Cure(reason=reason, steps=(*_own_steps(case, reason), *_policy_steps(explained, reason)))
        for reason in explained.record.reasons
    )


def _own_steps(case: _Case, reason: str) -> Iterator[str]:
    """Yield what the reason by itself asks for, whichever policy named it."""
    if (step := _FIXED.get(reason)) is not None:
        yield step
    elif (steps := _LOOKED_UP.get(reason)) is not None:
        yield from steps(case)


def _policy_steps(explained: ExplainedDecision, reason: str) -> Iterator[str]:
    """Yield what each policy that decided looked at for this reason, and its own message."""
    if explained.explanation is None:
        yield f"the policies of its time are not stored here: {' '.join(explained.record.matched)}"
        return
    for trace in explained.explanation.trace:
        if trace.id not in explained.record.matched:
            continue
        told = [
            f"policy {trace.id} applies while {asked.name} {_words(asked.spec)} is"
            f" {asked.answer.name.lower()}: it saw {asked.seen}"
            for condition in trace.conditions
            for asked in _questions(condition)
            if asked.reason == reason
        ]
        if told and trace.message:
            told.append(f"policy {trace.id} says: {trace.message}")
        yield from told


def _questions(condition: ConditionTrace) -> Iterator[ConditionTrace]:
    if not condition.parts:
        yield condition
    for part in condition.parts:
        yield from _questions(part)


def _words(spec: object) -> str:
    match spec:
        case list():
            return "[" + ", ".join(_words(each) for each in spec) + "]"
        case dict():
            return "{" + ", ".join(f"{name}: {_words(each)}" for name, each in spec.items()) + "}"
        case _:
            return str(spec)


def _device(case: _Case) -> tuple[DeviceFacts | None, StoredDevice | None]:
    seen = case.explained.record.facts.device
    if seen is None or seen.id is None:
        return seen, None
    return seen, devices.load_stored(case.tx, seen.id)


def _health(case: _Case) -> Iterator[str]:
    """Yield each open cause on the device, with the steps that its owner reads."""
    _, stored = _device(case)
    if stored is None:
        yield from _identification(case)
        return
    rules = _rules_in_force(case.tx)
    health = stored.assessment if rules is None else assessment_at(stored, rules, case.now)
    open_tasks = tasks.open_of_device(case.tx, stored.device.id)
    for cause in health.causes:
        yield _open_cause(cause, open_tasks, rules, stored.device.platform)
    if not health.causes:
        yield (
            f"nothing is open on the device now: it is {health.status.value}, its risk"
            f" {health.risk.value}"
        )
        yield f"what was open then is told by {_story(stored, case.explained.record.at)}"


def _story(stored: StoredDevice, decided_at: datetime) -> str:
    """Return the command that shows what happened to the device before a decision."""
    since, until = (
        f"{each.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
        for each in (decided_at - _BEFORE, decided_at + _AFTER)
    )
    return f"pdp device show {stored.device.id} --since {since} --until {until}"


def _open_cause(
    cause: Cause, open_tasks: list[SecurityTask], rules: Rules | None, platform: str | None
) -> str:
    words = None if rules is None else remediation_for(rules, cause, platform=platform)
    task = next(
        (
            each.code
            for each in open_tasks
            if (each.rule, each.source, each.attribute)
            == (cause.rule, cause.source, cause.attribute)
        ),
        cause.rule,
    )
    title = cause.title or ("" if words is None else words.title) or cause.rule
    steps = "" if words is None else " ".join(words.steps)
    grace = "" if cause.grace_until is None else f" (grace until {cause.grace_until.isoformat()})"
    return f"{task}: {title}, says {cause.source or 'nobody'}{grace}. {steps}".rstrip()


def _rules_in_force(tx: Transaction) -> Rules | None:
    """Return the rules; None where they do not parse, when whoever asks needs an answer most."""
    found = documents.active(tx, DocumentKind.COMPLIANCE)
    if found is None:
        return None
    version, text = found
    try:
        return replace(parse_rules(text, file="compliance rules in force"), version=version)
    except MalformedPolicy:
        return None


def _block(case: _Case) -> Iterator[str]:
    _, stored = _device(case)
    block = None if stored is None else stored.device.block
    if stored is None or block is None:
        yield "the device is not blocked now: try again"
        return
    yield (
        f"an administrator blocked the device ({block.reason}): once that is settled,"
        f" pdp device unblock {stored.device.id}"
    )


def _identification(case: _Case) -> Iterator[str]:
    seen, stored = _device(case)
    if seen is None:
        yield "no device takes part in this grant: a policy for machines must not ask for one"
    elif stored is None:
        yield "the browser showed no device known here: enrol it (pdp device enrol-token USER)"
        yield (
            "if it is enrolled, have it answer the code that the page shows: on the device,"
            " pdp device assert --code CODE"
        )
    else:
        yield (
            f"the device was known by {seen.strength.value} evidence: enrol a key or a certificate"
            f" for it (pdp device enrol-token USER --device {stored.device.id})"
        )


def _authentication(case: _Case) -> Iterator[str]:
    facts, explanation = case.explained.record.facts, case.explained.explanation
    wanted = None if explanation is None else explanation.decision.step_up
    if wanted is None:
        return
    fresh = (
        "" if wanted.max_age is None else f", no longer than {spell_duration(wanted.max_age)} ago"
    )
    reached = "nothing" if facts.authentication is None else facts.authentication.acr
    yield f"sign in with acr {wanted.acr} or stronger{fresh}; the session had {reached}"
    if facts.subject is None or ACR_ORDER.index(wanted.acr) == 0:
        return
    with suppress(NotFound):
        person = subjects.get(case.tx, facts.subject.id)
        if not person.has_factor:
            yield (
                f"{person.username} has no second factor: it is set up on the account page, from"
                " a compliant device"
            )


_FIXED: Final[Mapping[str, str]] = {
    Reason.NO_POLICY_MATCHED: (
        "no policy applied, so the bundle's default did: publish one that opens for this"
    ),
    Reason.POLICY: "a policy that decides so always: publish policies in which it asks for less",
    Reason.EMPTY_RESTRICTION: (
        "the restrictions of the policies leave no scope together: let them share one, or let the"
        " client ask for one that they leave"
    ),
}
_LOOKED_UP: Final[Mapping[str, Callable[[_Case], Iterator[str]]]] = {
    Reason.DEVICE_COMPLIANCE: _health,
    Reason.DEVICE_RISK: _health,
    Reason.DEVICE_BLOCKED: _block,
    Reason.IDENTIFICATION_STRENGTH: _identification,
    Reason.AUTHENTICATION: _authentication,
}
