"""`pdp user`: people with a local account."""

import sys
from collections.abc import Mapping
from typing import Final

import click

from pdp.cli.context import pass_runtime
from pdp.cli.failures import Failed
from pdp.cli.invocation import actor
from pdp.cli.output import say, show
from pdp.cli.people import find_person
from pdp.domain.errors import Unavailable
from pdp.domain.ids import SessionId
from pdp.domain.subject import FieldRefused, Subject, normalise_username
from pdp.runtime import Runtime
from pdp.store import clients, factors, sessions, subjects
from pdp.store.database import Transaction
from pdp.usecases import accounts
from pdp.usecases.accounts import Person
from pdp.usecases.passwords import (
    Busy,
    NewPassword,
    PasswordRefused,
    Rule,
    choose_password,
    generate_password,
)
from pdp.usecases.revoke_access import RegisteredClients

_BROKEN_RULES: Final[Mapping[Rule, str]] = {
    Rule.TOO_SHORT: "it must have at least {minimum} characters",
    Rule.TOO_LONG: "it must have at most 1024 bytes",
    Rule.NAMES_THE_ACCOUNT: "it must not be the username, name or e-mail address",
    Rule.COMMON: "it is one of those that guessers try first",
    Rule.UNCHANGED: "it must not be the present one",
}

password_option = click.option(
    "--password-stdin",
    is_flag=True,
    help="Read the password from the first line of stdin; else one is generated and shown once.",
)


@click.group()
def user() -> None:
    """Open and shut accounts, and help people back into theirs."""


@user.command()
@click.argument("username")
@click.option("--name", default="", help="As pages greet the person.")
@click.option("--email", default="")
@click.option("--group", "groups", multiple=True, help="May be repeated.")
@password_option
@pass_runtime
def add(
    runtime: Runtime,
    username: str,
    name: str,
    email: str,
    groups: tuple[str, ...],
    *,
    password_stdin: bool,
) -> None:
    """Open an account; a generated password must be changed at the first sign-in."""
    person = Person(username=username, name=name, email=email, groups=frozenset(groups))
    open_account(runtime, person, password_stdin=password_stdin)


@user.command("list")
@pass_runtime
def list_users(runtime: Runtime) -> None:
    """List everybody."""
    with runtime.database.read() as tx:
        found = subjects.list_all(tx)
    show(
        [
            {
                "username": each.username,
                "name": each.name,
                "groups": each.groups,
                "second_factor": each.has_factor,
                "break_glass": each.break_glass,
                "enabled": not each.is_disabled,
            }
            for each in found
        ]
    )


@user.command("show")
@click.argument("username")
@pass_runtime
def show_user(runtime: Runtime, username: str) -> None:
    """Show one person, and how many sessions and recovery codes they have."""
    with runtime.database.read() as tx:
        found = find_person(tx, username)
        live = sessions.list_live_of_subject(tx, found.id, now=runtime.clock())
        codes = factors.count_codes(tx, found.id)
    show(
        {
            "id": found.id,
            "username": found.username,
            "name": found.name,
            "email": found.email,
            "groups": found.groups,
            "second_factor": found.has_factor,
            "recovery_codes_left": codes,
            "must_change_password": found.must_change_password,
            "break_glass": found.break_glass,
            "disabled": found.disabled_at,
            "created": found.created_at,
            "password_changed": found.password_changed_at,
            "sessions": [session.id for session in live],
        }
    )


@user.command()
@click.argument("username")
@pass_runtime
def disable(runtime: Runtime, username: str) -> None:
    """Shut an account; its sessions and grants end at once."""
    with runtime.database.write() as tx:
        found = find_person(tx, username)
        known = registered_clients(tx)
        ended = accounts.disable_user(tx, found.id, known, actor=actor(), now=runtime.clock())
    say(f"{found.username} is disabled{_and_ended(ended)}")


@user.command()
@click.argument("username")
@pass_runtime
def enable(runtime: Runtime, username: str) -> None:
    """Open an account again; what was ended stays ended."""
    with runtime.database.write() as tx:
        found = find_person(tx, username)
        changed = accounts.enable_user(tx, found.id, actor=actor(), now=runtime.clock())
    say(f"{found.username} {'is enabled' if changed else 'was enabled already'}")


@user.command("reset-password")
@click.argument("username")
@password_option
@pass_runtime
def reset_password(runtime: Runtime, username: str, *, password_stdin: bool) -> None:
    """Set another password, to be changed at the next sign-in; sessions and grants end at once."""
    with runtime.database.read() as tx:
        found = find_person(tx, username)
    person = Person(username=found.username, name=found.name, email=found.email)
    shown, stored = prepare_password(runtime, person, password_stdin=password_stdin)
    # An administrator knows this password, whoever thought of it: the person must replace it.
    stored = NewPassword(stored.hash, must_change=True)
    with runtime.database.write() as tx:
        ended = accounts.reset_password(
            tx,
            found.id,
            stored,
            registered_clients(tx),
            actor=actor(),
            now=runtime.clock(),
        )
    say(f"the password of {found.username} is reset{_and_ended(ended)}")
    show_once({"username": found.username}, shown)


@user.command("reset-factor")
@click.argument("username")
@pass_runtime
def reset_factor(runtime: Runtime, username: str) -> None:
    """Take the second factor and recovery codes away; sessions and grants end at once."""
    with runtime.database.write() as tx:
        found = find_person(tx, username)
        known = registered_clients(tx)
        ended = accounts.reset_factor(tx, found.id, known, actor=actor(), now=runtime.clock())
    say(f"{found.username} has no second factor now{_and_ended(ended)}")


@user.group()
def group() -> None:
    """Put people into groups and take them out; the next decision knows."""


@group.command("add")
@click.argument("username")
@click.argument("groups", nargs=-1, required=True, metavar="GROUP...")
@pass_runtime
def add_groups(runtime: Runtime, username: str, groups: tuple[str, ...]) -> None:
    """Put a person into groups."""
    with runtime.database.write() as tx:
        found = find_person(tx, username)
        changed = accounts.add_groups(
            tx, found.id, frozenset(groups), actor=actor(), now=runtime.clock()
        )
    _tell_groups(found, changed, "was in all of them already")


@group.command("remove")
@click.argument("username")
@click.argument("groups", nargs=-1, required=True, metavar="GROUP...")
@pass_runtime
def remove_groups(runtime: Runtime, username: str, groups: tuple[str, ...]) -> None:
    """Take a person out of groups."""
    with runtime.database.write() as tx:
        found = find_person(tx, username)
        changed = accounts.remove_groups(
            tx, found.id, frozenset(groups), actor=actor(), now=runtime.clock()
        )
    _tell_groups(found, changed, "was in none of them")


def registered_clients(tx: Transaction) -> RegisteredClients:
    """Return whom to tell of access that ends, whatever state the policies are in."""
    return RegisteredClients(clients.load_all(tx))


def open_account(runtime: Runtime, person: Person, *, password_stdin: bool) -> None:
    """Open an account for `person`, and show a generated password once."""
    refused = accounts.refuse_person(person)
    if refused is not None:
        raise _failed(refused)
    shown, stored = prepare_password(runtime, person, password_stdin=password_stdin)
    with runtime.database.write() as tx:
        created = accounts.create_user(tx, person, stored, actor=actor(), now=runtime.clock())
    if isinstance(created, FieldRefused):
        raise _failed(created)
    show_once({"id": created.id, "username": created.username}, shown)


def prepare_password(
    runtime: Runtime, person: Person, *, password_stdin: bool
) -> tuple[str | None, NewPassword]:
    """Return a password to show, if one was generated, and what is stored.

    It never comes as an argument: other people on the machine can read those.
    """
    if not password_stdin:
        generated = generate_password(runtime.passwords)
        if isinstance(generated, Busy):
            raise Unavailable("hashing passwords is busy")
        return generated.text, generated.stored
    typed = sys.stdin.readline().rstrip("\r\n")
    chosen = choose_password(
        runtime.passwords,
        typed,
        minimum=runtime.settings.signin.password_min_length,
        account=(normalise_username(person.username), person.name, person.email),
    )
    match chosen:
        case NewPassword():
            return None, chosen
        case PasswordRefused():
            told = _BROKEN_RULES[chosen.rule].format(minimum=chosen.minimum)
            raise Failed(f"the password on stdin is refused: {told}")
        case Busy():
            raise Unavailable("hashing passwords is busy")


def show_once(result: Mapping[str, object], password: str | None) -> None:
    """Show what was made, with a generated password that nobody can read again."""
    if password is None:
        show(result)
        return
    show({**result, "password": password})
    say("the password is shown this once, and must be changed at the next sign-in")


def _failed(refused: FieldRefused) -> Failed:
    return Failed(f"{refused.field} {refused.problem}")


def _and_ended(ended: tuple[SessionId, ...]) -> str:
    return f"; sessions ended: {len(ended)}" if ended else ""


def _tell_groups(found: Subject, changed: bool | FieldRefused, otherwise: str) -> None:  # noqa: FBT001  what the use case answered
    if isinstance(changed, FieldRefused):
        raise _failed(changed)
    say(f"{found.username} {'changed groups' if changed else otherwise}")
