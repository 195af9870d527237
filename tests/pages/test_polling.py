"""The remediation page asks, waits, goes on by itself, and backs off when nobody answers.

The browser's clock is Playwright's: it stands still until the test moves it.
"""

from datetime import timedelta
from itertools import pairwise
from typing import Final

import pytest
from playwright.sync_api import expect

from tests.builders import NOW

_NOTE_QUESTIONS: Final = """
window.asked = [];
const ask = window.fetch;
window.fetch = (...request) => {
  window.asked.push(Date.now());
  const answer = ask(...request);
  window.answered = answer.then((response) => response.clone().text());
  return answer;
};
"""
_USUAL: Final = 2500
_STEP: Final = 250
_LONGEST: Final = 20_000


@pytest.fixture
def waiting(site, page):
    """The remediation page, just opened; its timers run when the test says so."""
    page.clock.install(time=NOW)
    page.clock.pause_at(NOW + timedelta(hours=1))
    page.add_init_script(_NOTE_QUESTIONS)
    page.goto(site.page("remediation-fixable"))
    return page


def poll(page):
    """Move the clock until the page has asked once more, and wait until it was answered."""
    questions = page.evaluate("asked.length")
    for _ in range(_LONGEST // _STEP):
        page.clock.run_for(_STEP)
        if page.evaluate("asked.length") > questions:
            break
    page.evaluate("() => window.answered")


def test_the_page_waits_and_then_goes_on_by_itself(site, waiting):
    poll(waiting)
    poll(waiting)
    assert waiting.url.endswith("/remediation-fixable")

    site.backstage.status = lambda: (200, {"state": "continue", "version": "v1"})
    waiting.clock.run_for(_USUAL)
    waiting.wait_for_url("**/resume")

    assert site.backstage.polls == 3
    assert waiting.inner_text("h1") == "Payroll"


def test_going_on_leaves_nothing_to_come_back_to(site, waiting):
    entries = waiting.evaluate("history.length")
    site.backstage.status = lambda: (200, {"state": "continue", "version": "v1"})
    waiting.clock.run_for(_USUAL)
    waiting.wait_for_url("**/resume")

    assert waiting.evaluate("history.length") == entries


def test_other_findings_reload_the_page_once(site, waiting):
    site.backstage.version = "v2"
    site.backstage.status = lambda: (200, {"state": "changed", "version": "v2"})
    with waiting.expect_navigation():
        waiting.clock.run_for(_USUAL)
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
    for _ in range(5):
        poll(waiting)
    expect(waiting.get_by_role("status")).to_contain_text("We keep trying")
    site.backstage.status = lambda: (200, {"state": "waiting", "version": "v1"})
    poll(waiting)
    expect(waiting.get_by_role("status")).to_contain_text("opens Payroll by itself")
    poll(waiting)

    moments = waiting.evaluate("asked")
    waits = [(after - before) / 1000 for before, after in pairwise(moments)]
    assert waits == pytest.approx([4, 8, 15, 15, 15, 2], abs=1)


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
