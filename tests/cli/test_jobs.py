"""What waits to be delivered, and what was given up: an operator sees it, and has a word on it."""

from datetime import datetime

import pytest

from pdp.store import clients, jobs
from tests.builders import NOW
from tests.deployment import a_client


@pytest.fixture
def given_up(shell):
    """Two logouts that were given up, for two clients, and one change that waits."""
    found = {}
    database = shell.database()
    with database.write() as tx:
        jobs.enqueue(tx, "propagate-change", {}, now=NOW)
        for client in ("wiki", "mail"):
            clients.add(tx, a_client(client), now=NOW)
            jobs.enqueue(tx, "deliver-logout", {}, now=NOW, receiver=client)
            (job,) = jobs.claim(tx, now=NOW, receiver=client)
            jobs.bury(tx, job.id, error="the receiver answered 503, not 200")
            found[client] = job.id
    database.close()
    return found


def test_jobs_are_listed_with_client_and_last_error(shell, given_up):
    (wiki,) = shell.result("job", "list", "--state", "dead", "--client", "wiki")

    assert wiki["id"] == given_up["wiki"]
    assert (wiki["client"], wiki["attempts"], wiki["next"]) == ("wiki", 1, None)
    assert "503" in wiki["last_error"]
    assert len(shell.result("job", "list")) == 3
    assert len(shell.result("job", "list", "--count", "1")) == 1


@pytest.mark.parametrize("word", ["list", "retry --all-dead", "drop --all-waiting"])
def test_a_client_that_nobody_knows_is_no_client_without_jobs(shell, given_up, word):
    assert given_up
    told = shell.refused("job", *word.split(), "--client", "wikki")

    assert "no client 'wikki': see `pdp client list`" in told


def test_a_job_that_was_given_up_begins_anew(shell, given_up):
    told = shell.told("job", "retry", given_up["wiki"])

    (ready,) = shell.result("job", "list", "--client", "wiki")
    assert "1 to be tried at once" in told
    assert (ready["state"], ready["attempts"]) == ("ready", 0)
    assert datetime.fromisoformat(ready["since"]) > NOW
    (event,) = shell.result("audit", "list", "--kind", "job")
    assert (event["action"], event["object"]) == ("job.retried", given_up["wiki"])


def test_everything_for_one_client_begins_anew(shell, given_up):
    shell.told("job", "retry", "--all-dead", "--client", "mail")

    dead = shell.result("job", "list", "--state", "dead")
    assert [each["id"] for each in dead] == [given_up["wiki"]]


def test_what_nobody_needs_any_more_is_dropped(shell, given_up):
    shell.told("job", "drop", "--all-dead")

    assert [each["type"] for each in shell.result("job", "list")] == ["propagate-change"]
    dropped = {event["object"] for event in shell.result("audit", "list", "--kind", "job")}
    assert dropped == set(given_up.values())


@pytest.mark.usefixtures("given_up")
def test_a_job_that_is_being_tried_is_left_to_its_worker(shell):
    database = shell.database()
    with database.write() as tx:
        (running,) = jobs.claim(tx, now=NOW)
    database.close()

    assert running.id in shell.refused("job", "retry", running.id)


@pytest.mark.parametrize("word", ["retry", "drop"])
def test_a_command_about_no_job_or_about_two_choices_is_refused(shell, given_up, word):
    assert "name jobs" in shell.refused("job", word)
    assert "name jobs" in shell.refused("job", word, given_up["wiki"], "--all-dead")
    assert "name jobs" in shell.refused("job", word, given_up["wiki"], "--client", "wiki")
    assert "no job" in shell.refused("job", word, "job_none")


def test_the_list_of_sources_tells_when_each_spoke_last(shell):
    shell.result("source", "add", "edr")
    (silent,) = shell.result("source", "list")

    assert silent["last_delivery"] is None


def test_no_job_is_touched_when_one_of_those_named_is_unknown(shell, given_up):
    shell.refused("job", "drop", given_up["wiki"], "job_none")

    assert len(shell.result("job", "list", "--state", "dead")) == 2


def test_all_that_waits_for_a_receiver_that_will_not_come_back_is_dropped(shell, given_up):
    shell.told("job", "retry", given_up["mail"])
    shell.told("job", "drop", "--all-waiting", "--all-dead", "--client", "mail")

    left = {each["client"] for each in shell.result("job", "list")}
    assert left == {None, "wiki"}
    assert "--client" in shell.refused("job", "drop", "--all-waiting")


def test_a_list_that_was_cut_says_so(shell, given_up):
    assert "3 jobs in all" in shell.told("job", "list", "--count", "2")
    assert "in all" not in shell.told("job", "list")
    assert given_up["wiki"] in shell.told("job", "list")


def test_a_job_that_is_due_is_not_shown_with_a_time_that_is_over(shell, given_up):
    (waiting,) = [each for each in shell.result("job", "list") if each["state"] == "ready"]

    assert waiting["next"] == "due"
    assert waiting["id"] not in given_up.values()
