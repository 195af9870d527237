"""A company's certificate, enrolled for a device and proved to a proxy, is that device."""

import base64
from dataclasses import replace
from ipaddress import ip_network

import pytest
from werkzeug.test import Client

from pdp.identification.client_certificate import claim_of
from pdp.identification.evidence import CertificateClaim
from pdp.settings import ServerSettings
from pdp.usecases.enrol_device import Credential, add_credential
from tests.builders import NOW, a_certificate
from tests.deployment import a_risky, ingest
from tests.oidc.world import World
from tests.web.browser import Browser, a_person, enrolled


def behind_a_proxy(world: World, certificate: bytes, *trusted: str) -> Browser:
    """A browser whose requests come through a proxy that passes its certificate on."""
    server = ServerSettings(trusted_proxies=tuple(ip_network(each) for each in trusted))
    settings = world.runtime.settings.model_copy(update={"server": server})
    world.runtime = replace(world.runtime, settings=settings)
    browser = Browser(world)
    header = f":{base64.b64encode(certificate).decode()}:"

    def proxy(environ, start_response):
        seen = {"REMOTE_ADDR": "127.0.0.1", "HTTP_CLIENT_CERT": header}
        return browser.app({**environ, **seen}, start_response)

    browser.client = Client(proxy, use_cookies=True)
    return browser


@pytest.fixture
def bob(world: World):
    """Bob, whose healthy device C02XK1 has an enrolled certificate."""
    bob = a_person(world)
    enrolled(world, Browser(world), world.ada.device, bob)
    key = claim_of(a_certificate()).key
    with world.database.write() as tx:
        credential = Credential(method=CertificateClaim.method, key=key)
        add_credential(tx, world.ada.device, credential, actor=bob, now=NOW)
    return bob


@pytest.mark.usefixtures("bob")
@pytest.mark.parametrize(
    ("certificate", "proxies", "arrives"),
    [
        (a_certificate(), ["127.0.0.0/8"], True),
        (a_certificate("another"), ["127.0.0.0/8"], False),
        (a_certificate(), ["192.0.2.0/24"], False),
        (a_certificate(), [], False),
    ],
    ids=["enrolled", "another-certificate", "another-proxy", "no-proxy"],
)
def test_only_an_enrolled_certificate_from_a_trusted_proxy_is_the_device(
    world: World, certificate, proxies, arrives
):
    browser = behind_a_proxy(world, certificate, *proxies)

    page = browser.sign_in(browser.authorize())

    assert ("code" in page.answer) is arrives
    assert page.path.startswith("/remediation/") is not arrives


@pytest.mark.usefixtures("bob")
def test_a_device_known_by_its_certificate_is_stopped_once_it_is_risky(world: World):
    ingest(world.database, a_risky("bad", NOW))
    browser = behind_a_proxy(world, a_certificate(), "127.0.0.0/8")

    assert browser.sign_in(browser.authorize()).path.startswith("/remediation/")
