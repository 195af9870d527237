"""`pdp admin`: administrators, and the people whom an evaluation error does not stop."""

from typing import Final

import click

from pdp.cli.context import pass_runtime
from pdp.cli.invocation import actor
from pdp.cli.output import say, show
from pdp.cli.people import find_person
from pdp.cli.user import open_account, password_option
from pdp.runtime import Runtime
from pdp.store import subjects
from pdp.usecases import accounts
from pdp.usecases.accounts import Person

#: Whose members are administrators (DECISIONS 5).
ADMINISTRATORS: Final = "pdp-admins"


@click.group()
def admin() -> None:
    """Make administrators, and name the people of break glass."""


@admin.command()
@click.argument("username")
@click.option("--name", default="", help="As pages greet the person.")
@click.option("--email", default="")
@password_option
@pass_runtime
def create(runtime: Runtime, username: str, name: str, email: str, *, password_stdin: bool) -> None:
    """Open the account of an administrator (a member of the group pdp-admins)."""
    person = Person(username=username, name=name, email=email, groups=frozenset({ADMINISTRATORS}))
    open_account(runtime, person, password_stdin=password_stdin)


@admin.group("break-glass")
def break_glass() -> None:
    """Name the people who get in when a decision cannot be evaluated: few, alerted, counted."""


@break_glass.command("set")
@click.argument("username")
@pass_runtime
def set_flag(runtime: Runtime, username: str) -> None:
    """Let an evaluation error not stop this person."""
    with runtime.database.write() as tx:
        found = find_person(tx, username)
        changed = accounts.set_break_glass(
            tx, found.id, flagged=True, actor=actor(), now=runtime.clock()
        )
    say(f"{found.username} {'is' if changed else 'was already'} a person of break glass")


@break_glass.command("clear")
@click.argument("username")
@pass_runtime
def clear_flag(runtime: Runtime, username: str) -> None:
    """Let an evaluation error stop this person like everybody else."""
    with runtime.database.write() as tx:
        found = find_person(tx, username)
        changed = accounts.set_break_glass(
            tx, found.id, flagged=False, actor=actor(), now=runtime.clock()
        )
    say(f"{found.username} {'is no longer' if changed else 'was not'} a person of break glass")


@break_glass.command("list")
@pass_runtime
def list_flagged(runtime: Runtime) -> None:
    """List the people whom an evaluation error does not stop."""
    with runtime.database.read() as tx:
        found = subjects.list_break_glass(tx)
    show(
        [
            {"username": each.username, "name": each.name, "enabled": not each.is_disabled}
            for each in found
        ]
    )
