"""`pdp user` and `pdp admin`: passwords shown once and never taken as arguments, clear failures."""

import json

import pytest
from click.testing import CliRunner

from pdp.cli import main
from pdp.store.database import Database
from pdp.store.envelope import new_master_key
from pdp.usecases.passwords import Passwords, Verdict

GOOD = "a lighthouse keeps its own hours"


class Terminal:
    """A terminal on the machine of a deployment."""

    def __init__(self, url):
        self.url = url

    def run(self, *words, typed=""):
        return CliRunner().invoke(main, ["--output", "json", *words], input=typed)

    def result(self, *words, typed=""):
        """Run a command that works; return what it shows."""
        answer = self.run(*words, typed=typed)
        assert answer.exit_code == 0, answer.output
        return json.loads(answer.stdout) if answer.stdout else None

    def told(self, *words, typed=""):
        """Run a command that works; return what it tells people."""
        answer = self.run(*words, typed=typed)
        assert answer.exit_code == 0, answer.output
        return answer.stderr

    def stored(self, query):
        database = Database.open(self.url)
        with database.engine.connect() as connection:
            rows = connection.exec_driver_sql(query).all()
        database.close()
        return rows

    def opens(self, password):
        """Tell whether `password` is that of the only person."""
        [row] = self.stored("SELECT password_hash FROM subjects")
        return Passwords(concurrency=1).check(password, row.password_hash) is Verdict.RIGHT


@pytest.fixture
def terminal(sqlite_url, monkeypatch, tmp_path):
    """A terminal where `pdp init` was run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PDP__ISSUER", "https://id.example.com")
    monkeypatch.setenv("PDP__DATABASE__URL", sqlite_url)
    monkeypatch.setenv("PDP__KEYS__MASTER", new_master_key())
    terminal = Terminal(sqlite_url)
    terminal.run("init")
    return terminal


def test_a_generated_password_is_shown_once_and_must_be_changed(terminal):
    made = terminal.result("user", "add", "Ada", "--name", "Ada L.", "--group", "staff")

    assert made["username"] == "ada"
    assert terminal.opens(made["password"])
    shown = terminal.result("user", "show", "ADA")
    assert (shown["must_change_password"], shown["groups"]) == (True, ["staff"])
    assert made["password"] not in json.dumps(
        [shown, *map(str, terminal.stored("SELECT * FROM audit_events"))]
    )


def test_a_password_comes_from_stdin_and_is_not_shown(terminal):
    made = terminal.result("user", "add", "ada", "--password-stdin", typed=f"{GOOD}\r\nmore\n")

    assert made.keys() == {"id", "username"}
    assert terminal.opens(GOOD)


#: A command line, what is typed into it, and what it is told.
WRONG = (
    ("user add ada --password-stdin", "", "at least 12"),
    ("user add ada --password-stdin", "password1234\n", "guessers"),
    ("user add ada --password-stdin", "ada\n", "at least 12"),
    ("user add a\x1bda", "", "unprintable character U+001B"),
    ("user add ada --email x", "", "name@example.org"),
    ("user add ada --group a\u2007b", "", "space at place 2"),
    ("user add ada a-password", "", "unexpected extra argument"),
    ("user show bob", "", "no user 'bob'"),
    ("user disable bob", "", "no user 'bob'"),
    ("user reset-password bob", "", "no user 'bob'"),
    ("admin break-glass set bob", "", "no user 'bob'"),
)


def test_what_is_wrong_is_told_with_exit_code_2(terminal):
    for line, typed, problem in WRONG:
        answer = terminal.run(*line.split(" "), typed=typed)
        assert (answer.exit_code, problem in answer.stderr) == (2, True), answer.stderr

    assert terminal.stored("SELECT id FROM subjects") == []


def test_a_taken_name_is_told(terminal):
    terminal.result("user", "add", "ada")
    answer = terminal.run("user", "add", "ADA")

    assert answer.exit_code == 2
    assert "user 'ada' exists already" in answer.stderr


def test_an_account_is_shut_and_opened_again(terminal):
    terminal.result("user", "add", "ada")

    assert "ada is disabled" in terminal.told("user", "disable", "ada")
    assert [row["enabled"] for row in terminal.result("user", "list")] == [False]
    assert "ada is enabled" in terminal.told("user", "enable", "ada")
    assert "was enabled already" in terminal.told("user", "enable", "ada")


def test_a_reset_password_must_be_changed_even_if_an_administrator_chose_it(terminal):
    terminal.result("user", "add", "ada", "--password-stdin", typed=f"{GOOD}\n")
    generated = terminal.result("user", "reset-password", "ada")["password"]
    assert terminal.opens(generated)

    terminal.result("user", "reset-password", "ada", "--password-stdin", typed=f"{GOOD}\n")

    assert terminal.opens(GOOD)
    assert terminal.result("user", "show", "ada")["must_change_password"]


def test_a_factor_is_reset(terminal):
    terminal.result("user", "add", "ada")

    assert "ada has no second factor now" in terminal.told("user", "reset-factor", "ada")


def test_people_enter_and_leave_groups(terminal):
    terminal.result("user", "add", "ada")

    assert "changed groups" in terminal.told("user", "group", "add", "ada", "staff", "ops")
    assert "in all of them already" in terminal.told("user", "group", "add", "ada", "ops")
    assert "changed groups" in terminal.told("user", "group", "remove", "ada", "staff")
    assert "in none of them" in terminal.told("user", "group", "remove", "ada", "staff")
    assert terminal.result("user", "show", "ada")["groups"] == ["ops"]
    assert terminal.run("user", "group", "add", "ada", "a b").exit_code == 2


def test_an_administrator_is_made_and_flagged_for_break_glass(terminal):
    terminal.result("admin", "create", "root", "--password-stdin", typed=f"{GOOD}\n")
    assert terminal.result("user", "show", "root")["groups"] == ["pdp-admins"]

    assert "root is a person" in terminal.told("admin", "break-glass", "set", "root")
    assert "was already" in terminal.told("admin", "break-glass", "set", "root")
    assert [row["username"] for row in terminal.result("admin", "break-glass", "list")] == ["root"]
    assert "is no longer" in terminal.told("admin", "break-glass", "clear", "root")
    assert "was not" in terminal.told("admin", "break-glass", "clear", "root")


def test_each_change_is_recorded_with_who_made_it(terminal):
    terminal.result("user", "add", "ada")
    terminal.told("user", "disable", "ada")

    rows = terminal.stored("SELECT actor, action FROM audit_events WHERE kind = 'subject'")
    assert {row.action for row in rows} == {"subject.created", "subject.disabled"}
    assert all(row.actor.startswith("cli:") for row in rows)
