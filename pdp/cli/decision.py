"""`pdp decision`: what was decided, and why."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

import click

from pdp.cli.context import pass_runtime
from pdp.cli.invocation import Output, current
from pdp.cli.output import lines_of, printable, say, show
from pdp.cli.parameters import in_period, period
from pdp.cli.people import find_pseudonym
from pdp.domain.access import Facts, Outcome
from pdp.domain.errors import NotFound
from pdp.domain.ids import ClientId, DeviceId, SubjectId
from pdp.policy.explain import ConditionTrace, Explanation, PolicyTrace
from pdp.runtime import Runtime
from pdp.store import clients, decisions, devices, subjects
from pdp.store.database import Transaction
from pdp.store.decisions import DecisionRecord, facts_out
from pdp.usecases.explain_decision import ExplainedDecision, explain_decision
from pdp.usecases.name_cures import Cure, name_cures


@click.group()
def decision() -> None:
    """Look at stored decisions."""


@decision.command("list")
@click.option("--subject", default="", help="Only about this person: username, or `usr_…`.")
@click.option("--device", "device_id", default="", help="Only decisions about this device.")
@click.option("--client", "client_id", default="", help="Only decisions for this client.")
@click.option("--outcome", type=click.Choice([outcome.wire for outcome in Outcome]), default=None)
@click.option("--count", type=click.IntRange(1, 1000), default=20, show_default=True)
@in_period
@pass_runtime
def list_decisions(  # noqa: PLR0917  each option is one filter
    runtime: Runtime,
    subject: str,
    device_id: str,
    client_id: str,
    outcome: str | None,
    count: int,
    since: datetime | timedelta | None,
    until: datetime | timedelta | None,
) -> None:
    """List the newest decisions, and the policies that each follows."""
    wanted = period(since, until, runtime.clock())
    with runtime.database.read() as tx:
        found = decisions.recent(
            tx,
            subject_id=find_pseudonym(tx, subject) if subject else "",
            device_id=device_id,
            client_id=client_id,
            outcome=outcome or "",
            period=wanted,
            count=count,
        )
        people = _people(tx, found)
        if client_id and not found and ClientId(client_id) not in clients.load_all(tx):
            raise NotFound("client", client_id)
        if device_id and not found and not devices.exists(tx, DeviceId(device_id)):
            raise NotFound("device", device_id)
    show(
        [
            {
                "id": each.id,
                "at": each.at,
                "channel": each.facts.channel,
                "client": each.facts.client.id,
                "user": _named(each.facts, people),
                "device": each.facts.device.id if each.facts.device else None,
                "outcome": each.outcome.wire,
                "policies": each.matched,
                "reasons": each.reasons,
                "repeats": each.repeats,
            }
            for each in found
        ]
    )
    if subject and not found:
        say(
            "sign-ins that failed before a decision (password, code, account disabled) are in"
            f" `pdp audit list --user {subject}`"
        )


@decision.command("show")
@click.argument("decision_id", metavar="ID")
@pass_runtime
def show_decision(runtime: Runtime, decision_id: str) -> None:
    """Explain the decision ID: its facts, what each condition of each policy saw, what would help.

    What would help is told from what is known of device and person now.
    """
    with runtime.database.read() as tx:
        explained = explain_decision(tx, decision_id)
        people = _people(tx, [explained.record])
        cures = name_cures(tx, explained, now=runtime.clock())
    record, facts = _record(explained.record, people), _facts(explained.record.facts)
    if current().output is not Output.TABLE:
        traces = _traces(explained.explanation)
        show({**record, "facts": facts, "policies": traces, "cures": _cures(cures)})
    else:
        show({**record, "facts": lines_of(facts)})
        _tell_trace(explained.explanation)
        _tell_cures(cures)
    _warn(explained)


def _people(tx: Transaction, records: Iterable[DecisionRecord]) -> dict[SubjectId, str]:
    """Return the usernames of the people of these decisions who still have one."""
    ids = {each.facts.subject.id for each in records if each.facts.subject is not None}
    return subjects.usernames(tx, ids)


def _named(facts: Facts, people: Mapping[SubjectId, str]) -> str | None:
    """Return the name of the person of a decision; the pseudonym of one who was erased."""
    return None if facts.subject is None else people.get(facts.subject.id, facts.subject.id)


def _record(record: DecisionRecord, people: Mapping[SubjectId, str]) -> dict[str, object]:
    return {
        "id": record.id,
        "at": record.at,
        "user": _named(record.facts, people),
        "outcome": record.outcome.wire,
        "reasons": record.reasons,
        "matched": record.matched,
        "report_only": [f"{policy}: {outcome}" for policy, outcome in record.report_only],
        "policy_version": record.policy_version,
        "repeats": record.repeats,
    }


def _facts(facts: Facts) -> dict[str, object]:
    """Return the stored members, with instants as people read them."""
    members = {name: value for name, value in facts_out(facts).items() if name != "now"}
    for name, inner, instant in (
        ("authentication", "time", facts.authentication and facts.authentication.time),
        ("device", "valid_until", facts.device and facts.device.valid_until),
    ):
        group = members.get(name)
        if isinstance(group, dict):
            members[name] = {**group, inner: instant}
    return members


def _traces(explanation: Explanation | None) -> list[dict[str, object]] | None:
    if explanation is None:
        return None
    return [
        {
            "id": trace.id,
            "outcome": trace.outcome.wire,
            "report_only": trace.report_only,
            "answer": trace.answer.name.lower(),
            "applies": trace.applies,
            "conditions": [_condition(condition) for condition in trace.conditions],
        }
        for trace in explanation.trace
    ]


def _condition(condition: ConditionTrace) -> dict[str, object]:
    return {
        "name": condition.name,
        "answer": condition.answer.name.lower(),
        "seen": condition.seen,
        "parts": [_condition(part) for part in condition.parts],
    }


def _tell_trace(explanation: Explanation | None) -> None:
    if explanation is None:
        return
    click.echo("")
    for trace in explanation.trace:
        click.echo(_policy_line(trace))
        for condition in trace.conditions:
            for line in _condition_lines(condition, depth=1):
                click.echo(line)


def _policy_line(trace: PolicyTrace) -> str:
    verdict = "applies" if trace.applies else "does not apply"
    report = " (report only)" if trace.report_only else ""
    return f"{trace.id} -> {trace.outcome.wire}{report}: {verdict} ({trace.answer.name.lower()})"


def _condition_lines(condition: ConditionTrace, *, depth: int) -> Iterator[str]:
    seen = f", saw {condition.seen}" if condition.seen else ""
    yield f"{'  ' * depth}{condition.name}: {condition.answer.name.lower()}{seen}"
    for part in condition.parts:
        yield from _condition_lines(part, depth=depth + 1)


def _cures(cures: Iterable[Cure]) -> list[dict[str, object]]:
    return [{"reason": each.reason, "steps": each.steps} for each in cures]


def _tell_cures(cures: Iterable[Cure]) -> None:
    for cure in cures:
        click.echo("")
        click.echo(f"what would help against {cure.reason}:")
        for step in cure.steps:
            click.echo(f"  {printable(step)}")


def _warn(explained: ExplainedDecision) -> None:
    if explained.explanation is None:
        say(
            f"the policies of version {explained.record.policy_version} are not stored here,"
            " so what each condition saw cannot be told"
        )
    elif not explained.agrees:
        say(
            "this program, asked again with the same facts and policies, decides"
            f" {explained.explanation.decision.outcome.wire}: it is another version than the one"
            " that decided"
        )
