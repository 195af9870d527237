"""The `when` of a policy: conditions by name, nested with `all`, `any` and `not`."""

from collections.abc import Iterable

from pdp.policy.condition import AllOf, AnyOf, Condition, NotOf, Plain
from pdp.policy.conditions import CONDITIONS
from pdp.policy.reader import Field

_NESTING = ("all", "any", "not")


def parse_when(field: Field) -> tuple[Condition, ...]:
    """Return the conditions that must all hold; a top-level `all` is merged into them."""
    found: list[Condition] = []
    for condition in _conditions(field):
        found.extend(condition.conditions if isinstance(condition, AllOf) else [condition])
    return tuple(found)


def spell_when(conditions: tuple[Condition, ...]) -> Plain:
    """Return the mapping that `parse_when` reads these conditions from."""
    names = [condition.name for condition in conditions]
    if len(set(names)) == len(names):
        return {condition.name: condition.spec() for condition in conditions}
    return {"all": [{condition.name: condition.spec()} for condition in conditions]}


def _conditions(field: Field) -> tuple[Condition, ...]:
    entries = field.members((*CONDITIONS, *_NESTING))
    if field.is_mapping() and not field.entries():
        field.refuse("must name a condition", "leave `when` out of a policy that always applies")
    return tuple(_condition(name, entry) for name, entry in entries.items())


def _condition(name: str, field: Field) -> Condition:
    match name:
        case "all":
            return AllOf(tuple(_nested(items) for items in _list(field)))
        case "any":
            return AnyOf(tuple(_nested(items) for items in _list(field)))
        case "not":
            return NotOf(_nested(field))
        case _:
            return CONDITIONS[name](field)


def _nested(field: Field) -> Condition:
    conditions = _conditions(field)
    return conditions[0] if len(conditions) == 1 else AllOf(conditions)


def _list(field: Field) -> Iterable[Field]:
    if field.is_mapping():
        field.refuse_kind("a list of mappings", "begin each with `- `")
        return ()
    return field.items()
