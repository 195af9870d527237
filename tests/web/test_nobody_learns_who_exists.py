"""Known or unknown: people and clients are told the same, and it takes as long."""

import time
from statistics import median

import pytest

from pdp.clock import new_id
from pdp.domain.ids import ClientId
from pdp.oidc import endpoints
from pdp.oidc.request import Call
from pdp.store import clients, subjects
from tests.builders import NOW
from tests.oidc.world import World, a_confidential_client
from tests.web.browser import ISSUER, PASSWORD, Browser, a_person
from tests.web.routes import told

SAMPLES = 500
LARGEST_DIFFERENCE = 0.005


def test_the_sign_in_page_says_the_same_of_every_name(browser: Browser):
    world = browser.world
    a_person(world, "eve")
    shut = a_person(world, "mallory")
    with world.database.write() as tx:
        subjects.disable(tx, shut, now=NOW)
    form = browser.authorize().forms[0]

    def answer(username: str, password: str) -> tuple[int, str, str]:
        values = {**form.values, "username": username, "password": password}
        status, location, text = told(
            browser.client.post(form.action, data=values, base_url=ISSUER)
        )
        return status, location, text.replace(username, "NAME")

    answers = [
        answer("bob", "wrong"),
        answer("eve", "wrong"),
        answer("nobody", "wrong"),
        answer("nobody", PASSWORD),
        answer("mallory", "wrong"),
        answer("mallory", PASSWORD),
    ]

    assert answers[0][0] == 401
    assert answers == [answers[0]] * len(answers)


@pytest.mark.parametrize("endpoint", [endpoints.token, endpoints.introspect, endpoints.revoke])
def test_a_client_that_does_not_exist_is_answered_like_a_wrong_secret_and_as_fast(
    world: World, endpoint
):
    with world.database.write() as tx:
        clients.add(tx, a_confidential_client("shut"), now=NOW)
        clients.set_disabled(tx, ClientId("shut"), NOW)
    names = ("wiki", "nobody", "shut")
    times: dict[str, list[float]] = {name: [] for name in names}
    answers: dict[str, set[tuple[int, str]]] = {name: set() for name in names}

    for number in range(SAMPLES):
        for name in names:
            call = Call(
                body=f"grant_type=client_credentials&token=x&client_id={name}"
                f"&client_secret={new_id('guess')}".encode(),
                content_type="application/x-www-form-urlencoded",
                authorization=None,
                # One address would soon be told to wait.
                address=f"198.51.{number // 250}.{number % 250}",
            )
            started = time.perf_counter()
            answer = endpoint(world.server, call)
            times[name].append(time.perf_counter() - started)
            answers[name].add((answer.status, answer.body))

    assert answers["wiki"] == answers["nobody"] == answers["shut"]
    assert len(answers["wiki"]) == 1
    medians = [median(taken) for taken in times.values()]
    assert max(medians) - min(medians) < LARGEST_DIFFERENCE


@pytest.mark.parametrize("odd", ["unknown", "foreign", "expired", "of another kind"])
def test_introspection_says_the_same_of_every_token_that_is_not_good(world: World, odd: str):
    issued = world.tokens()
    token, caller = {
        "unknown": ("a-token-that-nobody-made", "wiki"),
        "foreign": (issued["access_token"], "other"),
        "expired": (issued["access_token"], "wiki"),
        "of another kind": (issued["id_token"], "wiki"),
    }[odd]
    if odd == "expired":
        world.pass_time(seconds=300)

    assert world.introspect(token, caller) == {"active": False}
