"""The HTML of every page in every state, read without a browser."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

import pytest

from tests.pages.cases import CASES, PROBLEMS, REMEDIATIONS, SIGN_INS
from tests.pages.contexts import (
    a_consent,
    a_finding,
    a_password_change,
    a_remediation,
    a_sign_in,
    a_totp,
    an_active_threat,
)
from tests.pages.site import WEB, render

every_case: Final = pytest.mark.parametrize("name", CASES)


@dataclass
class Markup(HTMLParser):
    """The start tags of a page with their attributes, and its visible text."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: str = ""

    def __post_init__(self):
        super().__init__()

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice in {tag}"
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        """Return the attributes of every `tag`."""
        return [attributes for name, attributes in self.tags if name == tag]


def read(case, **changes):
    """Return the page as a reader sees it."""
    markup = Markup()
    markup.feed(render(case, **changes))
    return markup


def field_named(markup, name):
    """Return the attributes of the input called `name`."""
    (found,) = [attributes for attributes in markup.all("input") if attributes.get("name") == name]
    return found


@every_case
def test_nothing_is_inline(name):
    markup = read(CASES[name])

    assert not markup.all("style")
    assert all(script.get("src") for script in markup.all("script"))
    assert not [
        (tag, attribute, value)
        for tag, attributes in markup.tags
        for attribute, value in attributes.items()
        if attribute == "style"
        or attribute.startswith("on")
        or (value or "").lower().startswith(("data:", "javascript:"))
    ]


@every_case
def test_a_page_has_a_language_a_title_and_one_first_heading(name):
    markup = read(CASES[name])

    assert markup.all("html") == [{"lang": "en", "dir": "ltr"}]
    assert len(markup.all("title")) == len(markup.all("h1")) == len(markup.all("main")) == 1


@every_case
def test_ids_are_unique_and_references_lead_to_them(name):
    markup = read(CASES[name])
    ids = [attributes["id"] for _, attributes in markup.tags if "id" in attributes]
    named = [
        reference
        for _, attributes in markup.tags
        for attribute in ("for", "aria-describedby", "aria-labelledby", "aria-controls")
        for reference in (attributes.get(attribute) or "").split()
    ]

    assert len(set(ids)) == len(ids)
    assert set(named) <= set(ids)


@every_case
def test_every_form_posts_a_csrf_token(name):
    markup = read(CASES[name])
    tokens = [tag for tag in markup.all("input") if tag.get("name") == "csrf_token"]

    assert all(form["method"] == "post" for form in markup.all("form"))
    assert len(tokens) == len(markup.all("form"))


@every_case
def test_every_field_has_a_label(name):
    markup = read(CASES[name])
    labelled = {label["for"] for label in markup.all("label")}
    visible = [
        tag for tag in markup.all("input") if tag.get("type") != "hidden" and "hidden" not in tag
    ]

    assert all(tag["id"] in labelled for tag in visible)


@pytest.mark.parametrize("path", sorted((WEB / "templates").glob("*.html")), ids=lambda p: p.name)
def test_every_template_is_a_case_or_a_part_and_says_what_it_needs(path):
    is_part = path.name in ("base.html", "_parts.html")

    assert is_part or path.name in {case.template for case in CASES.values()}
    assert path.read_text(encoding="utf-8").startswith("{# context:" if not is_part else "{#")


def test_values_are_escaped():
    page = render(a_sign_in(client_name="<i>A & B", username='"><script>'))

    assert "<h1>Sign in to &lt;i&gt;A &amp; B</h1>" in page
    assert "<i>" not in page
    assert "<script" not in page


# Sign-in


def test_an_error_keeps_the_user_name_drops_the_password_and_is_tied_to_both():
    markup = read(a_sign_in(username="ada", error="invalid"))
    username, password = field_named(markup, "username"), field_named(markup, "password")

    assert username["value"] == "ada"
    assert "value" not in password
    assert username["aria-describedby"] == password["aria-describedby"] == "error"
    assert "Error: Sign in to Payroll" in markup.text


@pytest.mark.parametrize("error", ["invalid", "throttled", "busy", "expired", "never-heard-of"])
def test_every_sign_in_error_is_told_in_words(error):
    markup = read(a_sign_in(error=error, wait_minutes=5))

    assert [tag["id"] for tag in markup.all("p") if tag.get("role") == "alert"] == ["error"]
    assert error == "invalid" or error not in markup.text


def test_password_managers_recognise_the_fields():
    markup = read(a_sign_in())

    assert field_named(markup, "username")["autocomplete"] == "username"
    assert field_named(markup, "password")["autocomplete"] == "current-password"


def test_a_fresh_sign_in_fixes_the_user_name():
    markup = read(SIGN_INS["sign-in-again"])

    assert "readonly" in field_named(markup, "username")
    assert "Confirm it is you" in markup.text


def test_the_second_factor_says_who_asks_and_offers_a_recovery_code():
    markup = read(a_totp(client_name="Payroll"))

    assert "Payroll asks for a second factor" in markup.text
    assert field_named(markup, "code")["autocomplete"] == "one-time-code"
    assert field_named(markup, "recovery_code")["autocomplete"] == "off"


@pytest.mark.parametrize(
    "error", ["current-wrong", "too-short", "too-long", "too-common", "same", "throttled"]
)
def test_a_password_error_belongs_to_one_field(error):
    markup = read(a_password_change(error=error, wait_minutes=2))
    fields = [field_named(markup, name) for name in ("current_password", "new_password")]

    assert ["error" in tag.get("aria-describedby", "") for tag in fields].count(True) == 1


def test_consent_says_scopes_in_words_and_pressing_enter_never_allows():
    markup = read(a_consent())
    buttons = [button["value"] for button in markup.all("button") if button.get("name")]

    assert buttons == ["deny", "allow"]
    assert "Use: wiki:write at https://wiki.example/api" in markup.text
    assert "Use: wiki:read" in markup.text
    assert "openid" not in markup.text


@pytest.mark.parametrize("problem", [*PROBLEMS, "never-heard-of"])
def test_every_problem_has_a_title_a_sentence_and_a_reference(problem):
    markup = read(CASES["error-internal"], problem=problem)

    assert problem not in markup.text
    assert "01JNB2T5X9" in markup.text


# Remediation


@pytest.mark.parametrize("name", REMEDIATIONS)
def test_the_headline_says_what_in_at_most_twelve_words_and_names_the_application(name):
    page = render(REMEDIATIONS[name])
    (headline,) = re.findall(r"<h1>(.*?)</h1>", page)

    assert "Payroll" in headline
    assert len(headline.split()) <= 12


def test_the_page_tells_what_was_found_by_whom_and_what_to_do():
    markup = read(a_remediation(findings=[a_finding()]))

    for words in ("Ada’s MacBook Pro", "4F2Q", "The disk is not encrypted", "Fleet", "Serious"):
        assert words in markup.text
    for words in ("2 March 2026, 09:58 UTC", "FileVault", "about 5 minutes", "K7-4F2Q"):
        assert words in markup.text


def test_a_device_without_reports_is_told_so_and_nothing_stands_alone():
    markup = read(REMEDIATIONS["remediation-silent"])
    facts = [attributes for attributes in markup.all("p") if attributes.get("class") == "facts"]

    assert "No security software has reported about it yet" in markup.text
    assert "needs attention" not in markup.text
    assert facts == []


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"since": None, "checked_at": None}, "Found by Fleet"),
        ({"reported_by": None, "checked_at": None}, "Found since 1 March 2026, 14:00 UTC"),
        ({"since": None, "reported_by": None}, "Last checked 2 March 2026, 09:58 UTC"),
    ],
    ids=["by", "since", "checked"],
)
def test_what_is_known_of_a_finding_reads_as_one_line(given, line):
    assert line in read(a_remediation(findings=[a_finding(**given)])).text


@pytest.mark.parametrize("state", ["unknown-device", "security-team", "stale", "error"])
def test_a_policys_sentence_never_stands_where_the_page_knows_better(state):
    page = render(a_remediation(state=state, findings=[], reason_user="Needs attention."))

    assert "Needs attention." not in page


def test_an_active_threat_is_never_named():
    markup = read(a_remediation(state="security-team", findings=[an_active_threat()]))

    assert "Security team is checking your device" in markup.text
    assert "Cobalt Strike" not in markup.text
    assert "Defender" not in markup.text


@pytest.mark.parametrize("href", ["javascript:alert(1)", "http://plain.example/", "file:///etc"])
def test_a_step_links_only_to_allowed_schemes(href):
    step = {"text": "Do this.", "link": {"href": href, "label": "Here"}}

    assert href not in render(a_remediation(findings=[a_finding(steps=[step])]))


@pytest.mark.parametrize("name", [name for name in REMEDIATIONS if name != "remediation-expired"])
def test_without_scripts_the_page_refreshes_itself(name):
    page = render(REMEDIATIONS[name])

    assert '<noscript><meta http-equiv="refresh" content="20"></noscript>' in page.split("<body")[0]


def test_an_expired_request_stops_asking_and_leads_to_a_new_start():
    markup = read(REMEDIATIONS["remediation-expired"])

    assert not markup.all("meta")[-1].get("http-equiv")
    assert "https://payroll.example/" in [tag.get("href") for tag in markup.all("a")]


@pytest.mark.parametrize("name", REMEDIATIONS)
def test_there_is_always_a_way_forward_and_a_way_out(name):
    markup = read(REMEDIATIONS[name])
    actions = {tag.get("id") for tag in [*markup.all("button"), *markup.all("a")]}

    assert actions & {"check-again", "start-again"}
    assert "Sign out" in markup.text


@pytest.mark.parametrize("state", ["unknown-device", "fixable"])
def test_the_pairing_command_can_be_copied(state):
    assert "pdp device assert --code K7F2-Q9XD" in read(a_remediation(state=state)).text


def test_style_and_scripts_stay_small():
    sizes = {
        path.name: path.stat().st_size for path in (WEB / "static").iterdir() if path.is_file()
    }

    assert sizes["pages.css"] <= 15 * 1024
    assert sum(size for name, size in sizes.items() if name.endswith(".js")) <= 4 * 1024
    assert sizes["status.js"] <= 3 * 1024
