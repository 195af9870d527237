"""The story, step by step: what a person, her device and her applications live through."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin

import pyotp

from pdp.cli.demonstration.browser import Page
from pdp.cli.demonstration.cast import APPROVALS, DEVICES, EXPENSES, WRITE
from pdp.cli.demonstration.programs import run_pdp
from pdp.cli.demonstration.seed import device_of
from pdp.cli.demonstration.stage import FINDING, NotHappened, Stage
from pdp.clock import utcnow

_PERSON: Final = "alice"
_DEVICE: Final = DEVICES[0]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens, and how: `play` raises NotHappened if it does not."""

    title: str
    play: Callable[[Stage], None]


def _enrols_her_browser(stage: Stage) -> None:
    page = stage.browser.open(stage.links[_DEVICE.name])
    _expect(_DEVICE.display_name in page.text, f"the link does not name the device: {_saw(page)}")
    stage.browser.submit(page, page.form("csrf_token"))


def _signs_in_to_payroll(stage: Stage) -> None:
    page = stage.browser.open(f"{stage.notes.payroll}/login")
    form = page.form("username", "password")
    password = stage.notes.passwords[_PERSON]
    stage.page = stage.browser.submit(page, form, username=_PERSON, password=password)
    _expect_payroll(stage)
    _expect(WRITE in stage.seen.text, f"not everything is allowed: {_saw(stage.seen)}")


def _signs_in_to_a_second_app(stage: Stage) -> None:
    stage.app_gets_tokens(stage.app_signs_in(EXPENSES))


def _token_counts(stage: Stage) -> None:
    answer = stage.introspect()
    _expect(answer.get("active") is True, "introspection says that the token does not count")
    _expect(WRITE in str(answer.get("scope")), f"its scope is {answer.get('scope')}")


def _device_is_phished(stage: Stage) -> None:
    stage.tell_high_risk()


def _token_counts_no_more(stage: Stage) -> None:
    stage.wait_until(
        lambda: stage.introspect().get("active") is False, "introspection did not say inactive"
    )
    stage.measure("first check denied")


def _payroll_drops_her_session(stage: Stage) -> None:
    _expect_signed_out(stage)
    stage.measure("Payroll signed her out")


def _refresh_is_refused(stage: Stage) -> None:
    refusal = stage.refused_refresh(EXPENSES)
    _expect("error_uri" in refusal, "the refusal has no error_uri that says why")


def _sign_in_shows_what_was_found(stage: Stage) -> None:
    stage.page = stage.browser.open(f"{stage.notes.payroll}/login")
    page = stage.seen
    _expect("data-status-url" in page.data, f"no remediation page, but {_saw(page)}")
    _expect(_DEVICE.display_name in page.text, f"it does not name the device: {_saw(page)}")
    _expect(FINDING["title"] in page.text, f"it does not name the finding: {_saw(page)}")
    _expect(bool(page.by_tag.get("li")), f"it names no step: {_saw(page)}")


def _page_waits(stage: Stage) -> None:
    state = _poll(stage).get("state")
    _expect(state == "waiting", f"the page's status is {state}")


def _device_heals(stage: Stage) -> None:
    stage.tell_healthy()


def _same_tab_goes_on(stage: Stage) -> None:
    stage.wait_until(lambda: _poll(stage).get("state") == "continue", "the page may not go on")
    stage.page = stage.browser.open(urljoin(stage.seen.url, stage.seen.data["data-resume-url"]))
    _expect_payroll(stage)
    stage.measure("back in Payroll")


def _refresh_works_again(stage: Stage) -> None:
    stage.refresh(EXPENSES)
    _token_counts(stage)


def _signs_of_risk_narrow_the_token(stage: Stage) -> None:
    stage.tell(risk="medium")
    stage.refresh(EXPENSES)
    _expect(WRITE not in stage.tokens["scope"], f"the scope is still {stage.tokens['scope']}")
    answer = stage.introspect()
    _expect(answer.get("active") is True, "a restricted token does not count at all")
    _expect("session_restrictions" in answer, "introspection does not tell of the restriction")


def _healing_widens_it(stage: Stage) -> None:
    stage.tell_healthy()
    stage.refresh(EXPENSES)
    _expect(WRITE in stage.tokens["scope"], f"the scope is still {stage.tokens['scope']}")


def _sets_up_a_second_factor(stage: Stage) -> None:
    page = stage.browser.open(f"{stage.notes.issuer}/account/factor")
    key = next((text for text in page.by_tag.get("code", ()) if len(text) > 15), None)  # noqa: PLR2004  a key, no word
    if key is None:
        raise NotHappened(f"no key to set up: {_saw(page)}")
    code = pyotp.TOTP(key.replace(" ", "")).at(utcnow())
    stage.page = stage.browser.submit(page, page.form("code"), code=code)
    stage.recovery_codes = [text for text in stage.page.by_tag.get("li", ()) if "-" in text]
    _expect(bool(stage.recovery_codes), f"no recovery codes: {_saw(stage.page)}")


def _approvals_asks_for_it(stage: Stage) -> None:
    stage.page = stage.app_signs_in(APPROVALS)
    stage.page.form("recovery_code")


def _gives_it_and_gets_in(stage: Stage) -> None:
    form = stage.seen.form("recovery_code")
    code = stage.recovery_codes[0]
    stage.app_gets_tokens(stage.browser.submit(stage.seen, form, recovery_code=code))


def _administrator_blocks_the_device(stage: Stage) -> None:
    stage.app_gets_tokens(stage.app_signs_in(EXPENSES))
    with stage.folder.opened_runtime() as runtime, runtime.database.read() as tx:
        device_id = device_of(tx, _DEVICE)
    if device_id is None:
        raise NotHappened("the device has no record")
    run_pdp(stage.folder, "device", "block", device_id, "--reason", "stolen, says the story")


def _block_ends_everything(stage: Stage) -> None:
    stage.wait_until(
        lambda: stage.introspect().get("active") is False, "the token of a blocked device counts"
    )
    stage.refused_refresh(EXPENSES)
    _expect_signed_out(stage)


def _blocked_sign_in_is_denied(stage: Stage) -> None:
    page = stage.browser.open(f"{stage.notes.payroll}/login")
    form = page.form("username", "password")
    password = stage.notes.passwords[_PERSON]
    stage.page = stage.browser.submit(page, form, username=_PERSON, password=password)
    _expect("access_denied" in stage.page.text, f"no refusal, but {_saw(stage.page)}")


STEPS: Final = (
    Step("Alice enrols her browser on mac-01 by a one-time link", _enrols_her_browser),
    Step("She signs in to Payroll and may do everything", _signs_in_to_payroll),
    Step("A second app, Expenses, signs in without a page", _signs_in_to_a_second_app),
    Step("Its token counts when the API asks", _token_counts),
    Step("The security software says by signed webhook: high risk", _device_is_phished),
    Step("The token does not count any more", _token_counts_no_more),
    Step("Payroll drops her session on a back-channel logout", _payroll_drops_her_session),
    Step("Expenses' refresh is refused, and told where to send her", _refresh_is_refused),
    Step("Her next sign-in shows what was found, and what to do", _sign_in_shows_what_was_found),
    Step("The page waits", _page_waits),
    Step("The security software says by signed webhook: healthy", _device_heals),
    Step("The same tab goes on into Payroll by itself", _same_tab_goes_on),
    Step("The same refresh token works again", _refresh_works_again),
    Step("Signs of risk: the next refresh may only read", _signs_of_risk_narrow_the_token),
    Step("Healed: the next refresh may write again", _healing_widens_it),
    Step("She sets up a second factor", _sets_up_a_second_factor),
    Step("Approvals asks for it", _approvals_asks_for_it),
    Step("She gives it, and gets in", _gives_it_and_gets_in),
    Step("An administrator blocks the device", _administrator_blocks_the_device),
    Step("Tokens, refresh and session end at once", _block_ends_everything),
    Step("Signing in from it is denied", _blocked_sign_in_is_denied),
)


def _poll(stage: Stage) -> Mapping[str, object]:
    status = urljoin(stage.seen.url, stage.seen.data["data-status-url"])
    return stage.browser.read_json(status)


def _expect_signed_out(stage: Stage) -> None:
    def is_signed_out() -> bool:
        stage.page = stage.browser.open(f"{stage.notes.payroll}/")
        return "signed-out" in stage.page.ids

    stage.wait_until(is_signed_out, "Payroll did not end the session")


def _expect_payroll(stage: Stage) -> None:
    _expect("signed-in" in stage.seen.ids, f"not in Payroll, but {_saw(stage.seen)}")


def _expect(happened: bool, otherwise: str) -> None:  # noqa: FBT001  what is expected
    if not happened:
        raise NotHappened(otherwise)


def _saw(page: Page) -> str:
    return f"at {page.url} ({page.status}): {page.text[:200]}"
