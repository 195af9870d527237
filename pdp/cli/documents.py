"""`pdp policy` and `pdp compliance`: the documents that decide, put in force and back."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import click

from pdp.cli.context import pass_runtime
from pdp.cli.invocation import actor
from pdp.cli.output import read_text, say, show
from pdp.cli.parameters import FILE
from pdp.domain.errors import NotFound
from pdp.runtime import Runtime
from pdp.store import documents
from pdp.store.documents import DocumentKind
from pdp.usecases.publish_document import (
    Published,
    check_document,
    find_version,
    publish,
    roll_back,
)


@click.group()
def policy() -> None:
    """Access policies: who gets in, on which device, how far."""


@click.group()
def compliance() -> None:
    """Compliance rules: which devices are healthy."""


def _add_commands(group: click.Group, kind: DocumentKind) -> None:
    """Give a group the commands of its kind of document: both kinds are handled alike."""
    for name, make in _COMMANDS.items():
        group.add_command(make(kind), name)


def _lint(kind: DocumentKind) -> click.Command:
    @click.command()
    @click.argument("file", type=FILE)
    def lint(file: Path) -> None:
        """Check FILE, needing no database; exit code 3 and every problem if it does not compile."""
        version = check_document(kind, read_text(file), file=str(file))
        say(f"{file}: good, would be version {version}")

    return lint


def _show(kind: DocumentKind) -> click.Command:
    @click.command()
    @click.option("--version", "beginning", help="A version from `list`, or its beginning.")
    @pass_runtime
    def show_document(runtime: Runtime, beginning: str | None) -> None:
        """Write the document in force, or another version, as it was applied."""
        with runtime.database.read() as tx:
            active = documents.active(tx, kind)
            if beginning is not None:
                text = documents.text_of(tx, kind, find_version(tx, kind, beginning))
            elif active is None:
                raise NotFound(f"{kind.value} document", "in force")
            else:
                text = active[1]
        click.echo(text, nl=not text.endswith("\n"))

    return show_document


def _apply(kind: DocumentKind) -> click.Command:
    @click.command()
    @click.argument("file", type=FILE)
    @pass_runtime
    def apply(runtime: Runtime, file: Path) -> None:
        """Put FILE in force at once; exit code 3, and nothing changed, if it does not compile."""
        text = read_text(file)
        with runtime.database.write() as tx:
            published = publish(tx, kind, text, file=str(file), actor=actor(), now=runtime.clock())
        _tell(published)

    return apply


def _list(kind: DocumentKind) -> click.Command:
    @click.command()
    @pass_runtime
    def list_versions(runtime: Runtime) -> None:
        """List every version that was ever in force, the newest first."""
        with runtime.database.read() as tx:
            active = documents.active(tx, kind)
            found = documents.versions(tx, kind)
        in_force = None if active is None else active[0]
        show(
            [
                {"version": version, "since": created_at, "in_force": version == in_force}
                for version, created_at in found
            ]
        )

    return list_versions


def _rollback(kind: DocumentKind) -> click.Command:
    @click.command()
    @click.argument("version")
    @pass_runtime
    def rollback(runtime: Runtime, version: str) -> None:
        """Put VERSION (or a beginning of it that is unique) in force again."""
        with runtime.database.write() as tx:
            published = roll_back(tx, kind, version, actor=actor(), now=runtime.clock())
        _tell(published)

    return rollback


def _tell(published: Published) -> None:
    if published.is_change:
        say(f"in force: {published.version} (before: {published.before or 'none'})")
    else:
        say(f"in force already: {published.version}")


_COMMANDS: Final[Mapping[str, Callable[[DocumentKind], click.Command]]] = {
    "lint": _lint,
    "show": _show,
    "apply": _apply,
    "list": _list,
    "rollback": _rollback,
}

_add_commands(policy, DocumentKind.POLICIES)
_add_commands(compliance, DocumentKind.COMPLIANCE)
