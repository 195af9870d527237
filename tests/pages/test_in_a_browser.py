"""Every page in Chromium: accessible, within its policy, light enough, usable by keyboard alone."""

from typing import Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Response

from tests.pages.cases import CASES, PROBLEMS, REMEDIATIONS

_AXE: Final = Axe()
_TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_ALL_RULES: Final = {"runOnly": {"type": "tag", "values": _TAGS}}
#: What can differ between two looks of one page; the other rules read only its markup.
_LOOKS_RULES: Final = {"runOnly": {"type": "rule", "values": ["color-contrast", "target-size"]}}
_LOOKS: Final = (
    ("light", {"width": 360, "height": 740}, _ALL_RULES),
    ("light", {"width": 1280, "height": 800}, _LOOKS_RULES),
    ("dark", {"width": 1280, "height": 800}, _LOOKS_RULES),
    ("dark", {"width": 360, "height": 740}, _LOOKS_RULES),
)
#: Problems differ in their words alone: one of them stands for all.
_SHOWN: Final = [
    name for name in CASES if name.removeprefix("error-") not in {*PROBLEMS} - {"internal"}
]

_OPEN_ALL: Final = "document.querySelectorAll('details').forEach((part) => { part.open = true; })"

every_case: Final = pytest.mark.parametrize("name", _SHOWN)


def wider_than_the_window(page):
    """Tell by how many pixels the page scrolls sideways."""
    return page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


@every_case
def test_a_page_breaks_no_accessibility_rule_and_no_policy(site, page, name):
    page.goto(site.page(name))
    page.evaluate(_OPEN_ALL)
    for scheme, size, rules in _LOOKS:
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme)
        found = _AXE.run(page, options=rules)

        assert found.violations_count == 0, (scheme, size, found.generate_report())
    assert page.evaluate("window.refused") == []


@every_case
def test_a_page_fits_320_pixels_also_with_text_at_twice_the_size(site, page, name):
    page.set_viewport_size({"width": 320, "height": 640})
    for direction in ("ltr", "rtl"):
        page.goto(f"{site.page(name)}?dir={direction}")
        page.evaluate(_OPEN_ALL)
        assert wider_than_the_window(page) <= 0, direction

        page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert wider_than_the_window(page) <= 0, direction


@every_case
def test_targets_are_large_enough_for_a_thumb(site, page, name):
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(site.page(name))
    heights = page.eval_on_selector_all(
        "button, .button, summary, input:not([type=hidden]), .steps a, .bottom a",
        "all => all.filter((one) => one.checkVisibility())"
        ".map((one) => [one.outerHTML.slice(0, 80), one.getBoundingClientRect().height])",
    )

    assert not [one for one in heights if one[1] < 44]


@pytest.mark.parametrize("name", ["sign-in", "sign-in-device-code", *REMEDIATIONS])
def test_a_page_costs_at_most_thirty_kibibytes(site, page, name):
    responses: list[Response] = []

    def note(response):
        responses.append(response)

    page.on("response", note)
    page.goto(site.page(name), wait_until="networkidle")
    loaded = [response for response in responses if "/status" not in response.url]

    assert sum(len(response.body()) for response in loaded) <= 30 * 1024
    assert len(loaded) <= (4 if name.startswith("sign-in") else 5)
    assert all(response.ok for response in loaded)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_focus_stands_out_from_what_surrounds_it(site, page, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto(site.page("sign-in"))
    for _ in range(2):
        page.keyboard.press("Tab")
        ring, ground = page.evaluate(
            "[getComputedStyle(document.activeElement).outlineColor,"
            " getComputedStyle(document.body).backgroundColor]"
        )

        assert contrast(ring, ground) >= 3


def contrast(one, other):
    """Return the WCAG contrast ratio of two `rgb(…)` colours."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour):
    """Return the relative luminance of `rgb(r, g, b)` as WCAG defines it."""
    channels = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_the_keyboard_alone_signs_in(site, page):
    page.goto(site.page("sign-in"))
    page.wait_for_function("document.activeElement.id === 'username'")
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    page.keyboard.type("correct horse")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "sign-in"
    page.keyboard.press("Enter")
    page.wait_for_url("**/sent")

    assert site.backstage.sent == [
        {"csrf_token": "token", "username": "ada", "password": "correct horse"}
    ]


def test_after_an_error_typing_goes_on_in_the_password(site, page):
    page.goto(site.page("sign-in-invalid"))

    assert page.evaluate("document.activeElement.id") == "password"


def test_sign_in_works_without_scripts(site, chromium):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site.page("sign-in"))
    page.fill("#username", "ada")
    page.fill("#password", "correct horse")
    page.click("#sign-in")
    page.wait_for_url("**/sent")
    context.close()

    assert site.backstage.sent[0]["password"] == "correct horse"


def test_pressing_enter_on_the_recovery_code_sends_only_that(site, page):
    page.goto(site.page("totp"))
    page.click("summary")
    page.fill("#recovery_code", "k7f2-q9xd")
    page.keyboard.press("Enter")
    page.wait_for_url("**/sent")

    assert site.backstage.sent == [{"csrf_token": "token", "recovery_code": "k7f2-q9xd"}]


def test_consent_sends_what_was_chosen(site, page):
    page.goto(site.page("consent"))
    page.click("#allow")
    page.wait_for_url("**/sent")

    assert site.backstage.sent == [{"csrf_token": "token", "decision": "allow"}]


def test_a_new_password_can_be_looked_at(site, page):
    page.goto(site.page("password"))
    page.click("text=Show new password")

    assert page.get_attribute("#new_password", "type") == "text"
    assert page.get_attribute("#current_password", "type") == "password"
    page.fill("#current_password", "old")
    page.fill("#new_password", "correct horse battery")
    page.click("#change-password")
    page.wait_for_url("**/sent")
    assert site.backstage.sent[0]["new_password"] == "correct horse battery"
    assert site.backstage.sent[0]["username"] == "ada"


def test_the_end_of_a_serial_number_stays_on_one_line_at_any_width(site, page):
    page.goto(site.page("account-serial"))
    lines = set()
    for width in range(320, 420, 4):
        page.set_viewport_size({"width": width, "height": 740})
        lines.add(page.evaluate("document.querySelector('.items .code').getClientRects().length"))

    assert lines == {1}


def test_instants_are_shown_in_the_time_zone_of_the_reader(site, chromium):
    context = chromium.new_context(timezone_id="Asia/Tokyo", locale="en-GB")
    page = context.new_page()
    page.goto(site.page("remediation-fixable"))
    shown = page.inner_text(".device time")
    context.close()

    assert shown == "2 Mar 2026, 18:58"
