"""Authorization requests whose parameters come twice or in two places are redirected nowhere."""

from urllib.parse import parse_qsl

import pytest

from tests.oidc.world import REDIRECT
from tests.web.browser import ISSUER, Browser, authorize_query

PARAMETERS = (
    *("client_id", "response_type", "redirect_uri", "scope", "state", "nonce", "code_challenge"),
    *("code_challenge_method", "prompt", "max_age", "acr_values", "claims", "login_hint"),
    *("id_token_hint", "response_mode", "request", "request_uri", "ui_locales", "unheard_of"),
)
EVIL = "https://evil.example/callback"


def _asked() -> dict[str, str]:
    return dict(parse_qsl(authorize_query()))


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("parameter", PARAMETERS)
def test_a_parameter_that_comes_twice_is_redirected_nowhere(
    browser: Browser, parameter: str, method: str
):
    query = authorize_query(**{parameter: _asked().get(parameter, "x")})
    for value in (_asked().get(parameter, "x"), "another", EVIL):
        for twice in (f"{query}&{parameter}={value}", f"{parameter}={value}&{query}"):
            answer = (
                browser.client.get(f"/authorize?{twice}", base_url=ISSUER)
                if method == "get"
                else browser.client.post(
                    "/authorize",
                    data=twice.encode(),
                    content_type="application/x-www-form-urlencoded",
                    base_url=ISSUER,
                )
            )

            assert answer.status_code == 400
            assert "Location" not in answer.headers


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_parameters_in_address_and_form_are_redirected_nowhere(browser: Browser, parameter: str):
    for value in (_asked().get(parameter, "x"), EVIL):
        page = browser.post(f"/authorize?{parameter}={value}", _asked(), follow=False)

        assert (page.status, page.location) == (400, "")


@pytest.mark.parametrize("parameter", ["client_id", "redirect_uri", "response_type", "scope"])
def test_an_array_of_values_is_no_parameter(browser: Browser, parameter: str):
    left = authorize_query(**{parameter: None}, prompt="none")

    page = browser.get(f"/authorize?{left}&{parameter}[]={EVIL}&{parameter}[0]={EVIL}")

    # A client with one address need not name it: what is redirected goes to that.
    assert page.status == 400 or page.location.startswith(f"{REDIRECT}?error=")
    assert "evil" not in page.location
