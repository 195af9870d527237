"""Every page in every state, by name."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from tests.builders import NOW
from tests.pages.contexts import (
    Case,
    Context,
    a_consent,
    a_device,
    a_factor_enrolment,
    a_finding,
    a_missing_factor,
    a_password_change,
    a_remediation,
    a_sign_in,
    a_silence,
    a_totp,
    an_account,
    an_active_threat,
    an_enrolment,
    an_enrolment_offer,
    an_error,
    an_outdated_system,
)

_NOTHING_TO_SHOW: Final[Context] = {"device": None, "findings": [], "expectation": None}

REMEDIATIONS: Final[Mapping[str, Case]] = {
    "remediation-fixable": a_remediation(),
    "remediation-two-things": a_remediation(findings=[a_finding(), an_outdated_system()]),
    "remediation-reason": a_remediation(
        reason_user="Payroll holds salaries: it opens on sealed disks."
    ),
    "remediation-no-steps": a_remediation(findings=[a_finding(steps=[])]),
    "remediation-waiting": a_remediation(state="waiting", findings=[]),
    "remediation-silent": a_remediation(
        state="waiting",
        findings=[a_silence()],
        device=a_device(last_seen_at=None),
        reason_user="Your device needs attention.",
    ),
    "remediation-unknown-device": a_remediation(state="unknown-device", **_NOTHING_TO_SHOW),
    "remediation-security-team": a_remediation(
        state="security-team", findings=[an_active_threat()]
    ),
    "remediation-security-hold": a_remediation(state="security-team", findings=[]),
    "remediation-stale": a_remediation(
        state="stale", findings=[], device=a_device(last_seen_at=NOW - timedelta(days=9))
    ),
    "remediation-error": a_remediation(state="error", findings=[]),
    "remediation-expired": a_remediation(state="expired", **_NOTHING_TO_SHOW),
}

SIGN_INS: Final[Mapping[str, Case]] = {
    "sign-in": a_sign_in(),
    "sign-in-account": a_sign_in(client_name=None),
    "sign-in-device-code": a_sign_in(device_code="K7F2-Q9XD"),
    "sign-in-invalid": a_sign_in(username="ada", error="invalid"),
    "sign-in-throttled": a_sign_in(username="ada", error="throttled", wait_minutes=5),
    "sign-in-busy": a_sign_in(username="ada", error="busy"),
    "sign-in-expired": a_sign_in(error="expired"),
    "sign-in-again": a_sign_in(username="ada", reauthenticate=True, switch_url="/switch"),
    "sign-in-again-invalid": a_sign_in(username="ada", reauthenticate=True, error="invalid"),
}

SECOND_FACTORS: Final[Mapping[str, Case]] = {
    "totp": a_totp(),
    "totp-invalid": a_totp(error="invalid"),
    "totp-used": a_totp(error="used"),
    "totp-throttled": a_totp(error="throttled", wait_minutes=1),
    "totp-recovery-invalid": a_totp(error="invalid", error_field="recovery_code"),
    "factor-missing": a_missing_factor(device_ok=True),
    "factor-missing-here": a_missing_factor(device_ok=False),
    "factor-enrol": a_factor_enrolment(),
    "factor-enrol-invalid": a_factor_enrolment(error="invalid", replaces=True),
    "recovery-codes": Case(
        "recovery_codes.html",
        {
            "codes": [f"k7f2-q9x{n}-4mw8" for n in range(10)],
            "username": "ada",
            "continue_url": "/account",
        },
    ),
}

ACCOUNTS: Final[Mapping[str, Case]] = {
    "account": an_account(),
    "account-notice": an_account(notice="password-changed"),
    "account-serial": an_account(
        devices=[{**a_device(serial_end="S-04"), "compliance": "unknown"}]
    ),
    "account-bare": an_account(
        devices=[], apps=[], device_ok=False, factor={"enrolled": False, "recovery_left": 0}
    ),
    "password": a_password_change(),
    "password-forced": a_password_change(forced=True, cancel_url=None),
    "password-wrong": a_password_change(error="current-wrong"),
    "password-short": a_password_change(error="too-short"),
    "password-throttled": a_password_change(error="throttled", wait_minutes=3),
    "enrol-device": an_enrolment("confirm"),
    "enrol-device-again": an_enrolment("confirm", current="Ada’s MacBook Pro", device=None),
    "enrol-device-done": an_enrolment("done"),
    "enrol-device-over": an_enrolment("over"),
    "enrol-device-over-here": an_enrolment("over", current="Ada’s MacBook Pro"),
    "enrol-offer": an_enrolment_offer(),
}

PROBLEMS: Final = (
    "unknown-client",
    "redirect-uri",
    "invalid-request",
    "request-expired",
    "csrf",
    "forbidden",
    "not-found",
    "method-not-allowed",
    "too-large",
    "throttled",
    "busy",
    "internal",
    "unavailable",
    "outcome-unknown",
)

ENDINGS: Final[Mapping[str, Case]] = {
    "consent": a_consent(),
    **{
        f"access-{outcome}": Case("access.html", {"outcome": outcome, "account_url": "/account"})
        for outcome in ("step-up", "remediate", "block")
    },
    "signed-out": Case(
        "signed_out.html",
        {
            "applications": {"told": True, "untold": ["Harbour wiki", "Expenses"]},
            "return_url": "https://payroll.example/",
            "client_name": "Payroll",
            "sign_in_url": None,
        },
    ),
    "signed-out-bare": Case(
        "signed_out.html",
        {"applications": None, "return_url": None, "client_name": None, "sign_in_url": "/sign-in"},
    ),
    "sign-out-confirm": Case(
        "sign_out_confirm.html",
        {
            "action": "/sent",
            "csrf_token": "token",
            "client_name": "Payroll",
            "username": "ada",
            "cancel_url": "/account",
        },
    ),
    **{f"error-{problem}": an_error(problem) for problem in PROBLEMS},
    "error-retry-after": an_error("unavailable", retry_after=30),
    "error-with-a-way-back": an_error(
        "request-expired", start_url="https://payroll.example/", client_name="Payroll"
    ),
}

CASES: Final[Mapping[str, Case]] = {
    **SIGN_INS,
    **SECOND_FACTORS,
    **REMEDIATIONS,
    **ACCOUNTS,
    **ENDINGS,
}
