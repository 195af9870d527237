"""Every route there is, read off the application's own map."""

import re

from flask import Flask
from werkzeug.test import TestResponse

from pdp.app import BLUEPRINTS

_APP = Flask("pdp.web")
for _blueprint in BLUEPRINTS:
    _APP.register_blueprint(_blueprint)
RULES = [rule for rule in _APP.url_map.iter_rules() if rule.endpoint != "static"]

#: Callers of these are programs, which authenticate themselves and send no cookies of ours.
PROGRAMS = {
    "oauth.token",
    "oauth.introspect",
    "oauth.revoke",
    "oauth.userinfo",
    "webhooks.receive",
    "device.nonce",
    "device.enrol",
    "device.assert_for_browser",
}
#: What relying parties send people's browsers to, from their own pages.
FROM_ELSEWHERE = {"authorize.authorize_by_post", "sign_out.logout"}
#: Public documents that relying parties may keep.
KEPT = {"oauth.jwks", "oauth.metadata"}

PATHS = {rule.endpoint: re.sub(r"<[^>]+>", "something", rule.rule) for rule in RULES}
POSTS = sorted({rule.endpoint for rule in RULES if "POST" in (rule.methods or ())})
GETS = sorted({rule.endpoint for rule in RULES if "GET" in (rule.methods or ())})

#: What is new with each answer, whoever asks.
_FRESH = re.compile(r"req_[\w-]+|(?<=csrf_token\" value=\")[^\"]*")


def told(answer: TestResponse) -> tuple[int, str, str]:
    """Return what an answer says, apart from what is new with each: status, where to, text."""
    return (
        answer.status_code,
        _FRESH.sub("", answer.headers.get("Location", "")),
        _FRESH.sub("", answer.get_data(as_text=True)),
    )
