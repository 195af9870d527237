"""The remediation page asks, waits, goes on by itself, and backs off when nobody answers.

The browser's clock is Playwright's: it stands still until the test moves it.
"""

import pytest
from playwright.sync_api import expect

from tests.builders import NOW


@pytest.fixture
def waiting(site, page):
    """The remediation page, just opened; its timers run when the test says so."""
    page.clock.install(time=NOW)
    page.goto(site.page("remediation-fixable"))
    return page


def poll(page, seconds=2):
    """Let time pass until the page has asked once more and read the answer."""
    with page.expect_response("**/status"):
        page.clock.run_for(seconds * 1000)


def test_the_page_waits_and_then_goes_on_by_itself(site, waiting):
    poll(waiting)
    poll(waiting)
    assert waiting.url.endswith("/remediation-fixable")

    site.backstage.status = lambda: (200, {"state": "continue", "version": "v1"})
    poll(waiting)
    waiting.wait_for_url("**/resume")

    assert site.backstage.polls == 3
    assert waiting.inner_text("h1") == "Payroll"


def test_going_on_leaves_nothing_to_come_back_to(site, waiting):
    entries = waiting.evaluate("history.length")
    site.backstage.status = lambda: (200, {"state": "continue", "version": "v1"})
    poll(waiting)
    waiting.wait_for_url("**/resume")

    assert waiting.evaluate("history.length") == entries


def test_other_findings_reload_the_page_once(site, waiting):
    site.backstage.version = "v2"
    site.backstage.status = lambda: (200, {"state": "changed", "version": "v2"})
    with waiting.expect_navigation():
        waiting.clock.run_for(2000)
    poll(waiting)

    assert waiting.get_attribute("[data-version]", "data-version") == "v2"
    assert site.backstage.polls == 2


def test_an_expired_request_is_told_and_leads_to_a_new_start(site, waiting):
    site.backstage.status = lambda: (200, {"state": "expired", "version": "v1"})
    poll(waiting)

    expect(waiting.get_by_role("status")).to_contain_text("ran out of time")
    expect(waiting.get_by_role("link", name="Start again at Payroll")).to_be_visible()
    waiting.clock.run_for(60_000)
    assert site.backstage.polls == 1


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_request_that_the_server_no_longer_knows_is_expired(site, waiting, code):
    site.backstage.status = lambda: (code, {})
    poll(waiting)

    expect(waiting.get_by_role("link", name="Start again at Payroll")).to_be_visible()


@pytest.mark.parametrize(
    "answer", [(503, {}), (429, {}), (200, {"state": "open-sesame"}), (200, {})], ids=str
)
def test_an_answer_that_is_none_never_lets_anybody_on(site, waiting, answer):
    site.backstage.status = lambda: answer
    poll(waiting)

    expect(waiting.get_by_role("status")).to_contain_text("We keep trying")
    assert waiting.url.endswith("/remediation-fixable")


def test_errors_slow_the_page_down_and_an_answer_speeds_it_up(site, waiting):
    site.backstage.status = lambda: (503, {})
    poll(waiting)
    for seconds in (4, 8, 15):
        expect(waiting.get_by_role("status")).to_contain_text("We keep trying")
        waiting.clock.run_for(seconds * 1000 - 100)
        asked = site.backstage.polls
        poll(waiting, 0.2)
        assert site.backstage.polls == asked + 1

    site.backstage.status = lambda: (200, {"state": "waiting", "version": "v1"})
    poll(waiting, 15)
    expect(waiting.get_by_role("status")).to_contain_text("opens Payroll by itself")
    poll(waiting)


def test_a_hidden_page_asks_nothing_and_asks_at_once_when_seen_again(site, waiting):
    set_hidden = """(hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    waiting.evaluate(set_hidden, arg=True)
    waiting.clock.run_for(60_000)
    assert site.backstage.polls == 0

    with waiting.expect_response("**/status"):
        waiting.evaluate(set_hidden, arg=False)


def test_focus_stays_where_it_is(site, waiting):
    waiting.focus("summary")
    poll(waiting)
    site.backstage.status = lambda: (200, {"state": "expired", "version": "v1"})
    poll(waiting)

    assert waiting.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_without_scripts_the_refresh_is_in_force(site, chromium):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site.page("remediation-fixable"))
    refresh = page.locator('head meta[http-equiv="refresh"]')

    assert refresh.get_attribute("content") == "20"
    context.close()
