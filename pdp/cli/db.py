"""`pdp db`: the schema, changed only when an operator says so."""

import click

from pdp.cli.context import opened_runtime
from pdp.cli.failures import Failed
from pdp.cli.output import say, show
from pdp.store import schema


@click.group()
def db() -> None:
    """Upgrade, downgrade and check the database's schema."""


@db.command()
@click.argument("revision", default="head")
def upgrade(revision: str) -> None:
    """Migrate up to REVISION (default: the one of this program). Stop the server first."""
    with opened_runtime() as runtime:
        engine = runtime.database.engine
        before = schema.current(engine)
        schema.upgrade(engine, revision)
        say(f"schema: {before or 'empty'} -> {schema.current(engine)}")


@db.command()
@click.argument("revision")
@click.confirmation_option(
    "--yes", prompt="A downgrade deletes what the older schema has no place for. Go on?"
)
def downgrade(revision: str) -> None:
    """Migrate down to REVISION (`-1` for one step). Stop the server and back up first."""
    with opened_runtime() as runtime:
        engine = runtime.database.engine
        before = schema.current(engine)
        schema.downgrade(engine, revision)
        say(f"schema: {before or 'empty'} -> {schema.current(engine) or 'empty'}")


@db.command()
def status() -> None:
    """Show the schema's revision, and the one that this program needs."""
    with opened_runtime() as runtime:
        engine = runtime.database.engine
        show(
            {
                "database": engine.url.render_as_string(hide_password=True),
                "revision": schema.current(engine),
                "needed": schema.expected(),
            }
        )


@db.command()
def check() -> None:
    """Fail (exit code 2) unless the database has exactly the tables of this program."""
    with opened_runtime() as runtime:
        engine = runtime.database.engine
        schema.check(engine)
        differences = schema.differences(engine)
        if differences:
            lines = "\n  ".join(str(difference) for difference in differences)
            raise Failed(
                f"the tables are not those of this program:\n  {lines}\n"
                "somebody changed them by hand: undo that, or restore a backup"
            )
        say(f"the schema is at {schema.expected()}, and nothing differs")
