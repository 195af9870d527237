"""The really served product with its demo cast: server, worker, relying party, on free ports."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from pdp.cli.demonstration.browser import Browser, direct_session
from pdp.cli.demonstration.cast import DEVICES, PAYROLL_API, DemoDevice
from pdp.cli.demonstration.deployment import deployed, new_links, set_up
from pdp.cli.demonstration.folder import DemoFolder, Notes
from pdp.cli.demonstration.stage import FINDING, send_signal

ALICES: DemoDevice = DEVICES[0]


@dataclass(frozen=True, slots=True)
class Deployment:
    """A running demo: where it is, its passwords, and a one-time enrolment link per device."""

    notes: Notes
    links: Mapping[str, str]

    def turns_risky(self, device: DemoDevice = ALICES) -> None:
        """Say by signed webhook that the device was phished; returns when it was answered."""
        self._tell(device, {"risk": "high", "category": "phishing", "findings": [FINDING]})

    def is_attacked(self, device: DemoDevice = ALICES) -> None:
        """Say by signed webhook that somebody is at work on the device right now."""
        threat = {**FINDING, "severity": "critical"}
        self._tell(device, {"risk": "critical", "findings": [threat]})

    def heals(self, device: DemoDevice = ALICES) -> None:
        """Say by signed webhook that it is all over; returns when it was answered."""
        self._tell(device, {"risk": "low", "findings": [{**FINDING, "resolved": True}]})

    def is_active(self, access_token: str) -> bool:
        """Ask as the API does whether a token counts."""
        with direct_session() as calls:
            answer = calls.post(
                f"{self.notes.issuer}/introspect",
                data={"token": access_token},
                auth=(PAYROLL_API, self.notes.client_secrets[PAYROLL_API]),
                timeout=10,
            )
        assert answer.status_code == 200, answer.text
        return bool(answer.json()["active"])

    def _tell(self, device: DemoDevice, said: Mapping[str, object]) -> None:
        with direct_session() as calls:
            send_signal(calls, self.notes, device, said)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DemoFolder, Notes]]:
    """The demo, running; it takes seconds to begin, so one for all tests of this worker."""
    with DemoFolder.at(tmp_path_factory.mktemp("demo"), fresh=False) as folder:
        notes = set_up(folder, port=0)
        with deployed(folder, notes):
            yield folder, notes


@pytest.fixture
def deployment(served: tuple[DemoFolder, Notes]) -> Iterator[Deployment]:
    """The running demo, Alice's device healthy before and after, with fresh enrolment links."""
    folder, notes = served
    deployment = Deployment(notes, new_links(folder, notes))
    yield deployment
    deployment.heals()


@pytest.fixture
def browser(deployment: Deployment) -> Iterator[Browser]:
    """A browser without scripts, on Alice's enrolled device; stops where Payroll takes over."""
    browser = Browser(stops_at=f"{deployment.notes.payroll}/callback")
    page = browser.open(deployment.links[ALICES.name])
    browser.submit(page, page.form("csrf_token"))
    yield browser
    browser.close()
