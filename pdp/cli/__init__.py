"""The command line: people and cron go through the same use cases as everybody else."""

from pathlib import Path
from typing import Final

import click

from pdp.cli.invocation import Invocation, Output
from pdp.cli.lazy import LazyGroup

#: Each command and where it lives; a module is imported when its command is asked for.
COMMANDS: Final = {
    "admin": "pdp.cli.admin:admin",
    "audit": "pdp.cli.audit:audit",
    "client": "pdp.cli.client:client",
    "compliance": "pdp.cli.documents:compliance",
    "config": "pdp.cli.config:config",
    "db": "pdp.cli.db:db",
    "decision": "pdp.cli.decision:decision",
    "demo": "pdp.cli.demo:demo",
    "device": "pdp.cli.device:device",
    "doctor": "pdp.cli.doctor:doctor",
    "health": "pdp.cli.health:health",
    "http": "pdp.cli.http:http",
    "init": "pdp.cli.init:init",
    "job": "pdp.cli.job:job",
    "keys": "pdp.cli.keys:keys",
    "policy": "pdp.cli.documents:policy",
    "serve": "pdp.cli.serve:serve",
    "session": "pdp.cli.session:session",
    "signal": "pdp.cli.signal:signal",
    "source": "pdp.cli.source:source",
    "user": "pdp.cli.user:user",
    "version": "pdp.cli.version:version",
    "worker": "pdp.cli.worker:worker",
}


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Settings file; else PDP_CONFIG, else config.yaml in the working folder.",
)
@click.option(
    "--output",
    type=click.Choice([choice.value for choice in Output]),
    default=Output.TABLE.value,
    show_default=True,
    help="How results are written.",
)
@click.pass_context
def main(context: click.Context, config: Path | None, output: str) -> None:
    """Pratique: sign people in on devices with a clean bill of health.

    Exit codes: 0 done, 1 unexpected, 2 usage or configuration, 3 a policy does not compile,
    4 policy tests failed, 5 denied, 130 interrupted.
    """
    context.obj = Invocation.begin(config, Output(output))
