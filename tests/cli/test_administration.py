"""What an operator does by hand on day one: each thing has a command, and shows secrets once."""

import json
import ssl
from datetime import UTC, datetime, timedelta

import pytest

from pdp.cli.context import opened_runtime
from pdp.domain.compliance import Compliance
from pdp.domain.ids import DecisionId
from pdp.domain.signal import DeviceName, NameKind
from pdp.policy.defaults import default_policies
from pdp.policy.evaluate import evaluate
from pdp.store import clients, decisions, documents, sessions, tasks
from pdp.store.documents import DocumentKind
from pdp.usecases.client_secrets import client_pepper, secret_digest
from pdp.usecases.register_device import register_device
from tests.builders import (
    NOW,
    a_certificate,
    a_session,
    a_task,
    authentication_facts,
    device_facts,
    facts,
    subject_facts,
)
from tests.deployment import RULES

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
CALLBACK = "https://wiki.example/callback"


def _stored():
    with opened_runtime() as runtime, runtime.database.read() as tx:
        return runtime, clients.load_all(tx)


def test_a_relying_party_gets_a_secret_that_is_kept_as_a_digest(shell):
    made = shell.result("client", "add", "wiki", "--redirect-uri", CALLBACK)

    runtime, stored = _stored()
    (kept,) = stored["wiki"].secrets
    assert kept.digest == secret_digest(made["client_secret"], client_pepper(runtime.envelope))
    assert made["client_secret"] not in shell.told("client", "show", "wiki")


def test_defaults_are_strict(shell):
    shell.result("client", "add", "wiki", "--redirect-uri", CALLBACK)

    shown = shell.result("client", "show", "wiki")
    assert (shown["pkce_required"], shown["first_party"]) == (True, True)
    assert shown["grant_types"] == ["authorization_code", "refresh_token"]


#: Options after `client add x`, and members of what is registered.
REGISTRATIONS = {
    "public": (
        ["--public", "--redirect-uri", "com.example.app:/cb"],
        {"auth_methods": ["none"]},
    ),
    "machine": (
        ["--machine", "--scope", "read"],
        {"grant_types": ["client_credentials"], "scopes": ["read"]},
    ),
    "old": (
        ["--redirect-uri", CALLBACK, "--without-pkce"],
        {"pkce_required": False, "nonce_required": True},
    ),
    "older": (
        ["--redirect-uri", CALLBACK, "--without-pkce", "--without-nonce"],
        {"pkce_required": False, "nonce_required": False},
    ),
    "third-party": (["--redirect-uri", CALLBACK, "--third-party"], {"first_party": False}),
    "both": (
        ["--redirect-uri", CALLBACK, "--machine"],
        {"grant_types": ["authorization_code", "client_credentials", "refresh_token"]},
    ),
}


@pytest.mark.parametrize(("options", "members"), REGISTRATIONS.values(), ids=REGISTRATIONS)
def test_a_client_is_registered_as_the_options_say(shell, options, members):
    shell.result("client", "add", "x", *options)

    shown = shell.result("client", "show", "x")
    assert {name: shown[name] for name in members} == members


def test_a_client_with_keys_needs_no_secret(shell):
    public = shell.result("keys", "export-jwks")
    (shell.folder / "jwks.json").write_text(json.dumps(public))

    made = shell.result("client", "add", "x", "--redirect-uri", CALLBACK, "--jwks", "jwks.json")

    assert made == {"client_id": "x"}
    assert shell.result("client", "show", "x")["auth_methods"] == ["private_key_jwt"]


#: Options after `client add x`, and what is said of them.
REFUSALS = (
    ("--redirect-uri http://a.example/cb", "loopback"),
    ("", "redirect URI"),
    ("--public --without-pkce --redirect-uri https://a.example/", "PKCE"),
    (
        "--public --auth-method client_secret_post --redirect-uri https://a.example/",
        "--auth-method",
    ),
    ("--redirect-uri https://a.example/ --auth-method private_key_jwt", "--jwks"),
)


@pytest.mark.parametrize(("options", "said"), REFUSALS, ids=[said for _, said in REFUSALS])
def test_a_client_is_refused_with_the_reason(shell, options, said):
    assert said in shell.refused("client", "add", "x", *options.split())


def test_a_rotated_secret_leaves_the_old_one_for_a_while(shell):
    shell.result("client", "add", "wiki", "--redirect-uri", CALLBACK)

    shell.result("client", "rotate-secret", "wiki", "--overlap", "1h")

    newest, old = shell.result("client", "show", "wiki")["secrets"]
    assert newest["expires"] is None
    assert old["expires"] is not None


def test_a_client_is_shut_out_and_let_in_again(shell):
    shell.result("client", "add", "wiki", "--redirect-uri", CALLBACK)

    shell.told("client", "disable", "wiki")
    assert shell.result("client", "list")[0]["enabled"] is False
    assert "already" in shell.told("client", "disable", "wiki")
    shell.told("client", "enable", "wiki")
    assert shell.result("client", "list")[0]["enabled"] is True


def test_an_api_is_registered_with_the_client_that_asks_for_it(shell):
    shell.result("client", "add", "api", "--machine")
    shell.result(
        "client", "add-resource", "https://api.example", "--scope", "read", "--client", "api"
    )

    assert shell.result("client", "show", "api")["resources"] == ["https://api.example"]
    taken = shell.refused("client", "add-resource", "https://b.example", "--scope", "read")
    assert "belongs to resource" in taken


@pytest.mark.parametrize(
    "words",
    [
        "client show none",
        "client disable none",
        "source rotate-secret none",
        "source disable none",
        "source test none",
        "session revoke none",
        "session list --user none",
        "keys retire none --yes",
        "policy rollback 0000",
        "decision show none",
        "device show none",
        "device enrol-token none",
        "device block none --reason x",
    ],
)
def test_what_is_not_there_is_named(shell, words):
    assert "none" in shell.refused(*words.split()) or "0000" in words


def test_a_source_is_set_up_rotated_and_shut(shell):
    made = shell.result("source", "add", "edr")
    assert made["url"] == "https://id.example.com/webhooks/edr"

    rotated = shell.result("source", "rotate-secret", "edr")
    assert rotated["secret"] != made["secret"]
    assert shell.result("source", "list")[0]["secrets"] == 2
    shell.told("source", "disable", "edr")
    assert shell.result("source", "list")[0]["enabled"] is False
    shell.told("source", "enable", "edr")
    assert "exists already" in shell.refused("source", "add", "edr")


def test_keys_are_rotated_ahead_and_retired_after(shell):
    (before,) = [key for key in shell.result("keys", "list") if key["alg"] == "ES256"]
    shell.result("keys", "rotate", "--alg", "ES256", "--publish-ahead", "0s")

    states = {key["kid"]: key["state"] for key in shell.result("keys", "list")}
    assert states[before["kid"]] == "verifies"
    shell.told("keys", "retire", before["kid"], "--yes")
    assert before["kid"] not in shell.told("keys", "export-jwks")


def test_the_last_key_is_not_retired(shell):
    key = next(key for key in shell.result("keys", "list") if key["alg"] == "ES256")
    shell.result("keys", "rotate", "--alg", "ES256")

    assert "only ES256 key" in shell.refused("keys", "retire", key["kid"], "--yes")
    states = {found["state"] for found in shell.result("keys", "list") if found["alg"] == "ES256"}
    assert states == {"signs", "published"}


def test_public_keys_are_written_to_a_file(shell):
    shell.told("keys", "export-jwks", "--file", "jwks.json")

    assert json.loads((shell.folder / "jwks.json").read_text()) == shell.result(
        "keys", "export-jwks"
    )
    shell.refused("keys", "export-jwks", "--file", "none/jwks.json", code=1)


@pytest.mark.parametrize("kind", ["policy", "compliance"])
def test_documents_are_checked_applied_and_rolled_back(shell, kind):
    text = shell.told(kind, "show")
    changed = text.replace("id: machines", "id: robots").replace("max_age: ", "max_age: 1", 1)
    (shell.folder / "changed.yaml").write_text(changed)
    assert "good" in shell.told(kind, "lint", "changed.yaml")

    assert "in force: sha256:" in shell.told(kind, "apply", "changed.yaml")
    assert "already" in shell.told(kind, "apply", "changed.yaml")
    newest, oldest = sorted(shell.result(kind, "list"), key=lambda version: not version["in_force"])
    assert shell.told(kind, "show") == changed
    assert shell.told(kind, "show", "--version", oldest["version"]) == text
    shell.told(kind, "rollback", oldest["version"][:20])
    assert shell.told(kind, "show") == text
    assert newest["in_force"]


@pytest.mark.parametrize("verb", ["lint", "apply"])
def test_a_policy_that_does_not_compile_is_exit_3_with_every_place(shell, verb):
    (shell.folder / "bad.yaml").write_text(
        "pratique: policies/v1\ndefault: maybe\npolicies:\n  - id: x\n    outcome: perhaps\n"
    )

    told = shell.refused("policy", verb, "bad.yaml", code=3)

    assert "bad.yaml:2" in told
    assert "bad.yaml:5" in told


def test_lint_needs_neither_settings_nor_database(empty):
    (empty.folder / "policies.yaml").write_text(
        "pratique: policies/v1\ndefault: block\npolicies:\n  - {id: x, outcome: block}\n"
    )

    empty.told("policy", "lint", "policies.yaml")


def test_a_decision_is_explained(shell):
    sick = facts(device=device_facts(compliance=Compliance.NOT_COMPLIANT))
    database = shell.database()
    with database.write() as tx:
        decisions.append(
            tx, decisions.row_of(DecisionId("dec_1"), sick, evaluate(default_policies(), sick))
        )
    database.close()

    assert shell.result("decision", "list", "--outcome", "remediate")[0]["id"] == "dec_1"
    told = shell.told("decision", "show", "dec_1")
    assert "unhealthy-device -> remediate: applies (true)" in told
    assert "device_compliance: true, saw not-compliant" in told
    assert "what would help against device-compliance:" in told
    # A line for each group of facts, beside the first.
    lines = [line.strip() for line in told.splitlines()]
    assert any(line.startswith("device: ") and "compliance=not-compliant" in line for line in lines)
    assert any(line.startswith("subject: ") for line in lines)
    shown = shell.result("decision", "show", "dec_1")
    assert [each["reason"] for each in shown["cures"]] == ["device-compliance"]
    trace = {each["id"]: each for each in shown["policies"]}
    assert trace["machines"]["applies"] is False


def test_it_is_said_when_a_decisions_policies_are_gone(shell):
    sick = facts()
    row = decisions.row_of(DecisionId("dec_1"), sick, evaluate(default_policies(), sick))
    database = shell.database()
    with database.write() as tx:
        decisions.append(tx, {**row, "policy_version": "sha256:gone"})
    database.close()

    assert "not stored here" in shell.told("decision", "show", "dec_1")


@pytest.mark.usefixtures("ada")
def test_a_decision_tells_the_person_by_name_and_instants_as_instants(shell):
    user = shell.result("user", "show", "ada")["id"]
    of_ada = facts(subject=subject_facts(user), authentication=authentication_facts())
    database = shell.database()
    with database.write() as tx:
        decisions.append(
            tx, decisions.row_of(DecisionId("dec_1"), of_ada, evaluate(default_policies(), of_ada))
        )
    database.close()

    shown = shell.result("decision", "show", "dec_1")

    assert shown["user"] == "ada"
    assert shown["facts"]["authentication"]["time"].endswith("Z")
    assert [each["user"] for each in shell.result("decision", "list", "--subject", "ADA")] == [
        "ada"
    ]


@pytest.mark.usefixtures("ada")
def test_why_somebody_was_refused_at_a_time_is_told_by_one_command(shell):
    user = shell.result("user", "show", "ada")["id"]
    database = shell.database()
    for name, at in (("dec_1", LONG_AGO), ("dec_2", LONG_AGO + timedelta(minutes=14))):
        sick = facts(
            now=at,
            subject=subject_facts(user),
            device=device_facts(compliance=Compliance.NOT_COMPLIANT),
        )
        row = decisions.row_of(DecisionId(name), sick, evaluate(default_policies(), sick))
        with database.write() as tx:
            decisions.append(tx, row)
    database.close()

    asked = ["decision", "list", "--subject", "ada", "--since", "2020-01-01T00:14Z"]
    (found,) = shell.result(*asked, "--until", "2020-01-01T00:15Z")

    assert (found["id"], found["outcome"]) == ("dec_2", "remediate")
    assert found["policies"] == ["unhealthy-device"]
    assert found["reasons"] == ["device-compliance"]
    assert shell.result("decision", "list", "--subject", "ada", "--since", "2h") == []


@pytest.mark.usefixtures("ada")
def test_the_record_and_a_devices_story_are_told_of_a_while(shell, ada):
    assert shell.result("device", "show", ada, "--since", "1h")["history"]
    assert shell.result("device", "show", ada, "--until", "1h")["history"] == []
    assert shell.result("audit", "list", "--since", "1h")
    assert shell.result("audit", "list", "--until", "1h") == []


def test_a_while_that_holds_no_instant_is_refused(shell):
    asked = ["decision", "list", "--since", "1h", "--until", "2h"]
    assert "--since must be earlier than --until" in shell.refused(*asked)
    assert "write date, time and zone" in shell.refused("decision", "list", "--since", "10:14")


@pytest.mark.parametrize("typed", ["YAME-S3QQ", " yame-s3qq "], ids=["as shown", "as typed"])
def test_a_device_is_found_by_the_code_that_its_owner_reads_out(shell, ada, typed):
    database = shell.database()
    with database.write() as tx:
        tasks.insert(tx, a_task(device=ada, code="YAME-S3QQ"))
    database.close()

    assert shell.result("device", "show", typed)["id"] == ada
    assert "no device or help code 'YAME-XXXX'" in shell.refused("device", "show", "YAME-XXXX")


def test_a_device_is_not_enrolled_for_a_shut_account(shell, ada):
    shell.told("user", "disable", "ada")

    assert "ada is disabled" in shell.refused("device", "enrol-token", "ada", "--device", ada)


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    "words",
    ["user disable ada", "user reset-password ada", "user reset-factor ada", "session revoke SES"],
)
def test_access_is_ended_though_the_policies_in_force_do_not_parse(shell, words):
    (live,) = shell.result("session", "list")
    database = shell.database()
    with database.write() as tx:
        documents.activate(tx, DocumentKind.POLICIES, "sha256:bad", "pratique: x", now=NOW)
    database.close()

    shell.told(*words.replace("SES", live["id"]).split())

    assert shell.result("session", "list") == []


LOGOUT = "http://127.0.0.1:9090/backchannel-logout"
#: Outbound settings, and what is said of a receiver on this machine.
OUTBOUND: tuple[tuple[dict[str, str], str | None], ...] = (
    ({}, "outbound.allow_http is false"),
    ({"ALLOW_HTTP": "true"}, "outbound.allow_networks"),
    ({"ALLOW_HTTP": "true", "ALLOW_NETWORKS": '["127.0.0.0/8"]'}, None),
)


@pytest.mark.parametrize(("outbound", "said"), OUTBOUND, ids=["http", "network", "reachable"])
def test_a_receiver_that_would_not_be_called_is_warned_of(shell, monkeypatch, outbound, said):
    for name, value in outbound.items():
        monkeypatch.setenv(f"PDP__OUTBOUND__{name}", value)

    told = shell.told(
        "client", "add", "x", "--redirect-uri", CALLBACK, "--backchannel-logout-uri", LOGOUT
    )

    assert said is None or said in told
    assert ("--backchannel-logout-uri" in told) == (said is not None)


@pytest.fixture
def ada(shell):
    """Ada, with a device of hers; returns the device's id."""
    user = shell.result("user", "add", "ada")
    with opened_runtime() as runtime, runtime.database.write() as tx:
        now = runtime.clock()
        device = register_device(
            tx, RULES, owner=user["id"], display_name="Ada's \x1b[31mMac", actor="x", now=now
        )
        day = timedelta(days=1)
        session = a_session(
            subject=user["id"],
            device=device,
            created_at=now,
            auth_time=now,
            idle_expires_at=now + day,
            expires_at=now + day,
        )
        sessions.create(tx, session, cookie="c" * 43)
    return device


def test_a_device_is_blocked_overridden_and_shown_with_its_story(shell, ada):
    shell.told("device", "override", ada, "--for", "4h", "--reason", "loan")
    shell.told("device", "block", ada, "--reason", "stolen")
    assert "is blocked" in shell.refused("device", "block", ada, "--reason", "stolen")

    shown = shell.result("device", "show", ada)
    assert (shown["owner"], shown["block"]) == ("ada", "stolen")
    assert "loan" in shown["override"]
    assert "device.blocked" in {moment["what"] for moment in shown["history"]}
    assert "compliant" in shell.told("device", "unblock", ada)
    assert shell.result("device", "list")[0]["blocked"] is False


def test_a_device_is_shared_and_given_back(shell, ada):
    assert "for everybody" in shell.told("device", "share", ada)
    assert shell.result("device", "show", ada)["shared"] is True
    assert "already shared" in shell.refused("device", "share", ada)
    assert "unknown" in shell.told("device", "unshare", ada)
    assert shell.result("device", "show", ada)["shared"] is False


def test_a_list_of_devices_that_stops_says_so(shell, ada):
    with_another = shell.result("device", "list")
    assert len(with_another) == 1
    assert "there are more" not in shell.run("device", "list", "--count", "1").stderr
    with opened_runtime() as runtime, runtime.database.write() as tx:
        register_device(
            tx, RULES, owner=None, display_name="spare", actor="operator", now=runtime.clock()
        )

    listed = shell.run("device", "list", "--count", "1")

    assert "there are more: --count, or --after dev_" in listed.stderr
    assert ada in shell.told("device", "list")


def test_names_from_strangers_do_not_drive_the_terminal(shell, ada):
    told = shell.told("device", "list")

    assert "\x1b" not in told
    assert "\\u001b[31m" in told
    assert ada in told


@pytest.mark.parametrize(
    "end",
    [(), ("--until", "2030-01-01T00:00Z", "--for", "1h"), ("--until", "2030-01-01T00:00")],
    ids=["none", "both", "no-zone"],
)
def test_an_override_has_one_end(shell, ada, end):
    shell.refused("device", "override", ada, "--reason", "x", *end)


def test_an_enrolment_token_is_for_a_person_and_a_while(shell, ada):
    made = shell.result("device", "enrol-token", "ADA", "--device", ada, "--link", "--for", "5m")

    assert made["link"] == f"https://id.example.com/enrol/{made['token']}"
    assert made["token"] not in json.dumps(shell.result("audit", "list"))
    assert "24h" in shell.refused("device", "enrol-token", "ada", "--for", "2d")


def test_a_token_that_would_miss_what_signals_say_is_warned_of(shell, ada):
    with opened_runtime() as runtime, runtime.database.write() as tx:
        names = (DeviceName(NameKind.SERIAL, "CAROL-1\x1b[2J"),)
        record = register_device(tx, RULES, names=names, actor="edr", now=runtime.clock())

    told = shell.told("device", "enrol-token", "ada")

    assert f"{record}  serial:CAROL-1\\u001b[2J" in told
    assert "--device ID" in told
    assert ada not in told
    assert "CAROL-1" not in shell.told("device", "enrol-token", "ada", "--device", record)


@pytest.mark.usefixtures("ada")
def test_a_token_is_not_warned_of_where_every_device_is_somebodys(shell):
    assert "--device" not in shell.told("device", "enrol-token", "ada")


@pytest.mark.parametrize("form", [bytes, lambda der: ssl.DER_cert_to_PEM_cert(der).encode()])
def test_a_certificate_makes_a_device_or_joins_one(shell, ada, form):
    path = shell.folder / "mac.crt"
    path.write_bytes(form(a_certificate()))
    made = shell.result("device", "enrol-certificate", "ada", str(path), "--name", "Ada's Mac")
    path.write_bytes(form(a_certificate("renewed")))
    joined = shell.result("device", "enrol-certificate", "ada", str(path), "--device", ada)

    assert made["device"] != joined["device"] == ada
    assert shell.result("device", "show", ada)["keys"] == [
        f"client_certificate {joined['certificate']}"
    ]
    assert shell.result("device", "show", made["device"])["name"] == "Ada's Mac"
    assert "enrolled before" in shell.refused("device", "enrol-certificate", "ada", str(path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no X.509 certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no X.509"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no X.509"),
        (a_certificate(since=LONG_AGO, until=LONG_AGO + timedelta(days=1)), "was over at 2020"),
    ],
    ids=["empty", "broken", "a-key", "over"],
)
@pytest.mark.usefixtures("ada")
def test_a_file_that_proves_nothing_enrols_nothing(shell, content, words):
    path = shell.folder / "mac.crt"
    path.write_bytes(content)

    assert words in shell.refused("device", "enrol-certificate", "ada", str(path))


def test_a_certificate_does_not_take_somebody_elses_device(shell, ada):
    shell.result("user", "add", "eve")
    path = shell.folder / "mac.crt"
    path.write_bytes(a_certificate())

    refused = shell.refused("device", "enrol-certificate", "eve", str(path), "--device", ada)

    assert "somebody else's" in refused
    assert shell.result("device", "show", ada)["keys"] == []


def test_a_session_is_listed_and_ended(shell, ada):
    (live,) = shell.result("session", "list", "--user", "ada")
    assert live["device"] == ada

    shell.told("session", "revoke", live["id"])

    assert shell.result("session", "list") == []
    assert "ended before" in shell.refused("session", "revoke", live["id"])


def test_every_change_is_in_the_audit_record_under_the_operators_name(shell):
    shell.result("source", "add", "edr")

    (event,) = shell.result("audit", "list", "--kind", "source")
    assert event["action"] == "source.created"
    assert event["actor"].startswith("cli:")
    assert shell.result("audit", "list", "--actor", "nobody") == []


def test_results_are_written_in_three_ways(shell):
    shell.result("client", "add", "ci", "--machine")

    assert shell.told("client", "list").splitlines()[0].split() == [
        "id",
        "name",
        "kind",
        "grant_types",
        "enabled",
    ]
    assert "- id: ci" in shell.told("--output", "yaml", "client", "list")
    assert "none" in shell.told("source", "list")


@pytest.mark.parametrize("command", ["user list", "db check", "db status", "db upgrade"])
def test_a_file_that_is_no_database_is_one_line_with_the_cure(shell, command):
    (shell.folder / "var" / "pratique.db").write_bytes(b"no database, and never was one" * 200)

    said = shell.refused(*command.split()).splitlines()

    assert len(said) == 1
    assert "file is not a database: mend what it says, or database.url" in said[0]


def test_a_database_that_is_down_is_one_line(shell):
    path = shell.folder / "var" / "pratique.db"
    path.unlink()
    path.mkdir()

    assert "database" in shell.refused("client", "list", code=1)
