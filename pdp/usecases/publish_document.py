"""Policies and compliance rules are put in force, and back, by an operator."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pdp.domain.errors import Conflict, NotFound
from pdp.domain.events import Action, Event
from pdp.policy.document import parse_policies
from pdp.policy.rules_document import parse_rules
from pdp.store import audit, documents
from pdp.store.database import Transaction
from pdp.store.documents import DocumentKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The version in force now, and the one before it; they are equal if nothing changed."""

    version: str
    before: str | None

    @property
    def is_change(self) -> bool:
        """Whether another version is in force than before."""
        return self.version != self.before


def _policies_version(text: str, file: str) -> str:
    return parse_policies(text, file=file).version


def _rules_version(text: str, file: str) -> str:
    return parse_rules(text, file=file).version


_VERSION_OF: Final[Mapping[DocumentKind, Callable[[str, str], str]]] = {
    DocumentKind.POLICIES: _policies_version,
    DocumentKind.COMPLIANCE: _rules_version,
}


def check_document(kind: DocumentKind, text: str, *, file: str) -> str:
    """Return the version that the content of a document names; MalformedPolicy if it has none.

    `file` is what errors call the document.
    """
    return _VERSION_OF[kind](text, file)


def publish(
    tx: Transaction, kind: DocumentKind, text: str, *, file: str, actor: str, now: datetime
) -> Published:
    """Put a document in force for every decision from this transaction's commit on.

    MalformedPolicy with every problem of it, and nothing is changed.
    """
    return _activate(tx, kind, check_document(kind, text, file=file), text, actor=actor, now=now)


def roll_back(
    tx: Transaction, kind: DocumentKind, version: str, *, actor: str, now: datetime
) -> Published:
    """Put a version that was in force before in force again; a beginning that is unique will do.

    NotFound if there is none, Conflict if several begin so, MalformedPolicy if this program does
    not read it any more.
    """
    found = find_version(tx, kind, version)
    text = documents.text_of(tx, kind, found)
    check_document(kind, text, file=f"{kind.value} {found}")
    return _activate(tx, kind, found, text, actor=actor, now=now)


def find_version(tx: Transaction, kind: DocumentKind, beginning: str) -> str:
    """Return the one version that begins so, with or without `sha256:`."""
    wanted = beginning if ":" in beginning else f"sha256:{beginning}"
    found = [name for name, _ in documents.versions(tx, kind) if name.startswith(wanted)]
    if not found:
        raise NotFound(f"{kind.value} document", beginning)
    if len(found) > 1:
        raise Conflict(f"{len(found)} versions begin with {beginning!r}: give more of it")
    return found[0]


def _activate(
    tx: Transaction, kind: DocumentKind, version: str, text: str, *, actor: str, now: datetime
) -> Published:
    active = documents.active(tx, kind)
    published = Published(version=version, before=None if active is None else active[0])
    if not published.is_change:
        return published
    documents.activate(tx, kind, version, text, now=now)
    detail: dict[str, object] = {"before": published.before, "after": version}
    audit.append(
        tx,
        Event(
            at=now,
            actor=actor,
            action=Action.DOCUMENT_ACTIVATED,
            kind="document",
            object_id=kind.value,
            detail=detail,
        ),
    )
    return published
