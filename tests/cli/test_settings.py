"""Settings: paths follow the file that names them, and what is wrong is told with its cure."""

import subprocess
import sys

import pytest
from ruamel.yaml import YAML

_PATHS = {
    "database": {"url": "sqlite:///data/x.db"},
    "server": {"tls_certificate": "tls/chain.pem", "tls_key": "/etc/key.pem"},
    "keys": {"master_path": "secret/master.key"},
    "outbound": {"ca_bundle": "../ca.pem"},
}


@pytest.fixture
def elsewhere(shell, tmp_path_factory, monkeypatch):
    """A deployment, looked at from another folder."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    return shell


def _shown(shell):
    return {each["setting"]: each["value"] for each in shell.result("config", "show")}


def _write(shell, settings):
    with (shell.folder / "config.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump({"issuer": "https://id.example.com", **settings}, file)


def test_paths_in_the_settings_file_are_taken_from_its_folder(elsewhere):
    _write(elsewhere, _PATHS)

    folder, shown = elsewhere.folder, _shown(elsewhere)

    assert shown["database.url"] == f"sqlite:///{folder}/data/x.db"
    assert shown["server.tls_certificate"] == f"{folder}/tls/chain.pem"
    assert shown["server.tls_key"] == "/etc/key.pem"
    assert shown["keys.master_path"] == f"{folder}/secret/master.key"
    assert shown["outbound.ca_bundle"] == f"{folder}/../ca.pem"


def test_a_deployment_is_the_same_from_every_folder(elsewhere):
    config = str(elsewhere.folder / "config.yaml")

    elsewhere.told("--config", config, "user", "add", "ada")

    assert "everything was there already" in elsewhere.told("--config", config, "init")
    assert [each["username"] for each in elsewhere.result("user", "list")] == ["ada"]


def test_a_settings_file_may_be_named_from_the_working_folder(shell, monkeypatch):
    monkeypatch.chdir(shell.folder.parent)

    shell.told("--config", f"{shell.folder.name}/config.yaml", "user", "list")


def test_paths_in_the_environment_are_taken_from_the_working_folder(elsewhere, monkeypatch):
    monkeypatch.setenv("PDP__DATABASE__URL", "sqlite:///here.db")

    assert _shown(elsewhere)["database.url"] == "sqlite:///here.db"


#: A variable, its value, and what is said of it.
UNUSABLE = (
    ("PDP__SERVER__TRUSTED_PROXIES", "10.0.0.0/8", 'write ["10.0.0.0/8"]'),
    ("PDP__SERVER__TRUSTED_PROXIES", '["10.0.0.0/33"]', "'10.0.0.0/33' is no network"),
    ("PDP__OUTBOUND__ALLOW_NETWORKS", '["10.1.2.3/8"]', "write 10.0.0.0/8"),
    ("PDP__OUTBOUND__ALLOW_NETWORKS", "7", "is no list"),
    ("PDP__SERVER", "8443", "is a group of settings: name one of them"),
    ("PDP__SERVER", "localhost", "is a group of settings: name one of them, as PDP__SERVER__…"),
    ("PDP__SERVER__PORT", "many", "must be a whole number, got 'many'"),
    ("PDP__SERVER__WORKERS", "0", "must be 1 or more, got '0'"),
    ("PDP__SERVER__PORT", "70000", "must be 65535 or less, got '70000'"),
    ("PDP__DEV", "maybe", "must be true or false, got 'maybe'"),
    ("PDP__LIFETIMES__CODE", "60x", "write 90s, 10m, 4h or 7d, got '60x'"),
    ("PDP__LIFETIMES__CODE", "0", "must be more than 0, got '0'"),
    ("PDP__LOGGING__LEVEL", "loud", "must be 'debug', 'info', 'warning' or 'error', got 'loud'"),
    ("PDP__KEYS__MASTER_FILE", "/nope", "PDP__KEYS__MASTER_FILE: /nope cannot be read: No such"),
    ("PDP__SERVER__MANAGEMENT_PORT", "8080", "port and management_port are both 8080"),
    ("PDP__SUPPORT", "javascript:alert(1)", "an e-mail address (help@example.com) or an https://"),
    ("PDP__SUPPORT", "http://help.example.com", "https:// link"),
    ("PDP__SUPPORT", "data:a@b", "https:// link"),
)


@pytest.mark.parametrize(
    ("variable", "value", "said"), UNUSABLE, ids=[f"{row[0]}={row[1]}" for row in UNUSABLE]
)
def test_a_value_that_cannot_be_used_is_told_with_its_variable_and_cure(
    shell, monkeypatch, variable, value, said
):
    monkeypatch.setenv(variable, value)

    told = shell.refused("config", "validate")

    assert said in told
    assert variable in told or "management_port" in said
    assert "pydantic" not in told
    assert "Input should" not in told


@pytest.mark.parametrize(
    "support", ["", "help@example.com", "root@localhost", "https://help.example.com/pratique?a=b"]
)
def test_help_is_an_address_or_a_link(shell, monkeypatch, support):
    monkeypatch.setenv("PDP__SUPPORT", support)

    shell.told("config", "validate")


def test_a_settings_file_that_repeats_itself_is_named(shell):
    (shell.folder / "config.yaml").write_text(
        "issuer: https://a.example\nissuer: https://b.example\n"
    )

    assert "config.yaml: cannot be read" in shell.refused("config", "validate")


@pytest.mark.usefixtures("shell")
def test_other_wsgi_servers_are_as_strict_about_variables(monkeypatch):
    monkeypatch.setenv("PDP__DATABSE__URL", "sqlite:///x.db")

    started = subprocess.run(
        [sys.executable, "-c", "import pdp.wsgi"], capture_output=True, text=True, check=False
    )

    assert started.returncode == 1
    assert "PDP__DATABSE__URL: there is no setting" in started.stderr
