"""Policy documents (`pratique: policies/v1`) to a bundle, and back."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from pdp.domain.access import Outcome, Restriction, StepUp
from pdp.domain.compliance import Compliance
from pdp.domain.ids import PolicyId
from pdp.domain.session import ACR_ORDER
from pdp.policy.condition import Condition, NotOf, Plain
from pdp.policy.conditions.device_compliance import DEVICE_COMPLIANCE
from pdp.policy.membership import Membership
from pdp.policy.policy import BUILT_IN, Bundle, Policy
from pdp.policy.reader import Field, Report, spell_duration
from pdp.policy.when import parse_when, spell_when
from pdp.policy.yaml_tree import read_yaml

KIND: Final = "policies/v1"

_OUTCOMES: Final = tuple(outcome.wire for outcome in Outcome)
#: A default carries no restriction and no demand, so it is one of those that need none.
_DEFAULTS: Final = ("block", "remediate", "full")
_MEMBERS: Final = (
    "id",
    "description",
    "outcome",
    "message",
    "when",
    "restrict",
    "require",
    "report_only",
)


def parse_policies(text: str | bytes, *, file: str = "policies.yaml") -> Bundle:
    """Return the bundle that a document holds; `file` names it in errors.

    Raises `MalformedPolicy` with every problem of the document.
    """
    report = Report(file)
    document = Field(read_yaml(text, file), "", report)
    members = document.members(
        ("pratique", "default", "policies"), required=("pratique", "default", "policies")
    )
    if "pratique" in members:
        members["pratique"].word((KIND,))
    default = members["default"].word(_DEFAULTS) if "default" in members else "block"
    policies = tuple(_policies(members["policies"])) if "policies" in members else ()
    report.close()
    return bundle_of(policies, Outcome.from_wire(default))


def bundle_of(policies: tuple[Policy, ...], default: Outcome = Outcome.BLOCK) -> Bundle:
    """Return the bundle of these policies, with the version that follows from what they say."""
    unnamed = Bundle(policies, default, version="")
    said = json.dumps(as_document(unnamed), sort_keys=True, separators=(",", ":"))
    return replace(unnamed, version=f"sha256:{hashlib.sha256(said.encode()).hexdigest()}")


def serialise(bundle: Bundle) -> str:
    """Return the document that `parse_policies` reads this bundle from: YAML that is JSON too."""
    return json.dumps(as_document(bundle), indent=2, ensure_ascii=False) + "\n"


def as_document(bundle: Bundle) -> Plain:
    """Return the bundle in the normal form of its document."""
    return {
        "pratique": KIND,
        "default": bundle.default.wire,
        "policies": [_spell(policy) for policy in bundle.policies],
    }


def _policies(field: Field) -> Iterator[Policy]:
    if not isinstance(field.node.value, list):
        field.refuse_kind("a list of policies", "begin each with `- id:`")
        return
    taken: set[str] = set()
    for item in field.items():
        policy = _policy(item)
        if policy.id and policy.id in taken:
            item.refuse(f"the id `{policy.id}` is taken", "give each policy an id of its own")
        taken.add(policy.id)
        yield policy


def _policy(field: Field) -> Policy:
    members = field.members(_MEMBERS, required=("id", "outcome"))
    outcome = Outcome.FULL
    if "outcome" in members:
        outcome = Outcome.from_wire(members["outcome"].word(_OUTCOMES))
    _hold_terms_to_their_outcome(field, members, outcome)
    conditions = parse_when(members["when"]) if "when" in members else ()
    if outcome is Outcome.FULL and any(_names_error(condition) for condition in conditions):
        members["when"].refuse(
            "a full outcome must not name the status `error`", "an error is never full"
        )
    return Policy(
        id=_id(members["id"]) if "id" in members else PolicyId(""),
        description=members["description"].text() if "description" in members else "",
        message=members["message"].text() if "message" in members else "",
        outcome=outcome,
        conditions=conditions,
        restriction=_restriction(members["restrict"]) if "restrict" in members else None,
        step_up=_step_up(members["require"]) if "require" in members else None,
        report_only="report_only" in members and members["report_only"].flag(),
    )


def _id(field: Field) -> PolicyId:
    name = field.text()
    if name.startswith(BUILT_IN):
        field.refuse(f"ids that begin with `{BUILT_IN}` are built in", "choose another id")
    return PolicyId(name)


def _hold_terms_to_their_outcome(
    field: Field, members: Mapping[str, Field], outcome: Outcome
) -> None:
    """Demand `restrict` with restricted and `require` with step-up, and nowhere else."""
    for member, owner in (("restrict", Outcome.RESTRICTED), ("require", Outcome.STEP_UP)):
        if outcome is owner and member not in members:
            field.refuse(f"`{member}` is missing for outcome `{owner.wire}`", f"add `{member}:`")
        if outcome is not owner and member in members:
            members[member].refuse(
                f"`{member}` goes with outcome `{owner.wire}` only", f"remove `{member}:`"
            )


def _restriction(field: Field) -> Restriction:
    required = ("scopes", "token_lifetime", "session_lifetime")
    members = field.members((*required, "restrictions"), required=required)
    return Restriction(
        scopes=_texts(members, "scopes"),
        token_lifetime=_duration(members, "token_lifetime"),
        session_lifetime=_duration(members, "session_lifetime"),
        restrictions=tuple(sorted(_texts(members, "restrictions"))),
    )


def _texts(members: Mapping[str, Field], member: str) -> frozenset[str]:
    return members[member].texts() if member in members else frozenset()


def _duration(members: Mapping[str, Field], member: str) -> timedelta:
    return members[member].duration() if member in members else timedelta(0)


def _step_up(field: Field) -> StepUp:
    members = field.members(("acr", "max_age"), required=("acr",))
    return StepUp(
        acr=members["acr"].word(ACR_ORDER) if "acr" in members else ACR_ORDER[-1],
        max_age=members["max_age"].duration() if "max_age" in members else None,
    )


def _names_error(condition: Condition) -> bool:
    if isinstance(condition, NotOf):
        return False  # it speaks of every status but those; full passes over `error` anyway
    if isinstance(condition, Membership) and condition.attribute is DEVICE_COMPLIANCE:
        return Compliance.ERROR in condition.accepted
    return any(_names_error(part) for part in condition.parts())


def _spell(policy: Policy) -> Plain:
    spelled: dict[str, Plain] = {"id": policy.id, "outcome": policy.outcome.wire}
    if policy.description:
        spelled["description"] = policy.description
    if policy.message:
        spelled["message"] = policy.message
    if policy.conditions:
        spelled["when"] = spell_when(policy.conditions)
    if policy.restriction is not None:
        spelled["restrict"] = _spell_restriction(policy.restriction)
    if policy.step_up is not None:
        spelled["require"] = _spell_step_up(policy.step_up)
    if policy.report_only:
        spelled["report_only"] = True
    return spelled


def _spell_restriction(restriction: Restriction) -> Plain:
    spelled: dict[str, Plain] = {
        "scopes": [*sorted(restriction.scopes)],
        "token_lifetime": spell_duration(restriction.token_lifetime),
        "session_lifetime": spell_duration(restriction.session_lifetime),
    }
    if restriction.restrictions:
        spelled["restrictions"] = [*restriction.restrictions]
    return spelled


def _spell_step_up(demand: StepUp) -> Plain:
    if demand.max_age is None:
        return {"acr": demand.acr}
    return {"acr": demand.acr, "max_age": spell_duration(demand.max_age)}
