"""The bundle and the rules that a deployment begins with; shipped as documents beside this."""

from functools import cache
from importlib.resources import files
from typing import Final

from pdp.policy.document import parse_policies
from pdp.policy.policy import Bundle
from pdp.policy.rules import Rules
from pdp.policy.rules_document import parse_rules

POLICIES_FILE: Final = "default-policies.yaml"
RULES_FILE: Final = "default-compliance.yaml"


@cache
def default_policies() -> Bundle:
    """Return the default access policies, read from the package."""
    return parse_policies(_shipped(POLICIES_FILE), file=POLICIES_FILE)


@cache
def default_rules() -> Rules:
    """Return the default compliance rules, read from the package."""
    return parse_rules(_shipped(RULES_FILE), file=RULES_FILE)


def _shipped(name: str) -> bytes:
    return files("pdp.policy").joinpath(name).read_bytes()
