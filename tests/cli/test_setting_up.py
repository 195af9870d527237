"""`pdp init`, `config`, `db`, `doctor`: from nothing to ready, and every problem told at once."""

import json
import os
import re
import stat

import pytest
from click.testing import CliRunner

from pdp import __version__
from pdp.cli import COMMANDS, main
from pdp.store.database import Statement
from pdp.store.envelope import Envelope
from tests.cli.conftest import use_free_ports
from tests.servers import free_port

_DOCTOR = ("--output", "json", "doctor")


def _mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_init_makes_everything_and_says_what_comes_next(empty):
    told = empty.told("init", "--issuer", "https://id.example.com")

    assert "issuer: https://id.example.com" in (empty.folder / "config.yaml").read_text()
    assert _mode(empty.folder / "var" / "master.key") == 0o600
    assert _mode(empty.folder / "var" / "pratique.db") & 0o077 == 0
    assert "RS256 signing key" in told
    assert "pdp admin create" in told
    assert empty.told("db", "check")


def test_init_again_changes_nothing(shell):
    before = (shell.folder / "var" / "master.key").read_bytes()
    keys = shell.result("keys", "list")

    told = shell.told("init", "--issuer", "https://other.example.com")

    assert "--issuer was not used" in told
    assert (shell.folder / "var" / "master.key").read_bytes() == before
    assert shell.result("keys", "list") == keys


def test_init_for_trying_out_writes_the_development_profile(empty):
    empty.told("init", "--issuer", "http://localhost:8080", "--dev")

    assert {"setting": "dev", "value": True, "from": f"{empty.folder}/config.yaml:4"} in (
        empty.result("config", "show")
    )


def test_init_lets_the_server_listen_where_an_issuer_on_this_machine_says(empty):
    told = empty.told("init", "--issuer", "http://localhost:8180", "--dev")

    shown = {each["setting"]: each["value"] for each in empty.result("config", "show")}
    assert shown["server.port"] == 8180
    assert "server.port" not in told


def test_init_warns_where_an_issuer_on_this_machine_names_another_port(empty, monkeypatch):
    monkeypatch.setenv("PDP__SERVER__PORT", "8280")

    told = empty.told("init", "--issuer", "http://localhost:8180", "--dev")

    assert "the server listens on port 8280: set server.port: 8180" in told


@pytest.mark.parametrize(
    "issuer",
    ["http://id.example.com", "id.example.com", "https://a/", "http://localhost:port"],
)
def test_a_bad_issuer_is_in_no_file(empty, issuer):
    empty.refused("init", "--issuer", issuer)

    assert not (empty.folder / "config.yaml").exists()


def test_without_issuer_the_cure_is_named(empty):
    (empty.folder / "config.yaml").write_text("")

    assert "pdp init --issuer" in empty.refused("init")


def test_every_problem_of_the_settings_is_told_with_its_place(shell, monkeypatch):
    (shell.folder / "config.yaml").write_text(
        "issuer: https://id.example.com\nserver:\n  port: many\n  prot: 1\n"
    )
    monkeypatch.setenv("PDP__LIFETIMES__CODE", "soon")
    monkeypatch.setenv("PDP__DATABSE__URL", "x")

    told = shell.refused("config", "validate")

    assert "server.port (" in told
    assert "config.yaml:3)" in told
    assert "'many'" in told
    assert "did you mean server.port?" in told
    assert "lifetimes.code (PDP__LIFETIMES__CODE)" in told
    assert "PDP__DATABSE__URL: there is no setting" in told


def test_secrets_are_in_no_error_and_in_no_list(shell, monkeypatch):
    monkeypatch.setenv("PDP__DATABASE__URL", "mysql://root:hunter2@db/x")
    assert "hunter2" not in shell.refused("config", "validate")

    monkeypatch.setenv("PDP__DATABASE__URL", "postgresql+psycopg://root:hunter2@db/x")
    monkeypatch.setenv("PDP__KEYS__MASTER", "topsecret")
    told = shell.told("config", "show")
    assert "PDP__KEYS__MASTER" in told
    assert "hunter2" not in told
    assert "topsecret" not in told


def test_settings_that_are_no_yaml_are_named(shell):
    (shell.folder / "config.yaml").write_text("issuer: [")

    assert "config.yaml" in shell.refused("config", "validate")


def test_a_settings_file_that_was_named_must_be_there(empty):
    told = empty.refused("--config", str(empty.folder / "none.yaml"), "config", "validate")

    assert "none.yaml" in told


def test_the_schema_of_the_settings_is_json_schema(empty):
    schema = json.loads(empty.told("config", "schema"))

    assert schema["required"] == ["issuer"]


def test_an_empty_database_is_refused_with_the_cure(empty):
    (empty.folder / "config.yaml").write_text("issuer: https://id.example.com\n")
    (empty.folder / "var").mkdir()
    CliRunner().invoke(main, ["init"])
    (empty.folder / "var" / "pratique.db").unlink()

    assert "run `pdp init`" in empty.refused("keys", "list")


def test_a_schema_of_another_version_is_refused(shell):
    database = shell.database()
    with database.write() as tx:
        tx.run(Statement("UPDATE alembic_version SET version_num = '9999'"), {})
    database.close()

    assert "newer version" in shell.refused("client", "list")
    assert "newer version" in shell.refused("db", "upgrade")
    assert "newer version" in shell.refused("db", "downgrade", "base", "--yes")
    assert shell.result("db", "status")["revision"] == "9999"


def test_a_revision_that_does_not_exist_is_named_with_those_that_do(shell):
    assert "'0815': name one of 0001" in shell.refused("db", "upgrade", "0815")


def test_the_schema_goes_down_and_up(shell):
    shell.told("db", "downgrade", "base", "--yes")
    assert shell.result("db", "status")["revision"] is None

    shell.told("db", "upgrade")
    shell.told("db", "check")


def test_a_downgrade_asks_first(shell):
    assert shell.run("db", "downgrade", "base", typed="n\n").exit_code == 1
    shell.told("db", "check")


def test_tables_that_somebody_changed_are_told(shell):
    database = shell.database()
    with database.write() as tx:
        tx.run(Statement("CREATE TABLE extra (id INTEGER PRIMARY KEY)"), {})
    database.close()

    assert "extra" in shell.refused("db", "check")


@pytest.mark.parametrize("words", ["keys list", "serve", "init"])
def test_a_master_key_that_is_gone_is_to_be_put_back_and_none_is_made(shell, words, monkeypatch):
    use_free_ports(monkeypatch)
    key = shell.folder / "var" / "master.key"
    fingerprint = Envelope.from_text(key.read_text()).key_id
    key.unlink()

    told = shell.refused(*words.split())

    assert f"fingerprint {fingerprint}: put that one back" in told
    assert not key.exists()


def test_a_new_deployment_without_a_master_key_is_sent_to_init(empty):
    (empty.folder / "config.yaml").write_text("issuer: https://id.example.com\n")

    assert "for a new deployment run `pdp init`" in empty.refused("keys", "list")
    assert not (empty.folder / "var" / "pratique.db").exists()


def test_the_fingerprint_of_the_master_key_is_shown(empty):
    told = empty.told("init", "--issuer", "https://id.example.com")

    key = Envelope.from_text((empty.folder / "var" / "master.key").read_text())
    assert f"fingerprint {key.key_id}" in told
    assert f"fingerprint {key.key_id}" in _checks(empty)["master key"]["found"]


def test_the_doctor_lists_what_is_missing(shell):
    answer = shell.run("--output", "json", "doctor")

    found = {check["check"]: check for check in json.loads(answer.stdout)}
    assert answer.exit_code == 1
    assert found["issuer"]["ok"]
    assert "pdp admin create" in found["administrators"]["cure"]
    assert "break-glass" in found["break-glass"]["cure"]
    assert all(check["ok"] or check["cure"] for check in found.values())


def test_the_doctor_finds_nothing_where_nothing_is_missing(shell, monkeypatch):
    monkeypatch.setenv("PDP__SERVER__TRUSTED_PROXIES", '["127.0.0.1"]')
    shell.told("admin", "create", "root")
    shell.told("admin", "break-glass", "set", "root")

    assert shell.run("doctor").exit_code == 0


#: A setting, its value, and the check that finds it.
UNSAFE = (
    ("PDP__SERVER__TRUSTED_PROXIES", '["0.0.0.0/0"]', "trusted proxies"),
    ("PDP__SERVER__MANAGEMENT_HOST", "0.0.0.0", "management address"),  # noqa: S104
    ("PDP__OUTBOUND__ALLOW_HTTP", "true", "outbound"),
    ("PDP__REDIS__URL", "redis://127.0.0.1:1", "redis"),
)


@pytest.mark.parametrize(("variable", "value", "check"), UNSAFE, ids=[row[2] for row in UNSAFE])
def test_the_doctor_finds_unsafe_settings(shell, monkeypatch, variable, value, check):
    before = _unhealthy(shell)
    monkeypatch.setenv(variable, value)

    assert _unhealthy(shell) - before == {check}


#: The issuer, where the server listens, whose word it believes: and whether people are safe.
ENCRYPTION = (
    ("https://id.example.com", "127.0.0.1", "[]", False),
    ("https://id.example.com", "0.0.0.0", "[]", False),  # noqa: S104  what is found
    ("https://id.example.com", "127.0.0.1", '["127.0.0.1"]', True),
    ("http://localhost:8080", "127.0.0.1", "[]", True),
)


@pytest.mark.parametrize(("issuer", "host", "proxies", "is_safe"), ENCRYPTION)
def test_the_doctor_asks_who_speaks_tls_for_an_https_issuer(  # noqa: PLR0917  a row of the table
    shell, monkeypatch, issuer, host, proxies, is_safe
):
    monkeypatch.setenv("PDP__ISSUER", issuer)
    monkeypatch.setenv("PDP__DEV", str(issuer.startswith("http://")))
    monkeypatch.setenv("PDP__SERVER__HOST", host)
    monkeypatch.setenv("PDP__SERVER__TRUSTED_PROXIES", proxies)

    found = _checks(shell)["encryption"]

    assert found["ok"] is is_safe
    assert is_safe or "server.trusted_proxies" in found["cure"]


def test_the_doctor_says_what_trusted_proxies_must_drop(shell, monkeypatch):
    monkeypatch.setenv("PDP__SERVER__TRUSTED_PROXIES", '["127.0.0.1"]')

    assert "drop X-Forwarded-For and Client-Cert" in _checks(shell)["trusted proxies"]["found"]


def test_the_doctor_looks_at_a_database_without_a_schema(shell):
    shell.told("db", "downgrade", "base", "--yes")

    schema = _checks(shell)["schema"]

    assert (schema["ok"], schema["found"]) == (False, "the database is empty")
    assert schema["cure"] == "run `pdp init`"


@pytest.mark.parametrize("look", ["doctor", "db status", "db check", "user list"])
def test_whoever_looks_at_a_database_that_is_not_there_makes_none(shell, look):
    path = shell.folder / "var" / "pratique.db"
    path.unlink()

    shell.run(*look.split())

    assert not path.exists()
    assert _checks(shell)["schema"]["cure"] == "run `pdp init`"


def test_a_database_is_its_account_s_alone_whoever_makes_it(shell):
    path = shell.folder / "var" / "pratique.db"
    path.unlink()
    before = os.umask(0o022)
    try:
        shell.told("db", "upgrade")
    finally:
        os.umask(before)

    parts = path.parent.glob(f"{path.name}*")
    assert {stat.S_IMODE(part.stat().st_mode) for part in parts} == {0o600}


def test_durations_are_shown_as_they_are_written(shell):
    shown = shell.told("config", "show")

    assert re.search(r"^lifetimes\.session_idle +8h +default$", shown, re.MULTILINE)


def test_the_doctor_looks_at_settings_though_the_master_key_is_gone(shell):
    (shell.folder / "var" / "master.key").unlink()

    found = _checks(shell)

    assert "put it back" in found["master key"]["cure"]
    assert "put that one back" in found["deployment"]["found"]


def _checks(shell):
    return {each["check"]: each for each in json.loads(shell.run(*_DOCTOR).stdout)}


def _unhealthy(shell):
    return {name for name, each in _checks(shell).items() if not each["ok"]}


def test_the_doctor_finds_a_key_that_others_can_read(shell):
    (shell.folder / "var" / "master.key").chmod(0o644)

    assert "master key" in _unhealthy(shell)


def test_the_version_is_quick_to_tell(empty):
    assert empty.told("version") == f"pratique {__version__}\n"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(empty, name):
    assert "Usage" in empty.told(name, "--help")


def test_help_lists_every_command(empty):
    told = empty.told("--help")

    assert not [name for name in COMMANDS if name != "http" and f"  {name} " not in told]


def test_an_unknown_command_is_usage(empty):
    assert "No such command" in empty.refused("frobnicate")


@pytest.mark.parametrize("content", [None, b"no certificate"], ids=["missing", "no-pem"])
def test_authorities_that_cannot_be_read_are_named(shell, monkeypatch, content):
    path = shell.folder / "authorities.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("PDP__OUTBOUND__CA_BUNDLE", str(path))

    assert f"outbound.ca_bundle: {path}" in shell.refused("client", "list")


def test_a_secret_comes_from_a_file_that_a_variable_names(shell, monkeypatch):
    key = shell.folder / "var" / "master.key"
    monkeypatch.setenv("PDP__KEYS__MASTER_FILE", str(key.rename(shell.folder / "secret")))

    assert shell.result("keys", "list")
    shown = {each["setting"]: each for each in shell.result("config", "show")}
    assert shown["keys.master"]["from"] == "PDP__KEYS__MASTER_FILE"


def test_a_file_with_a_secret_that_is_missing_is_named(shell, monkeypatch):
    monkeypatch.setenv("PDP__KEYS__MASTER_FILE", "none.key")

    assert "none.key" in shell.refused("config", "validate")


def test_health_of_a_server_that_does_not_run_is_told(shell, monkeypatch):
    monkeypatch.setenv("PDP__SERVER__MANAGEMENT_PORT", str(free_port()))

    assert "pdp serve" in shell.refused("health", code=1)
