"""Compliance documents (`pratique: compliance/v1`) to rules, and back."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final, assert_never

from pdp.domain.compliance import Compliance
from pdp.domain.ids import SourceId
from pdp.domain.signal import RiskLevel
from pdp.policy.condition import Plain
from pdp.policy.policy import BUILT_IN
from pdp.policy.reader import Field, Report, spell_duration
from pdp.policy.rules import (
    ANY_PLATFORM,
    FindingIs,
    PostureIsBelow,
    PostureIsFalse,
    PostureIsIn,
    PostureIsMissing,
    RiskIs,
    Rule,
    Rules,
    SaysNotCompliant,
    Test,
)
from pdp.policy.worse import refuse_rewards
from pdp.policy.yaml_tree import read_yaml

KIND: Final = "compliance/v1"

_MEMBERS: Final = ("id", "when", "status", "grace", "source", "max_age", "title", "steps")
#: What a broken rule may make of a device; compliant and in-grace are never a rule's verdict.
_STATUSES: Final = ("not-compliant", "unknown", "stale", "error")
_STATED: Final = tuple(level.value for level in RiskLevel if level is not RiskLevel.UNKNOWN)
_LEVELS: Final = tuple(level.value for level in RiskLevel)
_NO_RULE: Final = SaysNotCompliant()


def parse_rules(text: str | bytes, *, file: str = "compliance.yaml") -> Rules:
    """Return the rules that a document holds; `file` names it in errors.

    Raises `MalformedPolicy` with every problem of the document.
    """
    report = Report(file)
    document = Field(read_yaml(text, file), "", report)
    members = document.members(
        ("pratique", "max_age", "rules"), required=("pratique", "max_age", "rules")
    )
    if "pratique" in members:
        members["pratique"].word((KIND,))
    max_age = members["max_age"].duration() if "max_age" in members else timedelta(0)
    placed = list(_rules(members["rules"])) if "rules" in members else []
    refuse_rewards(placed)
    report.close()
    return rules_of(tuple(rule for rule, _ in placed), max_age)


def rules_of(rules: tuple[Rule, ...], max_age: timedelta) -> Rules:
    """Return these rules, with the version that follows from what they say."""
    unnamed = Rules(rules, max_age, version="")
    said = json.dumps(rules_as_document(unnamed), sort_keys=True, separators=(",", ":"))
    return replace(unnamed, version=f"sha256:{hashlib.sha256(said.encode()).hexdigest()}")


def serialise_rules(rules: Rules) -> str:
    """Return the document that `parse_rules` reads these rules from: YAML that is JSON too."""
    return json.dumps(rules_as_document(rules), indent=2, ensure_ascii=False) + "\n"


def rules_as_document(rules: Rules) -> Plain:
    """Return the rules in the normal form of their document."""
    return {
        "pratique": KIND,
        "max_age": spell_duration(rules.max_age),
        "rules": [_spell(rule) for rule in rules.rules],
    }


def _rules(field: Field) -> Iterator[tuple[Rule, Field]]:
    if not isinstance(field.node.value, list):
        field.refuse_kind("a list of rules", "begin each with `- id:`")
        return
    taken: set[str] = set()
    for item in field.items():
        rule = _rule(item)
        if rule.id and rule.id in taken:
            item.refuse(f"the id `{rule.id}` is taken", "give each rule an id of its own")
        taken.add(rule.id)
        yield rule, item


def _rule(field: Field) -> Rule:
    members = field.members(_MEMBERS, required=("id", "when", "status"))
    test = _test(members["when"]) if "when" in members else _NO_RULE
    _refuse_pointless_times(members, test)
    status = members["status"].word(_STATUSES) if "status" in members else _STATUSES[0]
    if status == Compliance.STALE and "grace" in members:
        members["grace"].refuse("a stale device is so at once", "remove `grace:`")
    return Rule(
        id=_id(members["id"]) if "id" in members else "",
        test=test,
        status=Compliance(status),
        grace=members["grace"].duration() if "grace" in members else None,
        source=SourceId(members["source"].text()) if "source" in members else None,
        max_age=members["max_age"].duration() if "max_age" in members else None,
        title=_titles(members["title"]) if "title" in members else {},
        steps=_steps(members["steps"]) if "steps" in members else {},
    )


def _id(field: Field) -> str:
    name = field.text()
    if name.startswith(BUILT_IN):
        field.refuse(f"ids that begin with `{BUILT_IN}` are built in", "choose another id")
    return name


def _refuse_pointless_times(members: Mapping[str, Field], test: Test) -> None:
    if isinstance(test, PostureIsMissing) and "grace" in members:
        members["grace"].refuse(
            "grace runs from a statement, and `missing` is about there being none",
            "remove `grace:`",
        )
    if isinstance(test, PostureIsMissing | FindingIs) and "max_age" in members:
        members["max_age"].refuse(
            "goes with statements that are confirmed again and again: risk, compliant, posture",
            "remove `max_age:`",
        )


def _test(field: Field) -> Test:
    entries = field.members(
        ("risk", "compliant", "finding", "posture", "equals", "below", "in", "missing")
    )
    match sorted(entries):
        case ["risk"]:
            return RiskIs(frozenset(map(RiskLevel, entries["risk"].words(_STATED))))
        case ["compliant"]:
            _only(entries["compliant"], is_=False, fix="write `false`: compliance breaks no rule")
            return SaysNotCompliant()
        case ["finding"]:
            return _finding(entries["finding"])
        case [_, "posture"]:  # sorted: each comparison comes before it
            return _posture(entries)
        case _:
            if field.is_mapping():
                field.refuse(
                    "is not one test",
                    "write `risk`, `compliant`, `finding`, or `posture` with one of `equals`, "
                    "`below`, `in`, `missing`",
                )
            return _NO_RULE


def _finding(field: Field) -> Test:
    members = field.members(("severity", "category"), required=("severity",))
    severities = members["severity"].words(_LEVELS) if "severity" in members else frozenset()
    categories = members["category"].texts() if "category" in members else None
    return FindingIs(frozenset(map(RiskLevel, severities)), categories)


def _posture(entries: Mapping[str, Field]) -> Test:
    name = entries["posture"].text()
    key, value = next((key, entry) for key, entry in entries.items() if key != "posture")
    match key:
        case "equals":
            _only(value, is_=False, fix="write `false`: fields are named so that true is healthy")
            return PostureIsFalse(name)
        case "below":
            return PostureIsBelow(name, value.number())
        case "in":
            return PostureIsIn(name, value.texts())
        case "missing":
            _only(value, is_=True, fix="write `true`")
            return PostureIsMissing(name)
        case _:
            value.refuse(
                f"`{key}` does not go with `posture`", "write `equals`, `below`, `in` or `missing`"
            )
            return _NO_RULE


def _only(field: Field, *, is_: bool, fix: str) -> None:
    if field.flag() is not is_:
        field.refuse("has only one value that means anything here", fix)


def _titles(field: Field) -> Mapping[str, str]:
    return {language.lower(): title.text() for language, title in field.entries().items()}


def _steps(field: Field) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    return {language.lower(): _by_platform(entry) for language, entry in field.entries().items()}


def _by_platform(field: Field) -> Mapping[str, tuple[str, ...]]:
    if not field.is_mapping():
        return {ANY_PLATFORM: tuple(step.text() for step in field.items())}
    return {
        platform.lower(): tuple(step.text() for step in steps.items())
        for platform, steps in field.entries().items()
    }


def _spell(rule: Rule) -> Plain:
    spelled: dict[str, Plain] = {
        "id": rule.id,
        "when": _spell_test(rule.test),
        "status": rule.status.value,
    }
    if rule.grace is not None:
        spelled["grace"] = spell_duration(rule.grace)
    if rule.source is not None:
        spelled["source"] = rule.source
    if rule.max_age is not None:
        spelled["max_age"] = spell_duration(rule.max_age)
    if rule.title:
        spelled["title"] = dict(rule.title)
    if rule.steps:
        spelled["steps"] = {
            language: {platform: [*steps] for platform, steps in by_platform.items()}
            for language, by_platform in rule.steps.items()
        }
    return spelled


def _spell_test(test: Test) -> Plain:
    match test:
        case RiskIs(levels):
            return {"risk": [level for level in _LEVELS if level in levels]}
        case SaysNotCompliant():
            return {"compliant": False}
        case FindingIs(severities, categories):
            found: dict[str, Plain] = {
                "severity": [level for level in _LEVELS if level in severities]
            }
            if categories is not None:
                found["category"] = [*sorted(categories)]
            return {"finding": found}
        case _:
            return _spell_posture(test)


def _spell_posture(
    test: PostureIsFalse | PostureIsBelow | PostureIsIn | PostureIsMissing,
) -> Plain:
    match test:
        case PostureIsFalse(name):
            return {"posture": name, "equals": False}
        case PostureIsBelow(name, limit):
            return {"posture": name, "below": limit}
        case PostureIsIn(name, words):
            return {"posture": name, "in": [*sorted(words)]}
        case PostureIsMissing(name):
            return {"posture": name, "missing": True}
        case _:
            assert_never(test)
