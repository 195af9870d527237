"""`pdp keys`: the keys that sign tokens."""

from datetime import timedelta
from pathlib import Path
from typing import Final

import click
import orjson

from pdp.cli.context import pass_runtime
from pdp.cli.failures import Unexpected
from pdp.cli.invocation import actor
from pdp.cli.output import say, show
from pdp.cli.parameters import DURATION
from pdp.jose.keys import ALGORITHMS, generate
from pdp.runtime import Runtime
from pdp.store import signing_keys
from pdp.usecases.rotate_keys import add_key, retire_key

_RETIRING: Final = "Tokens that this key signed are refused from now on. Go on?"


@click.group()
def keys() -> None:
    """Rotate and retire signing keys."""


@keys.command("list")
@pass_runtime
def list_keys(runtime: Runtime) -> None:
    """List every key, and what it does now: waits, signs, verifies, or is retired."""
    now = runtime.clock()
    with runtime.database.read() as tx:
        stored = signing_keys.list_all(tx)
        ring = runtime.configurations.current(tx).keys
    signing = {
        ring.signing_key(alg, now).kid
        for alg in {key.alg for key in ring.keys if key.signs_from <= now}
    }
    rows = []
    for kid, alg, created_at, signs_from, retired_at in stored:
        if retired_at is not None:
            state = "retired"
        elif signs_from > now:
            state = "published"
        else:
            state = "signs" if kid in signing else "verifies"
        rows.append(
            {
                "kid": kid,
                "alg": alg,
                "state": state,
                "created": created_at,
                "signs_from": signs_from,
                "retired": retired_at,
            }
        )
    show(rows)


@keys.command()
@click.option("--alg", type=click.Choice(sorted(ALGORITHMS)), required=True)
@click.option(
    "--publish-ahead",
    type=DURATION,
    default="10m",
    show_default=True,
    help="How long others have to fetch the new key before it signs; 0s in an emergency.",
)
@pass_runtime
def rotate(runtime: Runtime, alg: str, publish_ahead: timedelta) -> None:
    """Make a new key: published at once, it signs later; the present one goes on verifying."""
    now = runtime.clock()
    key = generate(alg, signs_from=now + publish_ahead)
    with runtime.database.write() as tx:
        add_key(tx, runtime.envelope, key, actor=actor(), now=now)
    show({"kid": key.kid, "alg": alg, "signs_from": key.signs_from})
    say("retire the old key once nothing that it signed is in use: `pdp keys list`")


@keys.command()
@click.argument("kid")
@click.confirmation_option("--yes", prompt=_RETIRING)
@pass_runtime
def retire(runtime: Runtime, kid: str) -> None:
    """Withdraw the key KID: what it signed is refused, and its private half is deleted."""
    with runtime.database.write() as tx:
        retire_key(tx, runtime.envelope, kid, actor=actor(), now=runtime.clock())
    say(f"{kid} is retired")


@keys.command("export-jwks")
@click.option(
    "--file", "path", type=click.Path(dir_okay=False, path_type=Path), help="Else stdout."
)
@pass_runtime
def export_jwks(runtime: Runtime, path: Path | None) -> None:
    """Write the public keys as `jwks_uri` serves them."""
    with runtime.database.read() as tx:
        jwks = runtime.configurations.current(tx).keys.public_jwks()
    text = orjson.dumps(jwks, option=orjson.OPT_INDENT_2).decode()
    if path is None:
        click.echo(text)
        return
    try:
        path.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise Unexpected(f"{path} cannot be written: {error.strerror}") from error
