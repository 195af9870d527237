"""`pdp serve` for real: it serves, it mends itself, it ends clean, it refuses what cannot work."""

import contextlib
import json
import os
import pty
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from pdp.cli.context import opened_runtime
from pdp.cli.management import ManagementServer
from pdp.cli.processes import Child, Family
from pdp.cli.serve import own_folder
from pdp.web.management import Management
from tests.outbound.peers import Authority
from tests.servers import free_port, running, wait_until

PDP = [sys.executable, "-m", "pdp"]


@dataclass
class Serving:
    """A running `pdp serve`."""

    process: subprocess.Popen[bytes]
    issuer: str
    management: str
    log: Path

    def until(self, ready):
        """Wait until `ready()`."""
        wait_until(ready, self.process, self.log)

    def part(self, name):
        """Return the process id of a part, as the system knows it; None while it is dead."""
        for child in _children(self.process.pid):
            if name in _command(child):
                return child
        return None

    def ready(self):
        """Return status and checks of /readyz."""
        answer = requests.get(f"{self.management}/readyz", timeout=30)
        return answer.status_code, answer.json()["checks"]

    def answers(self):
        """Tell whether the HTTP server answers."""
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{self.issuer}/jwks", timeout=30).ok
        return False


def _children(pid):
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(word) for word in text.split()]
    return []


def _family(pid):
    return [pid, *(member for child in _children(pid) for member in _family(child))]


def _command(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
    return []


@pytest.fixture(autouse=True)
def _no_signal_is_ignored():
    """Whoever runs the tests may ignore some (nohup, or `&` in a script): children inherit it."""
    ignored = [
        number
        for number in (signal.SIGHUP, signal.SIGINT)
        if signal.getsignal(number) is signal.SIG_IGN
    ]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


def _handles(pid, what, number):
    """Tell whether a process catches (`SigCgt`) or ignores (`SigIgn`) a signal."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith(what))
    return bool(int(mask, 16) >> (number - 1) & 1)


def _runs(pid):
    """Tell whether a process runs; one that is only not yet waited for does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def _is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.fixture
def settings(empty, monkeypatch):
    """Settings of a development server on free ports; initialised."""
    port, management = free_port(), free_port()
    monkeypatch.setenv("PDP__SERVER__PORT", str(port))
    monkeypatch.setenv("PDP__SERVER__MANAGEMENT_PORT", str(management))
    monkeypatch.setenv("PDP__SERVER__WORKERS", "1")
    monkeypatch.setenv("TMPDIR", str(empty.folder))
    empty.told("init", "--issuer", f"http://localhost:{port}", "--dev")
    return port, management


@pytest.fixture
def serving(settings, empty):
    """A running server that was announced."""
    port, management = settings
    log = empty.folder / "serve.log"
    with running([*PDP, "serve"], log) as process:
        served = Serving(process, f"http://localhost:{port}", f"http://127.0.0.1:{management}", log)
        served.until(lambda: "health:" in log.read_text())
        yield served


def _refusal(*words):
    """Run a `pdp serve` that cannot work; return what it says."""
    done = subprocess.run(
        [*PDP, "serve", *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_serves_everything_and_says_so(serving):
    said = serving.log.read_text()

    assert serving.answers()
    assert f"serves {serving.issuer}" in said
    assert "DEVELOPMENT PROFILE" in said
    status, checks = serving.ready()
    assert status == 200
    assert checks.keys() >= {"database", "schema", "keys", "policies", "outbox", "http", "worker"}
    assert requests.get(f"{serving.management}/livez", timeout=30).ok
    assert subprocess.run([*PDP, "health"], check=True, capture_output=True, timeout=60).stdout
    metrics = requests.get(f"{serving.management}/metrics", timeout=30).text
    assert 'pdp_http_requests_total{route="/jwks",status="200"}' in metrics
    assert 'pdp_jobs_depth{state="waiting"} 0.0' in metrics


def test_sigterm_ends_it_clean_and_nothing_stays(serving, settings, empty):
    family = _family(serving.process.pid)
    assert len(family) >= 4

    serving.process.send_signal(signal.SIGTERM)

    assert serving.process.wait(timeout=10) == 0
    assert not [pid for pid in family if _runs(pid)]
    assert all(_is_free(port) for port in settings)
    assert not list(empty.folder.glob("pratique-metrics-*"))
    finished = [
        json.loads(line)
        for line in serving.log.read_text().splitlines()
        if "server.stop.finished" in line
    ]
    assert [event["clean"] for event in finished] == [True]


def test_a_terminal_that_is_closed_ends_it_clean(settings, empty):
    ours, its = pty.openpty()
    # The terminal is the one that it is controlled by, as when somebody typed the command.
    process = subprocess.Popen(
        ["setsid", "--ctty", *PDP, "serve"], stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    said = b""
    while b"DEVELOPMENT PROFILE" not in said:
        said += os.read(ours, 4096)
    family = _family(process.pid)
    assert len(family) >= 4

    os.close(ours)

    assert process.wait(timeout=30) == 0
    assert not [pid for pid in family if _runs(pid)]
    assert all(_is_free(port) for port in settings)
    assert not list(empty.folder.glob("pratique-metrics-*"))


@pytest.mark.parametrize(("before", "is_ignored"), [(["nohup"], True), ([], False)])
@pytest.mark.usefixtures("settings")
def test_a_closed_terminal_is_ignored_only_where_that_was_asked_for(empty, before, is_ignored):
    log = empty.folder / "worker.log"
    with running([*before, *PDP, "worker"], log) as process:
        wait_until(lambda: _handles(process.pid, "SigCgt", signal.SIGTERM), process, log)

        assert _handles(process.pid, "SigIgn", signal.SIGHUP) is is_ignored
        assert _handles(process.pid, "SigCgt", signal.SIGHUP) is not is_ignored


@pytest.mark.parametrize("words", [[], ["--output", "json"]], ids=["table", "json"])
@pytest.mark.usefixtures("settings")
def test_ctrl_c_while_it_starts_ends_it_without_a_traceback(empty, words, monkeypatch):
    log = empty.folder / "serve.log"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(120)
        port = silent.getsockname()[1]
        monkeypatch.setenv("PDP__DATABASE__URL", f"postgresql+psycopg://127.0.0.1:{port}/x")
        with running([*PDP, *words, "serve"], log) as process:
            asked, _ = silent.accept()
            process.send_signal(signal.SIGINT)
            status = process.wait(timeout=30)

    asked.close()
    # Python kills itself by the signal where code that it made from text was interrupted.
    assert status in {130, -signal.SIGINT}
    assert "Traceback" not in log.read_text()
    assert not words or json.loads(log.read_text())["problem"] == "interrupted"


@pytest.mark.parametrize(
    ("library", "said"),
    [
        ("click", ""),
        # What the command itself needs.
        ("redis", '"problem": "interrupted", "exit_code": 130, "event": "command.run.refused"'),
    ],
)
def test_ctrl_c_while_it_loads_ends_it_without_a_traceback(tmp_path, library, said):
    (tmp_path / f"{library}.py").write_text("raise KeyboardInterrupt")
    done = subprocess.run(
        [*PDP, "--output", "json", "doctor"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 130
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_management_address_starts_again_at_once_after_it_was_probed(settings):
    _, port = settings
    with opened_runtime() as runtime:
        for _ in range(2):
            server = ManagementServer(runtime, Management(runtime))
            server.start()
            # Who closes a connection first keeps it for a minute: here, the server does.
            assert requests.get(f"http://127.0.0.1:{port}/readyz", timeout=30).status_code == 200
            server.stop()


def test_it_speaks_tls_itself(settings, empty, monkeypatch):
    port, _ = settings
    authority = Authority.made_in(empty.folder)
    authority.server_for("localhost")
    for variable in ("TLS_CERTIFICATE", "TLS_KEY"):
        # One file holds both: the chain, and the key in front of it.
        monkeypatch.setenv(f"PDP__SERVER__{variable}", str(empty.folder / "localhost.pem"))
    monkeypatch.setenv("PDP__ISSUER", f"https://localhost:{port}")
    monkeypatch.setenv("PDP__DEV", "false")
    log = empty.folder / "serve.log"
    with running([*PDP, "serve"], log) as process:
        wait_until(lambda: "health:" in log.read_text(), process, log)
        spoken = requests.get(
            f"https://localhost:{port}/jwks", verify=str(authority.bundle), timeout=30
        )
        context = ssl.create_default_context(cafile=authority.bundle)
        with socket.create_connection(("localhost", port), timeout=30) as plain:
            tls = context.wrap_socket(plain, server_hostname="localhost")
            version = tls.version()
            tls.close()

    assert spoken.ok
    assert version in {"TLSv1.2", "TLSv1.3"}
    assert "DEVELOPMENT PROFILE" not in log.read_text()


def test_every_line_is_json_whatever_goes_wrong(settings, empty):
    port, management = settings
    log = empty.folder / "serve.log"
    with running([*PDP, "--output", "json", "serve"], log) as process:
        served = Serving(process, f"http://localhost:{port}", f"http://127.0.0.1:{management}", log)
        served.until(lambda: "server.start.finished" in log.read_text())
        assert served.answers()
        http = served.part("http")
        # From now on no process can read its settings: granian's fail, then the part itself.
        (empty.folder / "config.yaml").write_text("issuer: [")
        for process_of_granian in _children(http):
            os.kill(process_of_granian, signal.SIGKILL)
        served.until(lambda: "command.run.refused" in log.read_text())

    told = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"server.process.failed", "server.part.died"} <= {line["event"] for line in told}
    assert [line["issuer"] for line in told if line["event"] == "server.start.finished"] == [
        f"http://localhost:{port}"
    ]


@pytest.mark.usefixtures("settings")
def test_a_refusal_to_start_is_json_too(empty):
    (empty.folder / "var" / "pratique.db").unlink()
    command = [*PDP, "--output", "json", "serve"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    (line,) = done.stderr.splitlines()
    assert json.loads(line)["event"] == "command.run.refused"
    assert "run `pdp init`" in json.loads(line)["problem"]
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.usefixtures("settings")
def test_a_process_that_still_loads_ends_when_it_is_told_to(empty, monkeypatch):
    log = empty.folder / "http.log"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(120)
        port = silent.getsockname()[1]
        monkeypatch.setenv("PDP__DATABASE__URL", f"postgresql+psycopg://127.0.0.1:{port}/x")
        with running([*PDP, "http", "--supervisor", str(os.getpid())], log) as process:
            asked, _ = silent.accept()
            (loading,) = _children(process.pid)
            os.kill(loading, signal.SIGTERM)
            wait_until(lambda: not _runs(loading), process, log)

    asked.close()
    # It did not wait for the database's answer, and fail.
    assert "server.process.failed" not in log.read_text()


@pytest.mark.parametrize("part", ["worker", "http"])
def test_a_part_that_is_killed_starts_again(serving, part):
    killed = serving.part(part)
    assert killed is not None

    os.kill(killed, signal.SIGKILL)

    serving.until(lambda: serving.part(part) not in {None, killed})
    serving.until(lambda: serving.ready()[0] == 200)
    # Not ready before it can be reached.
    assert serving.answers()
    assert '"event": "server.part.died"' in serving.log.read_text()


def test_when_the_supervisor_is_killed_its_children_end_and_its_counters_go_at_the_next_start(
    serving, settings, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    family = _family(serving.process.pid)
    serving.process.kill()
    serving.process.wait()

    with running(["tail", "-f", "/dev/null"], tmp_path / "tail.log") as other:
        wait_until(lambda: not [pid for pid in family if _runs(pid)], other, serving.log)

    assert all(_is_free(port) for port in settings)
    assert list(tmp_path.glob("pratique-metrics-*"))
    with own_folder() as fresh:
        assert list(tmp_path.glob("pratique-metrics-*")) == [fresh]


def test_folders_of_counters_are_removed_only_where_nobody_holds_them(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    elsewhere = tmp_path / "elsewhere"
    for folder in (elsewhere, tmp_path / "pratique-metrics-killed"):
        folder.mkdir()
        (folder / "owner.lock").touch()
    older, link = (tmp_path / f"pratique-metrics-{name}" for name in ("older", "link"))
    older.mkdir()
    link.symlink_to(elsewhere)

    with own_folder() as first, own_folder() as second:
        assert set(tmp_path.iterdir()) == {elsewhere, older, link, first, second}

    assert set(tmp_path.iterdir()) == {elsewhere, older, link}
    assert (elsewhere / "owner.lock").exists()


@pytest.mark.parametrize("setting", ["server.port", "server.management_port"])
def test_a_port_that_is_taken_is_refused_with_the_cure(settings, setting):
    port = settings[0] if setting == "server.port" else settings[1]
    with socket.create_server(("127.0.0.1", port)):
        told = _refusal()

    assert f"{setting}: cannot listen at 127.0.0.1 port {port}" in told


def test_a_second_server_beside_the_first_is_refused(serving):
    assert "Address already in use" in _refusal()
    assert serving.answers()


@pytest.mark.usefixtures("settings")
def test_an_empty_database_is_refused_with_the_cure(empty):
    (empty.folder / "var" / "pratique.db").unlink()

    assert "run `pdp init`" in _refusal()


@pytest.mark.usefixtures("settings")
def test_files_for_tls_that_are_missing_are_named(monkeypatch):
    monkeypatch.setenv("PDP__SERVER__TLS_CERTIFICATE", "none.pem")
    monkeypatch.setenv("PDP__SERVER__TLS_KEY", "none.key")

    assert "server.tls_certificate: none.pem is not there" in _refusal()


@pytest.mark.usefixtures("settings")
def test_files_for_tls_that_are_none_are_named(monkeypatch, empty):
    for variable, name in (("TLS_CERTIFICATE", "a.pem"), ("TLS_KEY", "a.key")):
        (empty.folder / name).write_text("nothing")
        monkeypatch.setenv(f"PDP__SERVER__{variable}", name)

    assert "no PEM certificate chain with its private key" in _refusal()


@pytest.mark.usefixtures("settings")
def test_the_development_profile_stays_on_loopback(monkeypatch):
    monkeypatch.setenv("PDP__SERVER__HOST", "0.0.0.0")  # noqa: S104  what is refused

    assert "listens on loopback only" in _refusal()


def test_a_child_that_dies_at_once_is_started_again_more_and_more_slowly():
    child = Child("x", ["false"])
    waits = []
    for _ in range(3):
        child.start(os.environ)
        assert child.process is not None
        child.process.wait()
        waits.append(child.note_death())

    assert waits == [0.5, 1.0, 2.0]


def test_a_child_that_does_not_end_is_killed_with_all_that_it_started(tmp_path):
    stubborn = "trap '' TERM; tail -f /dev/null & touch ready; wait"
    family = Family([Child("x", ["sh", "-c", f"cd {tmp_path}; {stubborn}"])], os.environ)
    family.start()
    (child,) = family.children
    assert child.process is not None
    wait_until((tmp_path / "ready").exists, child.process, tmp_path / "ready")
    started = _family(child.process.pid)

    assert not family.stop(within=0.1)

    assert len(started) >= 2
    # The kernel takes a killed process away in its own time.
    ends = time.monotonic() + 10
    while any(_runs(pid) for pid in started) and time.monotonic() < ends:
        os.sched_yield()
    assert not [pid for pid in started if _runs(pid)]


def test_bodies_that_never_come_hold_nobody_up(serving):
    address = ("127.0.0.1", int(serving.issuer.rpartition(":")[2]))
    started = b"POST /token HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for number in range(64):
            held = stack.enter_context(socket.create_connection(address, timeout=30))
            length = b"Content-Length: 9" if number % 2 else b"Transfer-Encoding: chunked"
            held.sendall(started % length + b"9")

        answer = requests.post(f"{serving.issuer}/token", data={"grant_type": "x"}, timeout=5)
        page = requests.get(f"{serving.issuer}/signin", timeout=5)

    assert answer.json()["error"] == "unsupported_grant_type"
    assert page.ok


def test_a_body_without_a_length_is_refused_and_half_a_body_is_nothing(serving):
    address = ("127.0.0.1", int(serving.issuer.rpartition(":")[2]))
    chunked = requests.post(f"{serving.issuer}/token", data=iter([b"a=b"]), timeout=30)
    with socket.create_connection(address, timeout=30) as gone:
        gone.sendall(b"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n9")
    answer = requests.post(f"{serving.issuer}/token", data={"a": "b"}, timeout=30)

    assert (chunked.status_code, chunked.json()["error"]) == (411, "invalid_request")
    assert answer.status_code == 400
    assert "Traceback" not in serving.log.read_text()
    assert "raised" not in serving.log.read_text()


def _memory(pid):
    """Return the resident memory of a process and all that it started, in bytes."""
    pages = 0
    for member in _family(pid):
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{member}/statm").read_text(encoding="ascii")
            pages += int(text.split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


HOSTILE = {
    "a head that is long and allowed": ("/signin", {"X-Long": "a" * 24_576}, b"", {200}),
    "header": ("/jwks", {"X-Long": "a" * 65_536}, b"", {431}),
    "cookie": ("/signin", {"Cookie": "a" * 65_536}, b"", {431}),
    "path": (f"/{'a' * 65_536}", {}, b"", {414, 431}),
    "1 MiB and a byte": ("/webhooks/edr", {}, b" " * (1024 * 1024 + 1), {413}),
    "ten thousand keys": (
        "/device/enrol",
        {},
        json.dumps({str(number): number for number in range(10_001)}).encode(),
        {400},
    ),
    "depth": ("/device/enrol", {}, b'{"a":' * 1000 + b"1" + b"}" * 1000, {400}),
    "unfinished depth": ("/device/assert", {}, b"[" * 1_000_000, {400}),
}


def test_hostile_requests_are_refused_within_a_second_and_leave_no_memory_taken(serving):
    answers = {}

    def send_all():
        for name, (path, headers, body, _) in HOSTILE.items():
            method = "POST" if body else "GET"
            sent = {**headers, "Content-Type": "application/json"}
            answers[name] = requests.request(
                method, serving.issuer + path, headers=sent, data=body, timeout=30
            )

    # Each thread makes room for the first large body that it meets, and keeps it.
    for _ in range(10):
        send_all()
    before = _memory(serving.process.pid)
    for _ in range(20):
        send_all()

    assert _memory(serving.process.pid) - before < 20 * 1024 * 1024
    for name, answer in answers.items():
        assert answer.status_code in HOSTILE[name][3], name
        assert answer.elapsed.total_seconds() < 1, name
    assert serving.answers()
