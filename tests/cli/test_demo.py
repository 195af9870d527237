"""The demo begins from nothing, plays its story, goes on where it was, and leaves nothing."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pdp.cli.demonstration.folder import DemoFolder, free_port, new_notes
from pdp.cli.demonstration.programs import POLICIES
from pdp.cli.failures import Failed
from pdp.policy.defaults import default_policies
from pdp.policy.document import as_document, parse_policies

_DEMO = (sys.executable, "-m", "pdp", "demo")
_READY = "Ctrl-C stops everything."


@pytest.fixture(scope="module")
def story() -> str:
    """What the story told, which happened."""
    told = subprocess.run([*_DEMO, "--story"], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


def test_the_story_happens_from_beginning_to_end(story: str):
    assert "The same tab goes on into Payroll by itself" in story


def test_the_story_tells_how_long_each_application_was_exposed_to_each_change(story: str):
    rows = re.findall(r"^  (\S.*?) {2,}(\w+) +([\d.,]+) ms +([\d.,]+ ms|–)$", story, re.MULTILINE)
    assert {(change, application, end == "–") for change, application, _, end in rows} == {
        ("signal from demo-edr", "payroll", False),
        ("signal from demo-edr", "expenses", True),
        ("an administrator", "payroll", False),
        ("an administrator", "expenses", True),
        ("an administrator", "approvals", True),
    }, story
    assert len(rows) == 5


def test_the_server_never_notes_a_denial_later_than_it_was_seen_outside(story: str):
    (seen,) = re.findall(r"first check denied +([\d.,]+) ms", story)
    (noted,) = re.findall(r"^  signal from \S+ +expenses +([\d.,]+) ms", story, re.MULTILINE)

    assert float(noted.replace(",", "")) <= float(seen.replace(",", ""))


def test_the_demo_invites_stops_cleanly_and_goes_on_where_it_was(tmp_path: Path):
    folder, port = tmp_path / "demo", free_port(0)

    with _demo(folder, port) as (first, ports):
        assert f"http://localhost:{port}" in first
        assert all(_listens(each) for each in ports)
        with pytest.raises(Failed, match="a demo runs in"), DemoFolder.at(folder, fresh=True):
            pass
    assert not any(_listens(each) for each in ports)

    with _demo(folder, port) as (second, _):
        assert _passwords(second) == _passwords(first)
        assert _links(second).isdisjoint(_links(first))


def test_no_program_outlives_a_demo_that_was_killed():
    starting = (
        "import subprocess, sys; from pdp.cli.demonstration.bound import bound;"
        "subprocess.run(bound(sys.executable, '-c', 'print(1, flush=True); input()'))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", starting], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as demo:
        assert demo.stdout is not None
        assert demo.stdout.readline() == b"1\n"

        demo.kill()

        # The end comes once nobody holds the other side: its program is gone, too.
        assert demo.stdout.read() == b""


def test_only_the_owner_can_read_what_the_demo_made_up(tmp_path: Path):
    with DemoFolder.at(tmp_path / "demo", fresh=False) as folder:
        folder.write(_notes())

    assert folder.path.stat().st_mode & 0o077 == 0
    (notes,) = folder.path.glob("*.json")
    assert notes.stat().st_mode & 0o077 == 0


def test_no_two_demos_have_a_password_in_common():
    assert set(_notes().passwords.values()).isdisjoint(_notes().passwords.values())


def test_fresh_never_deletes_what_is_not_a_demos(tmp_path: Path):
    precious = tmp_path / "thesis.txt"
    precious.write_text("years of work", encoding="utf-8")

    with (
        pytest.raises(Failed, match="other things than a demo"),
        DemoFolder.at(tmp_path, fresh=True),
    ):
        pass

    assert list(tmp_path.iterdir()) == [precious]


def test_fresh_deletes_all_that_an_earlier_demo_left(tmp_path: Path):
    with DemoFolder.at(tmp_path, fresh=False) as folder:
        folder.write(_notes())
        folder.log("server").touch()
        (folder.path / "more").mkdir()
        (folder.path / "more" / "left").touch()

    with DemoFolder.at(tmp_path, fresh=True) as folder:
        assert not folder.is_set_up
        assert all(path.name.endswith(".lock") for path in folder.path.iterdir())


@pytest.mark.parametrize("arguments", [(), ("--fresh",)])
def test_no_demo_begins_or_deletes_anything_where_another_runs(
    tmp_path: Path, arguments: tuple[str, ...]
):
    with DemoFolder.at(tmp_path, fresh=False) as folder:
        folder.write(_notes())
        kept = folder.read_notes()

        second = subprocess.run(
            [*_DEMO, "--folder", str(tmp_path), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

        assert second.returncode == 2
        assert f"a demo runs in {tmp_path}: stop it first" in second.stderr
        assert "--fresh" not in second.stderr
        assert folder.read_notes() == kept


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("no folder", encoding="utf-8")

    with (
        pytest.raises(Failed, match=r"--folder .* cannot be used: Not a directory"),
        DemoFolder.at(tmp_path / "file" / "demo", fresh=False),
    ):
        pass


def test_the_next_port_is_taken_when_the_first_is_in_use():
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        taken = busy.getsockname()[1]

        assert free_port(taken) > taken


def test_the_demos_policies_are_the_default_ones_and_two_more():
    demo = as_document(parse_policies(POLICIES.read_bytes()))
    default = as_document(default_policies())

    assert isinstance(demo, dict)
    assert isinstance(default, dict)
    shown, shipped = demo.pop("policies"), default.pop("policies")
    assert demo == default
    assert isinstance(shown, list)
    assert shown[:-2] == shipped


def _notes():
    secret = "whsec_" + "A" * 43 + "="
    return new_notes(port=0, webhook_secret=secret, people=("alice", "bob"), clients=("payroll",))


@contextmanager
def _demo(folder: Path, port: int) -> Iterator[tuple[str, list[int]]]:
    """Run `pdp demo`; yield what it said and its ports once it is ready, then press Ctrl-C."""
    command = [*_DEMO, "--folder", str(folder), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        said = ""
        for line in demo.stdout:
            said += line
            if line.strip() == _READY:
                break
        assert _READY in said, said
        notes = json.loads((folder / "demo.json").read_bytes())
        yield said, [notes[name] for name in ("port", "management_port", "payroll_port")]
        demo.send_signal(signal.SIGINT)
        assert demo.wait(timeout=60) == 0


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _passwords(said: str) -> list[str]:
    return re.findall(r"^  \w+ +((?:[0-9a-z]{4}-){3}[0-9a-z]{4}) ", said, re.MULTILINE)


def _links(said: str) -> set[str]:
    return set(re.findall(r"/enrol/(\S+)", said))
