"""Who and what takes part in the demo: people, devices, applications."""

from dataclasses import dataclass
from typing import Final

from pdp.domain.client import Client, Resource
from pdp.domain.ids import ClientId, SourceId

SOURCE: Final = SourceId("demo-edr")
API: Final = "https://payroll.example/api"
READ, WRITE = "payroll:read", "payroll:write"
SCOPES: Final = frozenset({"openid", "profile", "email", READ, WRITE})

PAYROLL: Final = ClientId("payroll")
PAYROLL_API: Final = ClientId("payroll-api")
EXPENSES: Final = ClientId("expenses")
APPROVALS: Final = ClientId("approvals")
#: The clients that keep a secret; the others are apps on a device, which cannot.
CONFIDENTIAL: Final = (PAYROLL, PAYROLL_API)
#: Where the apps would listen for their answer; nobody does: the story reads it from the redirect.
APP_CALLBACK: Final = "http://127.0.0.1/callback"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPerson:
    """Somebody who can sign in; the password is generated."""

    username: str
    name: str
    groups: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoDevice:
    """A simulated device; `serial` is how its security software names it."""

    name: str
    owner: str
    platform: str
    os_version: str
    display_name: str

    @property
    def serial(self) -> str:
        """The serial number that signals carry."""
        return f"DEMO-{self.name.upper()}"


PEOPLE: Final = (
    DemoPerson(username="alice", name="Alice Adler", groups=frozenset({"employees"})),
    DemoPerson(username="bob", name="Bob Berger", groups=frozenset({"employees"})),
    DemoPerson(username="admin", name="Dana Admin", groups=frozenset({"pdp-admins"})),
)

DEVICES: Final = (
    DemoDevice(
        name="mac-01",
        owner="alice",
        platform="macos",
        os_version="15.3.1",
        display_name="Alice’s MacBook",
    ),
    DemoDevice(
        name="win-02",
        owner="bob",
        platform="windows",
        os_version="11",
        display_name="Bob’s ThinkPad",
    ),
    DemoDevice(
        name="lin-03",
        owner="admin",
        platform="linux",
        os_version="12",
        display_name="Dana’s workstation",
    ),
    DemoDevice(
        name="ios-04",
        owner="alice",
        platform="ios",
        os_version="18.3",
        display_name="Alice’s iPhone",
    ),
    DemoDevice(
        name="mac-05",
        owner="bob",
        platform="macos",
        os_version="14.7.1",
        display_name="Bob’s Mac mini",
    ),
)


def clients(payroll_url: str) -> tuple[Client, ...]:
    """Return the applications, without their secrets; `payroll_url` is where Payroll runs."""
    return (
        Client(
            id=PAYROLL,
            name="Payroll",
            auth_methods=frozenset({"client_secret_basic"}),
            redirect_uris=(f"{payroll_url}/callback",),
            post_logout_redirect_uris=(f"{payroll_url}/",),
            scopes=SCOPES,
            backchannel_logout_uri=f"{payroll_url}/backchannel-logout",
            initiate_login_uri=f"{payroll_url}/login",
        ),
        Client(
            id=PAYROLL_API,
            name="Payroll API",
            auth_methods=frozenset({"client_secret_basic"}),
            grant_types=frozenset({"client_credentials"}),
            scopes=frozenset(),
        ),
        _app(EXPENSES, "Expenses"),
        _app(APPROVALS, "Approvals"),
    )


def resource() -> Resource:
    """Return the API that the applications' tokens are for."""
    return Resource(identifier=API, scopes=frozenset({READ, WRITE}), client=PAYROLL_API)


def _app(client_id: ClientId, name: str) -> Client:
    return Client(
        id=client_id,
        name=name,
        auth_methods=frozenset({"none"}),
        redirect_uris=(APP_CALLBACK,),
        scopes=SCOPES,
    )
