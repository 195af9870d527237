"""What decisions see of a device is what counts now, whatever its row was written with."""

import pytest

from pdp.domain.access import Strength
from pdp.domain.compliance import Compliance
from pdp.policy.rules_document import parse_rules
from pdp.store import standings
from pdp.usecases.gather_facts import device_facts
from pdp.usecases.reassess_device import assessment_at
from tests.builders import NOW
from tests.deployment import RULES, a_deployment, signed_in, the_device

#: Rules under which what ada's device says of itself is not good enough any more.
STRICTER = parse_rules(
    b"""\
pratique: compliance/v1
max_age: 24h
rules:
  - {id: calm, when: {risk: [low, medium, high]}, status: not-compliant}
""",
    file="stricter.yaml",
)


@pytest.fixture
def ada(database):
    """Ada on her device, which is compliant by the rules it was assessed with."""
    a_deployment(database)
    return signed_in(database)


def _seen(database, ada, rules):
    with database.read() as tx:
        standing = standings.standing_of_subject(tx, ada.subject, ada.device)
        assert standing is not None
        return device_facts(
            tx, standing.device, ada.subject, Strength.STRONG, rules=rules, now=NOW
        ).compliance


def test_a_device_assessed_with_older_rules_is_assessed_when_it_is_read(database, ada):
    assert _seen(database, ada, RULES) is Compliance.COMPLIANT

    assert _seen(database, ada, STRICTER) is Compliance.NOT_COMPLIANT


def test_a_page_shows_what_newer_rules_make_of_a_device(database, ada):
    stored = the_device(database, ada.device)

    assert assessment_at(stored, RULES, NOW).status is Compliance.COMPLIANT
    assert assessment_at(stored, STRICTER, NOW).status is Compliance.NOT_COMPLIANT
