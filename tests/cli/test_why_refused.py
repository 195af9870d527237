"""Why was somebody refused: the record of failed sign-ins, and names that nobody bears."""

import pytest

from pdp.cli.context import opened_runtime
from pdp.domain.events import Action
from pdp.store import subjects
from pdp.store.database import Statement
from pdp.usecases.register_device import register_device
from pdp.usecases.sign_in import Method, Refusal, record_failure
from tests.builders import NOW
from tests.deployment import RULES


@pytest.fixture
def ada(shell):
    """Ada, who typed a wrong password, and Bob, who did so too; returns Ada's id."""
    for name in ("ada", "bob"):
        shell.result("user", "add", name)
    with opened_runtime() as runtime, runtime.database.write() as tx:
        for name in ("ada", "bob"):
            person = subjects.find(tx, name)
            assert person is not None
            record_failure(
                tx,
                person.id,
                Method.PASSWORD,
                Refusal.WRONG_PASSWORD,
                address="192.0.2.1",
                now=runtime.clock(),
            )
    return shell.result("user", "show", "ada")["id"]


@pytest.mark.parametrize("spelling", ["ada", "ADA", "id"])
def test_the_record_is_told_of_one_person_by_name_or_id(shell, ada, spelling):
    found = shell.result("audit", "list", "--user", ada if spelling == "id" else spelling)

    assert {event["object"] for event in found} == {ada}
    assert found[0]["action"] == Action.SIGN_IN_FAILED
    assert found[0]["detail"]["reason"] == "wrong-password"


@pytest.mark.usefixtures("ada")
def test_who_has_no_decision_is_told_where_failed_sign_ins_are(shell):
    answer = shell.run("--output", "json", "decision", "list", "--subject", "ada")

    assert (answer.exit_code, answer.stdout.strip()) == (0, "[]")
    assert "`pdp audit list --user ada`" in answer.stderr


def test_a_pseudonym_that_nobody_has_may_be_of_somebody_erased(shell):
    assert shell.result("decision", "list", "--subject", "usr_erased") == []
    assert shell.result("audit", "list", "--user", "usr_erased") == []


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["decision", "list", "--subject", "nosuch"], "no user 'nosuch'"),
        (["decision", "list", "--client", "nosuch"], "no client 'nosuch'"),
        (["decision", "list", "--device", "nosuch"], "no device 'nosuch'"),
        (["audit", "list", "--user", "nosuch"], "no user 'nosuch'"),
        (["audit", "list", "--user", "ada", "--object", "x"], "give one of them"),
    ],
    ids=["subject", "client", "device", "user", "user and object"],
)
def test_a_name_that_nobody_bears_is_an_error_and_not_nothing(shell, command, told):
    assert told in shell.refused(*command)


def test_a_client_that_was_asked_nothing_is_no_error(shell):
    shell.told("client", "add", "wiki", "--public", "--redirect-uri", "https://wiki.example/back")

    assert shell.result("decision", "list", "--client", "wiki") == []


def test_a_device_about_which_nothing_was_decided_is_no_error(shell):
    database = shell.database()
    with database.write() as tx:
        device = register_device(tx, RULES, actor="root", now=NOW)
        # Whatever became of its row, it is there.
        tx.run(Statement("UPDATE devices SET readings = '7'"), {})
    database.close()

    assert shell.result("decision", "list", "--device", device) == []
