"""Documents: what they may say, what is wrong with those that are refused, and the schemas."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

import pdp.policy
from pdp.policy.conditions import CONDITIONS
from pdp.policy.defaults import POLICIES_FILE, RULES_FILE, default_policies, default_rules
from pdp.policy.document import parse_policies, serialise
from pdp.policy.errors import MalformedPolicy
from pdp.policy.rules_document import parse_rules, serialise_rules
from pdp.policy.yaml_tree import MAX_BYTES

PACKAGE = Path(pdp.policy.__path__[0])

EXAMPLE = """\
pratique: policies/v1
default: block
policies:
  - id: healthy-device
    description: Healthy devices get in.
    outcome: full
    when:
      device_compliance: [compliant, in-grace]
      any:
        - network: [10.0.0.0/8, "2001:db8::/32"]
        - {acr_at_least: {acr: mfa, on_missing: false}, amr: otp}
  - id: readonly
    outcome: restricted
    message: Read only for now.
    restrict:
      scopes: [openid, profile]
      token_lifetime: 10m
      session_lifetime: 90m
      restrictions: read-only
    when:
      all:
        - device_risk: {at_least: medium}
        - device_risk: {in: [medium], on_missing: true}
  - id: admins
    outcome: step-up
    require: {acr: mfa, max_age: 15m}
    when: {group: [pdp-admins], not: {acr_at_least: mfa, signed_in_within: 15m}}
    report_only: true
  - id: nights
    outcome: block
    when: {time_window: {days: [mon], from: "22:00", to: "06:00", zone: Europe/Berlin}}
"""

RULES = """\
pratique: compliance/v1
max_age: 24h
rules:
  - id: risk
    when: {risk: [medium, high]}
    status: not-compliant
    grace: 4h
    source: edr
    max_age: 12h
  - id: finding
    when: {finding: {severity: high, category: [malware]}}
    status: error
  - id: patches
    when: {posture: patch_level, below: 12.5}
    status: stale
    title: {en: Updates are missing, de: Updates fehlen}
    steps: {en: [Update.], de: {any: [Aktualisieren.], macos: Mac aktualisieren.}}
  - id: channel
    when: {posture: release_channel, in: [beta]}
    status: not-compliant
  - id: stated
    when: {posture: disk_encrypted, missing: true}
    status: unknown
"""


def problems(text: str, parse: Callable[..., object] = parse_policies) -> list[str]:
    """Return what is wrong with the document, line by line."""
    with pytest.raises(MalformedPolicy) as refused:
        parse(text, file="x.yaml")
    return str(refused.value).splitlines()


def with_policy(text: str) -> str:
    """Return a document whose only policy is written on line 4."""
    return f"pratique: policies/v1\ndefault: block\npolicies:\n  - {text}\n"


def with_rule(text: str) -> str:
    """Return a document whose only rule is written on line 4."""
    return f"pratique: compliance/v1\nmax_age: 1h\nrules:\n  - {text}\n"


def test_a_bundle_survives_being_written_and_read():
    bundle = parse_policies(EXAMPLE)
    assert parse_policies(serialise(bundle)) == bundle
    assert serialise(parse_policies(serialise(bundle))) == serialise(bundle)


def test_rules_survive_being_written_and_read():
    rules = parse_rules(RULES)
    assert parse_rules(serialise_rules(rules)) == rules


def test_the_version_follows_from_what_is_said_not_from_how_it_is_written():
    bundle = parse_policies(EXAMPLE)
    assert parse_policies("# a comment\n" + EXAMPLE).version == bundle.version
    assert parse_policies(EXAMPLE.replace("90m", "91m")).version != bundle.version


P = "policies[0]"
MALFORMED = [
    (
        with_policy("{id: a, outcome: ful}"),
        f"4: {P}.outcome: is not one of",
        "did you mean `full`?",
    ),
    (
        with_policy("{id: a, outcome: block, when: {device_compliance: [complient]}}"),
        f"4: {P}.when.device_compliance[0]: is not one of the accepted values, got `complient`",
        "did you mean `compliant`?",
    ),
    (
        with_policy("{id: a, outcome: block, when: {devise_risk: high}}"),
        f"4: {P}.when.devise_risk: unknown key",
        "did you mean `device_risk`?",
    ),
    (with_policy("{outcome: block}"), f"4: {P}: `id` is missing", "add `id:`"),
    (with_policy("{id: a}"), f"4: {P}: `outcome` is missing", "add `outcome:`"),
    (with_policy("{id: a, outcome: restricted}"), "`restrict` is missing", "add `restrict:`"),
    (with_policy("{id: a, outcome: step-up}"), "`require` is missing", "add `require:`"),
    (
        with_policy("{id: a, outcome: restricted, restrict: {token_lifetime: 1m}}"),
        "`scopes` is missing",
        "add `scopes:`",
    ),
    (with_policy("{id: a, outcome: block, require: {acr: mfa}}"), "goes with outcome", "remove"),
    (with_policy("{id: 'pratique:x', outcome: block}"), "are built in", "choose another id"),
    (with_policy("{id: a, outcome: block, when: {}}"), "must name a condition", "leave `when`"),
    (with_policy("{id: a, outcome: block, when: {any: []}}"), "must not be empty", ""),
    (with_policy("{id: a, outcome: block, when: {any: {}}}"), "a list of mappings", "begin each"),
    (with_policy("{id: a, outcome: block, when: []}"), "must be a mapping, got a list", ""),
    (with_policy("{id: a, outcome: block, when: {client: [7]}}"), "must be text, got `7`", ""),
    (with_policy("{id: a, outcome: block, when: {client: }}"), "must be text, got nothing", ""),
    (
        with_policy("{id: a, outcome: block, when: {client: {on_missing: 1}}}"),
        "`in` is missing",
        "",
    ),
    (with_policy("{id: a, outcome: block, report_only: 1}"), "must be `true` or `false`", ""),
    (
        with_policy("{id: a, outcome: full, when: {any: [{device_compliance: error}]}}"),
        "must not name the status `error`",
        "never full",
    ),
    (
        with_policy("{id: a, outcome: block, when: {network: 10.0.0.1/8}}"),
        "is not a network",
        "did you mean `10.0.0.0/8`?",
    ),
    (with_policy("{id: a, outcome: block, when: {network: home}}"), "not a network", "write CIDR"),
    (
        with_policy("{id: a, outcome: block, when: {time_window: {zone: Europe/Berln}}}"),
        "is not an IANA time zone",
        "did you mean `Europe/Berlin`?",
    ),
    (
        with_policy("{id: a, outcome: block, when: {time_window: {zone: UTC, from: 9}}}"),
        "must be a time of day, got `9`",
        "write HH:MM",
    ),
    (
        with_policy("{id: a, outcome: block, when: {signed_in_within: 15}}"),
        "must be a duration, got `15`",
        "such as `10m`",
    ),
    (
        with_policy("{id: a, outcome: block, when: {signed_in_within: 9999d}}"),
        "longer than ten years",
        "3650d",
    ),
    (
        with_policy("{id: a, outcome: block}\n  - {id: a, outcome: full}"),
        "5: policies[1]: the id",
        "",
    ),
    (with_policy("{id: a, id: b, outcome: block}"), "4: duplicate key 'id'", "keep one"),
    (with_policy("{id: &x a, outcome: block}"), "4: anchors are not allowed", "write the value"),
    (with_policy("{id: *x , outcome: block}"), "4: aliases are not allowed", "write the value"),
    (with_policy("{id: !!python/name:os.system a}"), "4: tags are not allowed", "plain"),
    (with_policy("{[a]: b}"), "4: a key must be a word", ""),
    (with_policy("{id: a"), "not YAML", ""),
    ("a: 1\n---\nb: 2\n", "2: more than one document", "one document per file"),
    ("", "the document is empty", ""),
    ("\x00", "not YAML", ""),
    ("[" * 100_000, "levels deep", ""),
    ("#" * (MAX_BYTES + 1), "bytes, more than", "split it"),
    ("default: block\npolicies: []\n", "`pratique` is missing", "add `pratique:`"),
    ("pratique: policies/v1\npolicies: []\n", "`default` is missing", "add `default:`"),
    ("pratique: policies/v1\ndefault: step-up\npolicies: []\n", "default: is not one of", ""),
    ("pratique: policies/v1\ndefault: block\npolicies: {}\n", "must be a list of policies", ""),
    ("pratique: policies/v2\ndefault: block\npolicies: []\n", "1: pratique: is not one", "did you"),
]


@pytest.mark.parametrize("parse", [parse_policies, parse_rules])
def test_a_document_that_would_unfold_without_end_is_refused_unread(parse):
    layers = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    bomb = "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x, x]", *layers, "policies: *a11\n"])
    started = time.process_time()

    with pytest.raises(MalformedPolicy, match="anchors are not allowed"):
        parse(bomb)

    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("text", "problem", "fix"),
    [pytest.param(*case, id=str(number)) for number, case in enumerate(MALFORMED)],
)
def test_a_malformed_policy_document_is_refused_with_place_and_fix(
    text: str, problem: str, fix: str
):
    found = problems(text)
    assert any(problem in line and fix in line and line.startswith("x.yaml:") for line in found)


def test_every_problem_is_reported_at_once():
    text = with_policy("{id: a, outcome: ful, when: {clent: a}, colour: red}")
    assert len(problems(text)) == 3


def test_a_document_that_is_not_utf_8_is_refused_with_its_line():
    with pytest.raises(MalformedPolicy, match=r"x\.yaml:2: the document is not UTF-8"):
        parse_policies(b"pratique: policies/v1\ndefault: \xff\n", file="x.yaml")


MALFORMED_RULES = [
    (with_rule("{id: a, when: {risk: hihg}, status: error}"), "rules[0].when.risk", "`high`"),
    (with_rule("{id: a, when: {risk: medium}, status: error}"), "more strictly", "name `high`"),
    (with_rule("{id: a, when: {compliant: true}, status: error}"), "one value", "write `false`"),
    (with_rule("{id: a, when: {posture: a, equals: true}, status: error}"), "one value", "healthy"),
    (with_rule("{id: a, when: {posture: a, missing: false}, status: error}"), "one value", "true"),
    (with_rule("{id: a, when: {posture: a, below: b}, status: error}"), "must be a number", ""),
    (with_rule("{id: a, when: {posture: a, risk: high}, status: error}"), "is not one test", ""),
    (with_rule("{id: a, when: {posture: a, compliant: false}, status: error}"), "not go with", ""),
    (with_rule("{id: a, when: {posture: a}, status: error}"), "is not one test", "write `risk`"),
    (with_rule("{id: a, when: risk, status: error}"), "must be a mapping", ""),
    (with_rule("{id: a, when: {finding: {}}, status: error}"), "`severity` is missing", ""),
    (with_rule("{id: a, when: {risk: high}, status: compliant}"), "is not one of", ""),
    (with_rule("{id: 'pratique:a', when: {risk: high}, status: error}"), "are built in", ""),
    (
        with_rule("{id: a, when: {posture: a, missing: true}, status: error, grace: 1h}"),
        "grace runs from a statement",
        "remove",
    ),
    (
        with_rule("{id: a, when: {compliant: false}, status: stale, grace: 1h}"),
        "stale device is so at once",
        "remove",
    ),
    (
        with_rule("{id: a, when: {finding: {severity: high}}, status: error, max_age: 1h}"),
        "confirmed again and again",
        "remove",
    ),
    (
        with_rule("{id: a, when: {risk: high}, status: error}\n  - {id: a, status: error}"),
        "the id `a` is taken",
        "",
    ),
    ("max_age: 1h\nrules: []\n", "`pratique` is missing", "add `pratique:`"),
    ("pratique: compliance/v1\nrules: {}\n", "`max_age` is missing", "add `max_age:`"),
    ("pratique: compliance/v1\nrules: {}\n", "must be a list of rules", ""),
]


@pytest.mark.parametrize(
    ("text", "problem", "fix"),
    [pytest.param(*case, id=str(number)) for number, case in enumerate(MALFORMED_RULES)],
)
def test_a_malformed_rules_document_is_refused_with_place_and_fix(
    text: str, problem: str, fix: str
):
    assert any(problem in line and fix in line for line in problems(text, parse_rules))


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param("status: error, grace: 1h", id="longer-grace"),
        pytest.param("status: stale", id="milder-status"),
        pytest.param("status: error, source: edr", id="one-source-only"),
    ],
)
def test_rules_that_let_a_higher_risk_off_more_lightly_are_refused(rules: str):
    low = "{id: low, when: {risk: low}, status: not-compliant}"
    text = with_rule(f"{low}\n  - {{id: b, when: {{risk: [medium, high]}}, {rules}}}")
    assert any("judged more strictly" in line for line in problems(text, parse_rules))


def schema(name: str) -> Draft202012Validator:
    """Return the validator of a shipped schema, itself validated."""
    found = json.loads((PACKAGE / name).read_text())
    Draft202012Validator.check_schema(found)
    return Draft202012Validator(found)


def loaded(text: str) -> object:
    """Return the document as another YAML reader sees it."""
    return YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(EXAMPLE, id="example"),
        pytest.param((PACKAGE / POLICIES_FILE).read_text(), id="shipped"),
        pytest.param(serialise(default_policies()), id="serialised"),
        pytest.param(serialise(parse_policies(EXAMPLE)), id="serialised-example"),
    ],
)
def test_the_policy_schema_accepts(text: str):
    schema("policies.schema.json").validate(loaded(text))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(RULES, id="example"),
        pytest.param((PACKAGE / RULES_FILE).read_text(), id="shipped"),
        pytest.param(serialise_rules(default_rules()), id="serialised"),
        pytest.param(serialise_rules(parse_rules(RULES)), id="serialised-example"),
    ],
)
def test_the_rules_schema_accepts(text: str):
    schema("compliance.schema.json").validate(loaded(text))


#: Things that a schema cannot see: YAML itself, calendars, networks, more than one value at once.
BEYOND_A_SCHEMA = (
    "not a network",
    "IANA",
    "the id",
    "not name the",
    "ten years",
    "anchors",
    "aliases",
    "tags",
    "duplicate",
    "a key must be",
    "not YAML",
)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=str(number))
        for number, (text, problem, _) in enumerate(MALFORMED)
        if text.startswith("pratique") and not any(mark in problem for mark in BEYOND_A_SCHEMA)
    ],
)
def test_the_policy_schema_refuses_what_the_parser_refuses(text: str):
    assert not schema("policies.schema.json").is_valid(loaded(text))


def test_the_schema_and_the_table_of_conditions_agree():
    definitions = json.loads((PACKAGE / "policies.schema.json").read_text())["$defs"]
    assert set(definitions["when"]["properties"]) == {*CONDITIONS, "all", "any", "not"}


def test_every_module_of_conditions_is_in_the_table():
    modules = {path.stem for path in (PACKAGE / "conditions").glob("*.py")} - {"__init__"}
    listed = {parser.__module__.rpartition(".")[2] for parser in CONDITIONS.values()}
    assert listed == modules


MANUAL = Path(__file__).parents[2] / "docs" / "policies.md"


def test_the_manual_documents_every_condition():
    text = MANUAL.read_text()
    assert [name for name in CONDITIONS if f"| `{name}` |" not in text] == []


def test_the_documents_in_the_manual_are_well_formed():
    examples = re.findall(r"```yaml\n(pratique: .*?)```", MANUAL.read_text(), re.DOTALL)
    kinds = [example.split()[1] for example in examples]
    assert kinds == ["policies/v1", "compliance/v1"]
    assert parse_policies(examples[0]).policies
    assert parse_rules(examples[1]).rules
