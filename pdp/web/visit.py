"""One visit of a browser: its session, its device, and one transaction for all that follows.

A page's script that asks again and again only glances: a read, from which nothing follows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from flask import Response, request

from pdp.clock import new_secret
from pdp.domain.access import Strength
from pdp.domain.ids import DeviceId, SessionId
from pdp.store import parked, sessions
from pdp.store.database import Transaction
from pdp.store.parked import ParkedRequest
from pdp.store.sessions import LiveSession
from pdp.usecases.configuration import Configuration
from pdp.usecases.identify_device import IdentifiedDevice, Verifier, identify_device
from pdp.usecases.sign_in import StartedSession
from pdp.web import cookies
from pdp.web.context import client_address, runtime
from pdp.web.evidence import evidence_of


@dataclass(slots=True)
class Visit:
    """Who visits: the browser (a digest of its binding cookie), its session, its device.

    Cookies that the visit sets are kept until `finish` puts them on the response.
    """

    tx: Transaction
    configuration: Configuration
    now: datetime
    browser: str
    live: LiveSession | None
    device: IdentifiedDevice | None
    new_browser: str | None = None
    new_session: str | None = None
    session_over: bool = False

    @property
    def address(self) -> str:
        """The visitor's address."""
        return client_address()

    def parked(self, request_id: str) -> ParkedRequest | None:
        """Return a waiting authorization request of this very browser, or None."""
        return parked.find(self.tx, request_id, browser=self.browser, now=self.now)

    def bind_device(self, live: LiveSession, device: IdentifiedDevice | None) -> None:
        """Let the session be one on `device` from now on, or on none that we know."""
        session = live.session
        found = (None, Strength.NONE) if device is None else (device.id, device.strength)
        if (
            device is not None
            and session.device == device.id
            and session.strength is Strength.STRONG
        ):
            # A cookie seen now takes nothing from what the same device has proved before.
            return
        if found == (session.device, session.strength):
            return
        self._keep_binding(session.id, *found)
        self.live = replace(live, session=replace(session, device=found[0], strength=found[1]))

    def _keep_binding(
        self, session_id: SessionId, device_id: DeviceId | None, strength: Strength
    ) -> None:
        sessions.bind_device(self.tx, session_id, device_id, strength)

    def signed_in(self, started: StartedSession) -> None:
        """Take a new session over, or one raised to more: both come with a new cookie."""
        self.new_session = started.cookie
        self.live = sessions.find_live(self.tx, started.cookie, now=self.now)

    def forget_session(self) -> None:
        """Drop the session's cookie: the session has ended."""
        self.session_over = True
        self.live = None

    def finish(self, response: Response) -> Response:
        """Put the visit's cookies on its response."""
        settings = runtime().settings
        if self.new_browser is not None:
            cookies.put(response, settings, cookies.BROWSER, self.new_browser)
        if self.new_session is not None:
            cookies.put(response, settings, cookies.SESSION, self.new_session)
        elif self.session_over:
            cookies.drop(response, settings, cookies.SESSION)
        return response


class Glance(Visit):
    """A visit that leaves no trace: what it learns counts for its own answer alone."""

    def _keep_binding(
        self, session_id: SessionId, device_id: DeviceId | None, strength: Strength
    ) -> None:
        """Keep nothing: the next visit finds the same out again."""


@contextmanager
def visiting() -> Iterator[Visit]:
    """Open a visit: find session and device, and bind the device that speaks to the session."""
    here = runtime()
    now = here.clock()
    with here.database.write() as tx:
        configuration = here.configurations.current(tx)
        secret = cookies.get(request, here.settings, cookies.BROWSER)
        fresh = None if secret else new_secret()
        live = _live(tx, now)
        if live is not None:
            _touch(tx, live, now)
        visit = Visit(
            tx=tx,
            configuration=configuration,
            now=now,
            browser=parked.browser_digest(secret or fresh or ""),
            live=live,
            device=_device(tx, now),
            new_browser=fresh,
        )
        _bind_device(visit)
        yield visit


@contextmanager
def glancing() -> Iterator[Glance]:
    """Look at what waits for a browser, in a read: thousands of pages may ask every second.

    No evidence of a device is looked at or used up: it is the one that the session was bound to
    when the page was shown. Only that the person is still there is written, once a minute.
    """
    here = runtime()
    now = here.clock()
    with here.database.read() as tx:
        live = _live(tx, now)
        yield Glance(
            tx=tx,
            configuration=here.configurations.current(tx),
            now=now,
            browser=parked.browser_digest(
                cookies.get(request, here.settings, cookies.BROWSER) or ""
            ),
            live=live,
            device=None,
        )
    idle = here.settings.lifetimes.session_idle
    if live is not None and sessions.is_touch_due(live.session, idle=idle, now=now):
        with here.database.write() as tx:
            _touch(tx, live, now)


def _live(tx: Transaction, now: datetime) -> LiveSession | None:
    cookie = cookies.get(request, runtime().settings, cookies.SESSION)
    return sessions.find_live(tx, cookie, now=now) if cookie else None


def _touch(tx: Transaction, live: LiveSession, now: datetime) -> None:
    sessions.touch(tx, live.session, idle=runtime().settings.lifetimes.session_idle, now=now)


def _device(tx: Transaction, now: datetime) -> IdentifiedDevice | None:
    here = runtime()
    verifier = Verifier(
        envelope=here.envelope,
        issuer=here.settings.issuer,
        lifetimes=here.settings.lifetimes,
    )
    return identify_device(tx, evidence_of(request, here.settings), verifier, now=now)


def _bind_device(visit: Visit) -> None:
    """Bind the device that speaks now; a session known by a cookie is only as good as that."""
    live, device = visit.live, visit.device
    if live is None:
        return
    session = live.session
    if device is not None:
        visit.bind_device(live, device)
    elif session.device is not None and session.strength is Strength.WEAK:
        visit.bind_device(live, None)


def bind_proven_device(visit: Visit, waiting: ParkedRequest) -> None:
    """Bind what an agent proved for this browser (`pdp device assert --code`)."""
    if visit.live is not None and waiting.device is not None and waiting.strength is not None:
        visit.bind_device(visit.live, IdentifiedDevice(waiting.device, waiting.strength))
