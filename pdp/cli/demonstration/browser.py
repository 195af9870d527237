"""A browser without scripts: cookies, redirects, and forms as the pages write them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin

import requests

_TIMEOUT: Final = 15
_MOST_REDIRECTS: Final = 12
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class NotThere(LookupError):
    """The page has not what was looked for; the text says which page, and what it says."""


@dataclass(slots=True)
class Form:
    """A form: where it goes, and its fields as they are filled in now."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)


class _Reader(HTMLParser):
    """Collects what a person would see or send: text, headings, forms, data attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.text: list[str] = []
        self.ids: set[str] = set()
        self.data: dict[str, str] = {}
        self.by_tag: dict[str, list[str]] = {}
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self._open.append(tag)
        if "id" in named:
            self.ids.add(named["id"])
        self.data.update({name: named[name] for name in named if name.startswith("data-")})
        if tag == "form":
            method = named.get("method", "get").lower()
            self.forms.append(Form(named.get("action", ""), method))
        elif tag == "input" and self.forms and "name" in named:
            self.forms[-1].fields[named["name"]] = named.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        words = " ".join(data.split())
        if not words:
            return
        self.text.append(words)
        if self._open:
            self.by_tag.setdefault(self._open[-1], []).append(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What came back at the end of the redirects."""

    url: str
    status: int
    text: str
    forms: tuple[Form, ...]
    ids: frozenset[str]
    data: Mapping[str, str]
    by_tag: Mapping[str, list[str]]

    def form(self, *names: str) -> Form:
        """Return the first form with these fields; NotThere if there is none."""
        for form in self.forms:
            if set(names) <= form.fields.keys():
                return form
        raise NotThere(f"{self.url} ({self.status}) has no form with {names}: {self.text[:200]}")


class Browser:
    """One browser, with its own cookies.

    Addresses that begin with `stops_at` are not opened: an app on the device takes them over.
    The page is then empty, and its address is what the app gets.
    """

    def __init__(self, stops_at: str) -> None:
        self._session = direct_session()
        self._stops_at = stops_at

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._session.close()

    def open(self, url: str) -> Page:
        """Go to `url`, and wherever it leads."""
        return self._follow(self._request("GET", url))

    def submit(self, page: Page, form: Form, **fields: str) -> Page:
        """Fill in a form of a page, send it, and go wherever that leads."""
        url = urljoin(page.url, form.action)
        filled = {**form.fields, **fields}
        return self._follow(self._request(form.method.upper(), url, filled))

    def read_json(self, url: str) -> Mapping[str, object]:
        """Return the JSON object at `url`, as a script on the page would."""
        answer: object = self._request("GET", url).json()
        return answer if isinstance(answer, dict) else {}

    def _request(
        self, method: str, url: str, fields: Mapping[str, str] | None = None
    ) -> requests.Response:
        return self._session.request(
            method,
            url,
            data=fields if method == "POST" else None,
            params=fields if method == "GET" else None,
            timeout=_TIMEOUT,
            allow_redirects=False,
        )

    def _follow(self, response: requests.Response) -> Page:
        for _ in range(_MOST_REDIRECTS):
            if response.status_code not in _REDIRECTS:
                return _page(response.url, response.status_code, response.text)
            location = urljoin(response.url, response.headers.get("Location", ""))
            if location.startswith(self._stops_at):
                return _page(location, response.status_code, "")
            response = self._request("GET", location)
        raise NotThere(f"{response.url} redirects without end")


def direct_session() -> requests.Session:
    """Return a session without proxies: those of this machine's user have no say on loopback."""
    session = requests.Session()
    session.trust_env = False
    return session


def _page(url: str, status: int, markup: str) -> Page:
    reader = _Reader()
    reader.feed(markup)
    return Page(
        url=url,
        status=status,
        text=" ".join(reader.text),
        forms=tuple(reader.forms),
        ids=frozenset(reader.ids),
        data=reader.data,
        by_tag=reader.by_tag,
    )
