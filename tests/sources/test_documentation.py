"""The page about signals shows what is read, and a shell can sign it."""

import re
import subprocess
from pathlib import Path

import pytest

from pdp.sources import SOURCES
from pdp.sources.signatures import Authenticated, Delivery, authenticate
from tests.builders import NOW, SOURCE, WEBHOOK_SECRET

PAGE = (Path(__file__).parents[2] / "docs" / "signals.md").read_text(encoding="utf-8")
ONE, BATCH, EVENT, MACHINE = re.findall(r"^```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
[SHELL] = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    ("adapter", "body", "signals"),
    [("generic", ONE, 1), ("generic", BATCH, 2), ("generic", EVENT, 1), ("defender", MACHINE, 1)],
    ids=["one", "batch", "event", "machine"],
)
def test_every_body_on_the_page_is_read(adapter, body, signals):
    assert len(SOURCES[adapter].parse(body.encode(), SOURCE, NOW)) == signals


def test_the_shell_lines_on_the_page_make_a_signature_that_is_believed(tmp_path):
    (tmp_path / "signal.json").write_text(ONE, encoding="utf-8")
    signing = SHELL.partition("curl")[0].replace("whsec_…", WEBHOOK_SECRET)
    signing = signing.replace("$(date +%s)", str(int(NOW.timestamp())))
    shown = subprocess.run(
        ["sh", "-euc", signing + 'printf "%s\n" "$id" "$time" "$signature"'],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    values = dict(
        zip(("webhook-id", "webhook-timestamp", "webhook-signature"), shown.split(), strict=True)
    )
    delivery = Delivery({name: (value,) for name, value in values.items()}, ONE.encode())

    assert authenticate(delivery, [WEBHOOK_SECRET], NOW) == Authenticated(values["webhook-id"], 0)
