"""`pdp config`: what the settings are, and where each comes from."""

import click
import orjson

from pdp.cli.output import say, show
from pdp.cli.settings_report import read_settings, report
from pdp.settings import Settings


@click.group()
def config() -> None:
    """Show and check the settings."""


@config.command("show")
def show_settings() -> None:
    """Show every setting, secrets hidden, and who set it: variable, file and line, or default."""
    show(
        [
            {"setting": found.name, "value": found.value, "from": found.origin}
            for found in report(read_settings())
        ]
    )


@config.command()
def validate() -> None:
    """Fail (exit code 2), with every problem at once, unless the settings can be used."""
    read_settings()
    say("the settings are usable")


@config.command()
def schema() -> None:
    """Write the JSON Schema of config.yaml, for editors."""
    described = Settings.model_json_schema()
    click.echo(orjson.dumps(described, option=orjson.OPT_INDENT_2).decode())
