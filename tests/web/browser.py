"""A browser without scripts in front of the real application: it follows links, fills forms in."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlencode, urlsplit

import pyotp
from flask import Flask
from werkzeug.test import Client, TestResponse

from pdp.app import serve_runtime
from pdp.clock import new_secret
from pdp.domain.ids import DeviceId, SubjectId
from pdp.identification.device_cookie import key_of
from pdp.identification.evidence import CookieClaim
from pdp.store import devices, factors, subjects
from pdp.usecases.enrol_device import Credential, add_credential
from pdp.usecases.second_factor import secret_place
from tests.builders import NOW, a_subject
from tests.oidc.world import CHALLENGE, REDIRECT, World

ISSUER = "https://id.example.org"
PASSWORD = "a long and quiet walk by the sea"


@dataclass(frozen=True, slots=True)
class Page:
    """What a browser got: status, text, and where it was sent if it was."""

    status: int
    text: str
    headers: dict[str, str]
    path: str

    @property
    def location(self) -> str:
        """Where the page redirects to."""
        return self.headers.get("Location", "")

    @property
    def answer(self) -> dict[str, str]:
        """The parameters that went back to the client's redirect URI."""
        query = parse_qs(urlsplit(self.location).query)
        return {name: values[0] for name, values in query.items()}

    @property
    def forms(self) -> "list[Form]":
        """The forms of the page."""
        reader = _Forms()
        reader.feed(self.text)
        return reader.found


@dataclass(slots=True)
class Form:
    """One form: where it posts to, and the values it holds."""

    action: str
    values: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(given.get("action", "")))
        elif tag == "input" and self.found and "name" in given:
            self.found[-1].values[given["name"]] = given.get("value", "")


class Browser:
    """One browser with its own cookies, on the issuer's origin."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.app = serve_runtime(Flask("pdp.web"), world.runtime)
        self.client = Client(self.app, use_cookies=True)

    def another(self) -> "Browser":
        """Return another browser in front of the same application."""
        other = object.__new__(Browser)
        other.world, other.app = self.world, self.app
        other.client = Client(self.app, use_cookies=True)
        return other

    def get(
        self, path: str, headers: Mapping[str, str] | None = None, *, follow: bool = True
    ) -> Page:
        """Go to a page of ours; follow redirects as long as they stay with us."""
        page = self._page(self.client.get(path, base_url=ISSUER, headers=headers))
        return self._follow(page) if follow else page

    def post(
        self,
        path: str,
        values: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        *,
        follow: bool = True,
    ) -> Page:
        """Post a form."""
        answer = self.client.post(path, data=values, base_url=ISSUER, headers=headers)
        page = self._page(answer)
        return self._follow(page) if follow else page

    def submit(self, page: Page, form: int = 0, **values: str) -> Page:
        """Fill a form of a page in, and send it."""
        chosen = page.forms[form]
        return self.post(chosen.action, {**chosen.values, **values})

    def authorize(self, client_id: str = "wiki", /, **parameters: str | None) -> Page:
        """Arrive from a relying party."""
        return self.get(f"/authorize?{authorize_query(client_id, **parameters)}")

    def sign_in(self, page: Page, username: str = "bob", password: str = PASSWORD) -> Page:
        """Fill the sign-in form in."""
        return self.submit(page, username=username, password=password)

    def set_cookie(self, name: str, value: str) -> None:
        """Put a cookie into the browser by hand."""
        self.client.set_cookie(name, value, domain="id.example.org", secure=True)

    def cookie(self, name: str) -> str | None:
        """Return a cookie of the browser."""
        found = self.client.get_cookie(name, domain="id.example.org")
        return None if found is None else found.value

    def _follow(self, page: Page) -> Page:
        for _ in range(10):
            target = urlsplit(page.location)
            ours = page.location and target.netloc in {"", "id.example.org"}
            if not ours:
                return page
            path = target.path + (f"?{target.query}" if target.query else "")
            page = self._page(self.client.get(path, base_url=ISSUER))
        raise AssertionError(f"redirected in a circle at {page.path}")

    def _page(self, answer: TestResponse) -> Page:
        return Page(
            answer.status_code,
            answer.get_data(as_text=True),
            dict(answer.headers),
            answer.request.path,
        )


def authorize_query(client_id: str = "wiki", /, **parameters: str | None) -> str:
    """The query of a right authorization request, with changes; None leaves a parameter out."""
    asked = {
        "client_id": client_id,
        "response_type": "code",
        "redirect_uri": REDIRECT,
        "scope": "openid profile offline_access",
        "state": "xyz",
        "nonce": "n-1",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **parameters,
    }
    return urlencode({name: value for name, value in asked.items() if value is not None})


def a_person(world: World, username: str = "bob", **changes: object) -> SubjectId:
    """Open an account whose password is PASSWORD."""
    hashed = world.runtime.passwords.hash(PASSWORD)
    assert isinstance(hashed, str)
    subject = a_subject(id=f"usr_{username}", username=username, **changes)
    with world.database.write() as tx:
        subjects.create(tx, subject, password_hash=hashed)
    return subject.id


def enrolled(world: World, browser: Browser, device: DeviceId, owner: SubjectId) -> None:
    """Make the device the person's, and give the browser its cookie."""
    secret = new_secret()
    with world.database.write() as tx:
        stored = devices.lock(tx, device)
        assert stored is not None
        devices.save(
            tx,
            stored,
            replace(stored.device, owner=owner),
            stored.assessment,
            rules_version=stored.assessed_with,
            now=NOW,
        )
        credential = Credential(method=CookieClaim.method, key=key_of(secret))
        add_credential(tx, device, credential, actor=owner, now=NOW)
    browser.set_cookie("__Host-pdp-device", secret)


@dataclass(frozen=True, slots=True)
class Authenticator:
    """A person's app, whose clock is the world's."""

    world: World
    secret: str

    @property
    def code(self) -> str:
        """The six digits that it shows now."""
        return pyotp.TOTP(self.secret).at(int(self.world.clock().timestamp()))


def an_authenticator(world: World, subject: SubjectId) -> Authenticator:
    """Give a person a second factor, confirmed long ago."""
    secret = pyotp.random_base32()
    seal = world.runtime.envelope.seal
    with world.database.write() as tx:
        pending = seal(secret, place="pending")
        factors.begin(tx, subject, sealed=pending)
        sealed = seal(secret, place=secret_place(subject))
        assert factors.confirm(tx, subject, pending=pending, sealed=sealed, step=0, now=NOW)
    return Authenticator(world, secret)
