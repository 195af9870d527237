"""The same journey with `openid-client`, an independent and certified relying party."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pdp.cli.demonstration.browser import Browser
from pdp.cli.demonstration.cast import PAYROLL, SCOPES
from tests.journeys.conftest import ALICES, Deployment
from tests.npm import installed
from tests.servers import ServerMissing

_FOLDER = Path(__file__).parent / "openid_client"


class RelyingParty:
    """`relying_party.js`, which does what it is told, one line at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.issuer = self._read()["ready"]

    def __call__(self, action: str, **given: object) -> dict[str, Any]:
        """Let it do something; return what came of it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": action, **given}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the relying party ended"
        answer: dict[str, Any] = json.loads(line)
        return answer


@pytest.fixture
def relying_party(deployment: Deployment) -> Iterator[RelyingParty]:
    """The relying party, registered as Payroll is."""
    with _started(deployment) as process:
        yield RelyingParty(process)


def test_openid_client_is_signed_in_cut_off_and_let_back_in(
    deployment: Deployment, browser: Browser, relying_party: RelyingParty
):
    assert relying_party.issuer == deployment.notes.issuer

    signed_in = _signs_in(deployment, browser, relying_party)

    assert signed_in["alg"] == "RS256"
    assert signed_in["claims"]["acr"] == "pwd"
    assert relying_party("userinfo")["preferred_username"] == ALICES.owner
    assert relying_party("refresh")["rotated"]

    deployment.turns_risky()

    refused = relying_party("refresh")
    assert (refused["error"], refused["status"]) == ("invalid_grant", 400)
    assert relying_party("userinfo")["status"] == 401
    page = browser.open(relying_party("authorize")["url"])
    assert page.data["data-status-url"], page.text
    assert ALICES.display_name in page.text

    deployment.heals()

    status = browser.read_json(deployment.notes.issuer + page.data["data-status-url"])
    assert status["state"] == "continue"
    answer = browser.open(deployment.notes.issuer + page.data["data-resume-url"])
    assert relying_party("callback", url=answer.url)["claims"]["sub"] == signed_in["claims"]["sub"]
    assert relying_party("userinfo")["sub"] == signed_in["claims"]["sub"]


def test_the_token_refused_while_risky_works_after_healing(
    deployment: Deployment, browser: Browser, relying_party: RelyingParty
):
    _signs_in(deployment, browser, relying_party)
    deployment.turns_risky()
    assert relying_party("refresh")["error"] == "invalid_grant"

    deployment.heals()

    assert relying_party("refresh")["rotated"]


def test_openid_client_signs_a_person_out_without_a_question(
    deployment: Deployment, browser: Browser, relying_party: RelyingParty
):
    _signs_in(deployment, browser, relying_party)

    browser.open(relying_party("logout")["url"])

    asked_again = browser.open(relying_party("authorize")["url"])
    asked_again.form("username", "password")


def test_what_openid_client_revokes_is_gone(
    deployment: Deployment, browser: Browser, relying_party: RelyingParty
):
    _signs_in(deployment, browser, relying_party)

    assert relying_party("revoke") == {}

    assert relying_party("refresh")["error"] == "invalid_grant"
    assert relying_party("userinfo")["status"] == 401


def _signs_in(
    deployment: Deployment, browser: Browser, relying_party: RelyingParty
) -> dict[str, Any]:
    page = browser.open(relying_party("authorize")["url"])
    password = deployment.notes.passwords[ALICES.owner]
    form = page.form("username", "password")
    answer = browser.submit(page, form, username=ALICES.owner, password=password)
    signed_in = relying_party("callback", url=answer.url)
    assert "claims" in signed_in, signed_in
    return signed_in


@contextmanager
def _started(deployment: Deployment) -> Iterator[subprocess.Popen[str]]:
    node = shutil.which("node")
    if node is None:
        raise ServerMissing("node")
    notes = deployment.notes
    with subprocess.Popen(
        [
            *(node, str(installed(_FOLDER) / "relying_party.js"), notes.issuer, PAYROLL),
            *(notes.client_secrets[PAYROLL], f"{notes.payroll}/callback", " ".join(sorted(SCOPES))),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
