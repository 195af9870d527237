"""The steps of a sign-in in every order, empty, and from another browser: none is skipped."""

from collections.abc import Iterator
from itertools import permutations

import pytest

from pdp.domain.ids import SubjectId
from pdp.store import clients, subjects
from tests.builders import NOW
from tests.deployment import a_risky, ingest
from tests.oidc.world import REDIRECT, World, a_confidential_client
from tests.web.browser import (
    ISSUER,
    PASSWORD,
    Browser,
    Page,
    a_person,
    an_authenticator,
)
from tests.web.routes import RULES

BOB = SubjectId("usr_bob")
NEW_PASSWORD = "another quiet walk, this time uphill"
#: What a flow takes, in the order in which it is due.
FLOWS = {
    "a new password": ("signin", "password", "consent"),
    "a second factor": ("signin", "factor", "consent"),
}
STEPS = ("signin", "password", "factor", "consent")
OF_A_REQUEST = [rule for rule in RULES if "request_id" in rule.arguments]


class Flow:
    """Bob before a client of a third party, with a step of his own between sign-in and consent."""

    def __init__(self, browser: Browser, needs: str) -> None:
        self.browser = browser
        self.steps = FLOWS[needs]
        self.acr = "mfa" if "factor" in self.steps else None
        world = browser.world
        with world.database.write() as tx:
            clients.add(tx, a_confidential_client("guest", first_party=False), now=NOW)
            if "password" in self.steps:
                hashed = world.runtime.passwords.hash(PASSWORD)
                assert isinstance(hashed, str)
                subjects.set_password(tx, BOB, hashed, must_change=True, now=NOW)
        self.code = an_authenticator(world, BOB).code if self.acr else "000000"
        page = browser.authorize("guest", acr_values=self.acr)
        self.request_id = page.path.rpartition("/")[2]
        self.csrf_token = page.forms[0].values["csrf_token"]

    def right(self, step: str) -> dict[str, str]:
        """Return what a person who may go on would send."""
        return {
            "signin": {"username": "bob", "password": PASSWORD},
            "password": {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
            "factor": {"code": self.code},
            "consent": {"decision": "allow"},
        }[step]

    def send(self, step: str, values: dict[str, str]) -> Page:
        """Post to a step, whichever is due."""
        return self.browser.post(
            f"/{step}/{self.request_id}", {"csrf_token": self.csrf_token, **values}
        )

    def due(self) -> str:
        """Return the step that the request waits for."""
        return self.browser.get(f"/continue/{self.request_id}").path.split("/")[1]


@pytest.mark.parametrize(
    ("needs", "order"),
    [(needs, order) for needs in FLOWS for order in permutations(STEPS)],
    ids=str,
)
def test_steps_count_in_their_order_alone(browser: Browser, needs: str, order: tuple[str, ...]):
    flow, done = Flow(browser, needs), 0
    for step in (*order, *order, *order):
        page = flow.send(step, flow.right(step))
        is_due = done < len(flow.steps) and step == flow.steps[done]
        done += is_due
        assert ("code" in page.answer) is (is_due and done == len(flow.steps)), step

    assert done == len(flow.steps)


def _empty_and_odd(step: str, right: dict[str, str]) -> Iterator[dict[str, str]]:
    yield {}
    yield dict.fromkeys(right, "")
    yield {f"{name}[]": value for name, value in right.items()}
    yield {name.upper(): value for name, value in right.items()}
    yield dict.fromkeys(right, "true")
    yield {"step": "done", "next": "consent", "authenticated": "true", "acr": "mfa"}
    yield {name: f"{value}\0" for name, value in right.items()}
    if step == "signin":
        yield {"username": "bob"}


@pytest.mark.parametrize(
    ("needs", "due"),
    # At the last step anything but yes is no: `test_anything_but_yes_is_no`.
    [(needs, due) for needs, steps in FLOWS.items() for due in steps[:-1]],
)
def test_an_empty_or_odd_answer_to_any_step_gets_nobody_on(browser: Browser, needs: str, due: str):
    flow = Flow(browser, needs)
    for done in flow.steps[: flow.steps.index(due)]:
        flow.send(done, flow.right(done))
    assert flow.due() == due

    for step in flow.steps[flow.steps.index(due) :]:
        for values in _empty_and_odd(step, flow.right(step)):
            assert "code" not in flow.send(step, values).answer, (step, values)
            assert flow.due() == due, (step, values)


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"", "application/x-www-form-urlencoded"),
        (b"", ""),
        (b'{"decision":"allow","code":"000000"}', "application/json"),
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
        (b"--x\r\n\r\n", "multipart/form-data; boundary=x"),
    ],
    ids=["empty", "nothing", "json", "no text", "half"],
)
@pytest.mark.parametrize("step", STEPS)
def test_a_body_that_is_no_form_gets_nobody_on(
    browser: Browser, step: str, body: bytes, media_type: str
):
    flow = Flow(browser, "a second factor")
    answer = browser.client.post(
        f"/{step}/{flow.request_id}", data=body, content_type=media_type, base_url=ISSUER
    )

    assert answer.status_code == 403
    assert flow.due() == "signin"


@pytest.mark.parametrize("step", STEPS)
def test_a_request_that_begins_anew_begins_with_its_first_step(browser: Browser, step: str):
    flow = Flow(browser, "a second factor")
    for done in flow.steps[:-1]:
        flow.send(done, flow.right(done))
    anew = browser.authorize("guest", acr_values="mfa", prompt="login")

    page = browser.get(anew.path.replace("/signin/", f"/{step}/"))
    skipped = browser.get(anew.path.replace("/signin/", "/continue/"))

    assert anew.path.startswith("/signin/")
    assert "code" not in page.answer
    assert skipped.path == anew.path


@pytest.mark.parametrize("rule", OF_A_REQUEST, ids=lambda rule: rule.endpoint)
def test_what_waits_for_one_browser_is_nothing_to_another(browser: Browser, rule):
    ingest(browser.world.database, a_risky("bad", NOW))
    waiting = browser.sign_in(browser.authorize())
    request_id = waiting.path.rpartition("/")[2]
    a_person(browser.world, "eve")
    eve = browser.another()
    eves = eve.sign_in(eve.authorize(), "eve")
    assert eves.path.startswith("/remediation/")
    path = rule.rule.replace("<request_id>", request_id)
    form = {**eves.forms[0].values, "decision": "allow", "username": "eve", "password": PASSWORD}

    page = eve.get(path) if "GET" in rule.methods else eve.post(path, form)

    assert page.location == ""
    assert "bob" not in page.text
    assert page.status in {400, 401} or page.text == '{"state":"expired"}\n' or "eve" in page.text
    assert browser.get(waiting.path).path == waiting.path


def test_every_answer_to_a_client_names_who_answers(world: World, browser: Browser):
    """Success and each error, so that an answer of another server can be told apart."""
    with world.database.write() as tx:
        clients.add(tx, a_confidential_client("guest", first_party=False), now=NOW)
    essential = '{"id_token": {"acr": {"essential": true, "values": ["mfa"]}}}'
    stranger = browser.another()
    given = browser.sign_in(browser.authorize())
    refused = browser.submit(browser.authorize("guest"), decision="deny")
    consent = browser.authorize("guest", prompt="none")
    unmet = browser.authorize(claims=essential)
    wrong = [
        browser.authorize(**change)
        for change in (
            {"response_type": "token"},
            {"scope": "nothing"},
            {"request": "x"},
            {"request_uri": "https://x.example"},
            {"code_challenge": None},
        )
    ]
    ingest(world.database, a_risky("bad", NOW))
    answers = [
        given,
        refused,
        consent,
        unmet,
        *wrong,
        stranger.authorize(prompt="none"),
        browser.authorize(prompt="none"),
    ]

    assert {page.answer.get("error", "code") for page in answers} == {
        *("code", "access_denied", "consent_required", "unmet_authentication_requirements"),
        *("unsupported_response_type", "invalid_scope", "request_not_supported"),
        *("request_uri_not_supported", "invalid_request", "login_required"),
        "interaction_required",
    }
    for page in answers:
        assert page.location.startswith(f"{REDIRECT}?")
        assert page.location.count("iss=") == 1
        assert page.answer["iss"] == ISSUER
