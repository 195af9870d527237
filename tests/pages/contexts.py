"""The contexts that the views promise to the templates, with defaults for what does not matter."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from tests.builders import NOW

Context = Mapping[str, object]

EVERYWHERE: Final[Context] = {"display_name": "Harbour & Sons", "support": "help@harbour.example"}


@dataclass(frozen=True, slots=True)
class Case:
    """One template with one context."""

    template: str
    context: Context


def a_sign_in(**changes: object) -> Case:
    """Return the sign-in page of an application, not yet filled in."""
    context = {
        "action": "/sent",
        "csrf_token": "token",
        "client_name": "Payroll",
        "username": "",
        "reauthenticate": False,
        "error": None,
        "wait_minutes": None,
        "device_code": None,
    }
    return Case("sign_in.html", {**context, **changes})


def a_totp(**changes: object) -> Case:
    """Return the page that asks for the second factor."""
    context = {
        "action": "/sent",
        "csrf_token": "token",
        "client_name": "Payroll",
        "username": "ada",
        "error": None,
        "error_field": "code",
        "wait_minutes": None,
        "sign_out_url": "/sent",
    }
    return Case("totp.html", {**context, **changes})


def a_device(**changes: object) -> Context:
    """Return a device as pages show it."""
    device = {
        "name": "Ada’s MacBook Pro",
        "platform": "macos",
        "os_version": "15.3.1",
        "serial_end": "4F2Q",
        "last_seen_at": NOW - timedelta(minutes=2),
    }
    return {**device, **changes}


def a_finding(**changes: object) -> Context:
    """Return a finding with steps for its platform."""
    finding = {
        "title": "The disk is not encrypted",
        "category": "posture",
        "severity": "high",
        "since": NOW - timedelta(hours=20),
        "reported_by": "Fleet",
        "checked_at": NOW - timedelta(minutes=2),
        "fix_by": None,
        "minutes": 5,
        "restart": False,
        "steps": [
            {
                "text": "Open System Settings and choose Privacy & Security.",
                "link": {
                    "href": "x-apple.systempreferences:com.apple.preference.security",
                    "label": "Open Privacy & Security",
                },
            },
            {"text": "Scroll to FileVault and choose Turn On.", "link": None},
            {"text": "Keep the recovery key, and leave the Mac connected to power.", "link": None},
        ],
    }
    return {**finding, **changes}


def an_outdated_system() -> Context:
    """Return a second, milder finding."""
    return a_finding(
        title="macOS is two updates behind",
        severity="medium",
        reported_by="CrowdStrike",
        fix_by=NOW + timedelta(days=2),
        minutes=30,
        restart=True,
        steps=[
            {"text": "Open System Settings, General, Software Update.", "link": None},
            {
                "text": "Choose Update Now.",
                "link": {"href": "https://help.example/macos", "label": "What changes"},
            },
        ],
    )


def a_silence() -> Context:
    """Return what is found on a device of which nothing was ever reported."""
    return a_finding(
        title="We know nothing about the health of this device",
        category="",
        severity="medium",
        since=None,
        reported_by=None,
        checked_at=None,
        minutes=None,
        steps=[{"text": "Check that its security agent is running.", "link": None}],
    )


def an_active_threat() -> Context:
    """Return a finding whose name must stay with administrators."""
    return a_finding(
        title="Cobalt Strike beacon", category="active-threat", reported_by="Defender", steps=[]
    )


def a_remediation(**changes: object) -> Case:
    """Return the remediation page with one thing to fix."""
    context = {
        "state": "fixable",
        "client_name": "Payroll",
        "username": "ada",
        "csrf_token": "token",
        "device": a_device(),
        "findings": [a_finding()],
        "reason_user": None,
        "expectation": {"source": "Fleet", "minutes": 2},
        "device_code": "K7F2-Q9XD",
        "account_url": "/account",
        "status_url": "/status",
        "version": "v1",
        "resume_url": "/resume",
        "check_url": "/sent",
        "start_url": "https://payroll.example/",
        "ticket": "K7-4F2Q",
        "privacy": ["disk encryption", "system version", "firewall"],
        "sign_out_url": "/sent",
    }
    return Case("remediation.html", {**context, **changes})


def an_account(**changes: object) -> Case:
    """Return an account page with a little of everything."""
    session = {
        "id": "s1",
        "current": True,
        "browser": "Chrome",
        "device_name": "Ada’s MacBook Pro",
        "address": "192.0.2.7",
        "signed_in_at": NOW - timedelta(hours=3),
        "last_seen_at": NOW,
    }
    other = {**session, "id": "s2", "current": False, "browser": "Firefox", "device_name": None}
    context = {
        "name": "Ada Lovelace",
        "username": "ada",
        "csrf_token": "token",
        "notice": None,
        "password_url": "/password",
        "factor": {"enrolled": True, "recovery_left": 9},
        "renew_codes_url": "/sent",
        "factor_url": "/factor",
        "device_ok": True,
        "sessions": [session, other],
        "revoke_session_url": "/sent",
        "devices": [
            {**a_device(), "compliance": "compliant"},
            {
                **a_device(name="LAB-PC-17", platform="windows", os_version="11 24H2"),
                "compliance": "not-compliant",
            },
        ],
        "enrol_device_url": "/sent",
        "apps": [
            {
                "client_id": "wiki",
                "name": "Wiki",
                "scopes": [{"name": "openid", "resource": None}],
                "since": NOW - timedelta(days=9),
            }
        ],
        "withdraw_url": "/sent",
        "sign_out_url": "/sent",
    }
    return Case("account.html", {**context, **changes})


def a_password_change(**changes: object) -> Case:
    """Return the page to change a password by one's own wish."""
    context = {
        "action": "/sent",
        "csrf_token": "token",
        "username": "ada",
        "forced": False,
        "min_length": 12,
        "error": None,
        "wait_minutes": None,
        "cancel_url": "/account",
    }
    return Case("password.html", {**context, **changes})


def a_factor_enrolment(**changes: object) -> Case:
    """Return the page with the QR code of a new authenticator."""
    context = {
        "action": "/sent",
        "csrf_token": "token",
        "qr_url": "/qr",
        "secret": "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP",
        "username": "ada",
        "replaces": False,
        "error": None,
        "wait_minutes": None,
        "cancel_url": "/account",
    }
    return Case("factor_enrol.html", {**context, **changes})


def a_consent(**changes: object) -> Case:
    """Return the page that asks for consent."""
    scopes = [
        {"name": "openid", "resource": None},
        {"name": "email", "resource": None},
        {"name": "offline_access", "resource": None},
        {"name": "wiki:write", "resource": "https://wiki.example/api"},
        {"name": "wiki:read", "resource": None},
    ]
    context = {
        "action": "/sent",
        "csrf_token": "token",
        "client_name": "Wiki",
        "client_url": "https://wiki.example/",
        "username": "ada",
        "scopes": scopes,
    }
    return Case("consent.html", {**context, **changes})


def an_error(problem: str, **changes: object) -> Case:
    """Return the error page for a machine word."""
    context = {
        "problem": problem,
        "reference": "01JNB2T5X9",
        "retry_after": None,
        "start_url": None,
        "client_name": None,
    }
    return Case("error.html", {**context, **changes})


def a_missing_factor(*, device_ok: bool) -> Case:
    """Return what a person without a second factor is told."""
    return Case(
        "factor_missing.html",
        {
            "client_name": "Payroll",
            "username": "ada",
            "device_ok": device_ok,
            "factor_url": "/account/factor",
            "resume_url": "/resume",
            "csrf_token": "token",
            "sign_out_url": "/sent",
        },
    )


LINK: Final = "https://id.harbour.example/enrol/3hV8dK2sQnTz0pXyWc7RbL1mJfG5uEo9aIvNtSxHrYk"
COMMAND: Final = (
    "pdp device enrol 3hV8dK2sQnTz0pXyWc7RbL1mJfG5uEo9aIvNtSxHrYk"
    " --issuer https://id.harbour.example"
)


def an_enrolment(state: str, **changes: object) -> Case:
    """Return the landing page of an enrolment link."""
    context = {
        "state": state,
        "device": None if state == "over" else a_device(),
        "owner": "Ada Lovelace" if state == "confirm" else None,
        "current": None,
        "action": "/sent",
        "csrf_token": "token",
        "link": LINK,
        "command": COMMAND,
        "account_url": "/account",
    }
    return Case("enrol_device.html", {**context, **changes})


def an_enrolment_offer(**changes: object) -> Case:
    """Return the page with a link for the person's other device."""
    context = {
        "link": LINK,
        "command": COMMAND,
        "minutes": 15,
        "here_url": "/enrol/token",
        "account_url": "/account",
    }
    return Case("enrol_offer.html", {**context, **changes})
