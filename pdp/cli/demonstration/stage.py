"""What the story holds while it is played: the browser, an app's tokens, and what was measured."""

import base64
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

import orjson
import requests

from pdp.cli.demonstration.browser import Browser, Page, direct_session
from pdp.cli.demonstration.cast import (
    APP_CALLBACK,
    DEVICES,
    PAYROLL_API,
    SCOPES,
    SOURCE,
    DemoDevice,
)
from pdp.cli.demonstration.folder import DemoFolder, Notes
from pdp.clock import new_id, new_secret, utcnow
from pdp.domain.ids import ClientId
from pdp.sources.signatures import sign

#: Far more than anything here takes: whoever waits longer waits in vain.
PATIENCE: Final = 15.0
_POLL_SECONDS: Final = 0.01
_TIMEOUT: Final = 15
_DEVICE: Final = DEVICES[0]
FINDING: Final = {
    "id": "finding-1",
    "title": "Credential phishing page visited",
    "severity": "high",
}

Json = Mapping[str, object]


class NotHappened(Exception):
    """A step of the story did not happen; the text says what was there instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an app must remember between its question and the answer."""

    client: ClientId
    verifier: str
    state: str


@dataclass(slots=True)
class Stage:
    """Alice's browser, the tokens of the app Expenses, and the last page she saw."""

    folder: DemoFolder
    notes: Notes
    links: Mapping[str, str]
    browser: Browser = field(default_factory=lambda: Browser(stops_at=APP_CALLBACK))
    calls: requests.Session = field(default_factory=direct_session)
    page: Page | None = None
    asked: Asked | None = None
    tokens: dict[str, str] = field(default_factory=dict)
    recovery_codes: list[str] = field(default_factory=list)
    told_at: float = 0.0
    measured: dict[str, float] = field(default_factory=dict)

    @property
    def seen(self) -> Page:
        """The page that Alice looks at."""
        if self.page is None:
            raise NotHappened("no page was opened yet")
        return self.page

    def tell(self, **signal: object) -> None:
        """Let the device's security software say something, by signed webhook, for real."""
        self.told_at = time.perf_counter()
        send_signal(self.calls, self.notes, _DEVICE, signal)

    def tell_high_risk(self) -> None:
        """Say that the device was phished."""
        self.tell(risk="high", category="phishing", findings=[FINDING])

    def tell_healthy(self) -> None:
        """Say that it is all over."""
        self.tell(risk="low", findings=[{**FINDING, "resolved": True}])

    def app_signs_in(self, client: ClientId) -> Page:
        """Sign in to an app on Alice's device as she would: in her browser, with PKCE.

        Returns the page that comes first: the app's own address, with a code for it, or a page
        of the server that asks for something. Then go on with `app_gets_tokens`.
        """
        verifier, state = new_secret(), new_secret()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        query = {
            "response_type": "code",
            "client_id": client,
            "redirect_uri": APP_CALLBACK,
            "scope": " ".join(sorted(SCOPES)),
            "state": state,
            "nonce": new_secret(),
            "code_challenge": challenge.rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        self.asked = Asked(client=client, verifier=verifier, state=state)
        return self.browser.open(f"{self.notes.issuer}/authorize?{urlencode(query)}")

    def app_gets_tokens(self, page: Page) -> None:
        """Redeem the code at the end of an app's sign-in; NotHappened if there is none."""
        asked = self.asked
        if asked is None or not page.url.startswith(APP_CALLBACK):
            raise NotHappened(
                f"the app got no answer: {page.url} ({page.status}) {page.text[:200]}"
            )
        answer = {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}
        if answer.get("state") != asked.state or answer.get("iss") != self.notes.issuer:
            raise NotHappened(f"the answer is not to our question: {sorted(answer)}")
        if "code" not in answer:
            raise NotHappened(f"no code, but {answer.get('error')}")
        self._redeem(
            asked.client,
            grant_type="authorization_code",
            code=answer["code"],
            redirect_uri=APP_CALLBACK,
            code_verifier=asked.verifier,
        )

    def refresh(self, client: ClientId) -> None:
        """Get new tokens for an app; NotHappened if they are refused."""
        self._redeem(client, grant_type="refresh_token", refresh_token=self.tokens["refresh_token"])

    def refused_refresh(self, client: ClientId) -> Json:
        """Try to get new tokens for an app; return the refusal, NotHappened without one."""
        presented = {"client_id": client, "refresh_token": self.tokens["refresh_token"]}
        answer = self.post("/token", fields={"grant_type": "refresh_token", **presented})
        if answer.get("error") != "invalid_grant":
            raise NotHappened(f"the refresh was answered with {sorted(answer)}")
        return answer

    def introspect(self) -> Json:
        """Ask as the API does whether the app's access token counts."""
        return self.post(
            "/introspect",
            fields={"token": self.tokens["access_token"]},
            basic=(PAYROLL_API, self.notes.client_secrets[PAYROLL_API]),
        )

    def post(
        self, path: str, *, fields: Mapping[str, str], basic: tuple[str, str] | None = None
    ) -> Json:
        """Post a form to the server; return its JSON."""
        answer: object = self.calls.post(
            f"{self.notes.issuer}{path}", data=fields, auth=basic, timeout=_TIMEOUT
        ).json()
        return answer if isinstance(answer, dict) else {}

    def wait_until(self, happened: Callable[[], bool], otherwise: str) -> None:
        """Return once something happened; NotHappened with `otherwise` after PATIENCE seconds."""
        deadline = time.perf_counter() + PATIENCE
        while not happened():
            if time.perf_counter() > deadline:
                raise NotHappened(f"{otherwise} within {PATIENCE:.0f} s")
            time.sleep(_POLL_SECONDS)

    def measure(self, name: str) -> None:
        """Note how long ago the last webhook was sent, in seconds."""
        self.measured[name] = time.perf_counter() - self.told_at

    def _redeem(self, client: ClientId, **fields: str) -> None:
        answer = self.post("/token", fields={"client_id": client, **fields})
        if "access_token" not in answer:
            raise NotHappened(f"no tokens, but {answer.get('error')}")
        self.tokens = {name: str(value) for name, value in answer.items()}


def send_signal(
    calls: requests.Session, notes: Notes, device: DemoDevice, said: Mapping[str, object]
) -> None:
    """Say something of a device as the demo's source does; NotHappened unless it is taken (202)."""
    now = utcnow()
    body = orjson.dumps(
        {
            "id": new_id("sig"),
            "event_time": now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "device": {"serial": device.serial},
            **said,
        }
    )
    delivery_id, timestamp = new_id("msg"), int(now.timestamp())
    response = calls.post(
        f"{notes.issuer}/webhooks/{SOURCE}",
        data=body,
        headers={
            "Content-Type": "application/json",
            "webhook-id": delivery_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(notes.webhook_secret, delivery_id, timestamp, body),
        },
        timeout=_TIMEOUT,
    )
    if response.status_code != 202:  # noqa: PLR2004  HTTP's own number
        raise NotHappened(f"the webhook was answered {response.status_code}: {response.text[:200]}")
