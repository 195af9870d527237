"""Documents are put in force and back; one that does not compile changes nothing."""

import pytest

from pdp.domain.errors import Conflict, NotFound
from pdp.policy.defaults import default_policies
from pdp.policy.document import serialise
from pdp.policy.errors import MalformedPolicy
from pdp.store import audit_trail, documents
from pdp.store.documents import DocumentKind
from pdp.usecases.publish_document import check_document, find_version, publish, roll_back
from tests.builders import NOW
from tests.deployment import a_deployment

STRICT = """\
pratique: policies/v1
default: block
policies:
  - id: nobody
    outcome: block
"""
WRONG = STRICT.replace("outcome: block", "outcome: maybe")
LENIENT = """\
pratique: compliance/v1
max_age: 7d
rules:
  - {id: risky, when: {risk: [high]}, status: not-compliant}
"""


@pytest.fixture
def runtime(database):
    """A deployment with the default documents."""
    return a_deployment(database)


def _publish(runtime, text, kind=DocumentKind.POLICIES):
    with runtime.database.write() as tx:
        return publish(tx, kind, text, file="policies.yaml", actor="cli:ada", now=NOW)


def _in_force(runtime):
    with runtime.database.read() as tx:
        return runtime.configurations.current(tx)


def test_a_published_document_decides_from_the_commit_on(runtime):
    before = _in_force(runtime).bundle.version

    published = _publish(runtime, STRICT)

    assert _in_force(runtime).bundle.version == published.version
    assert (published.before, published.is_change) == (before, True)
    with runtime.database.read() as tx:
        (event,) = audit_trail.recent(tx, kind="document")
    assert event.detail == {"before": before, "after": published.version}


def test_the_same_document_again_is_no_change(runtime):
    _publish(runtime, STRICT)

    again = _publish(runtime, STRICT + "# only a comment\n")

    assert not again.is_change
    with runtime.database.read() as tx:
        assert len(audit_trail.recent(tx, kind="document")) == 1


def test_a_document_that_does_not_compile_changes_nothing(runtime):
    before = _in_force(runtime)

    with pytest.raises(MalformedPolicy, match=r"policies\.yaml:5"):
        _publish(runtime, WRONG)

    assert _in_force(runtime) is before


def test_compliance_rules_are_published_alike(runtime):
    published = _publish(runtime, LENIENT, DocumentKind.COMPLIANCE)

    assert _in_force(runtime).rules.version == published.version


def test_a_rollback_needs_only_the_beginning_of_the_version(runtime):
    first = _in_force(runtime).bundle.version
    _publish(runtime, STRICT)

    with runtime.database.write() as tx:
        back = roll_back(tx, DocumentKind.POLICIES, first[7:15], actor="cli:ada", now=NOW)

    assert back.version == first
    assert serialise(_in_force(runtime).bundle) == serialise(default_policies())


def test_a_version_that_never_was_is_not_found(runtime):
    with runtime.database.read() as tx, pytest.raises(NotFound):
        find_version(tx, DocumentKind.POLICIES, "0000")


def test_a_beginning_of_several_versions_is_refused(runtime):
    _publish(runtime, STRICT)

    with runtime.database.read() as tx, pytest.raises(Conflict, match="2 versions"):
        find_version(tx, DocumentKind.POLICIES, "sha256:")


def test_a_stored_version_that_no_longer_compiles_does_not_come_back(runtime):
    with runtime.database.write() as tx:
        documents.activate(tx, DocumentKind.POLICIES, "sha256:old", WRONG, now=NOW)
    _publish(runtime, STRICT)

    with runtime.database.write() as tx, pytest.raises(MalformedPolicy, match="sha256:old"):
        roll_back(tx, DocumentKind.POLICIES, "old", actor="cli:ada", now=NOW)


def test_a_kind_is_not_taken_for_another():
    with pytest.raises(MalformedPolicy):
        check_document(DocumentKind.COMPLIANCE, STRICT, file="x.yaml")
