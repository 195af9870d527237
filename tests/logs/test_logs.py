"""D28 and hard rule 7: one JSON line an event, whatever is in it, and no secret in any."""

import errno
import io
import json
import logging
import subprocess
import sys

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from pdp import logs
from pdp.clock import new_id, new_secret
from pdp.logs import REDACTED, redact

JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


@pytest.fixture
def written():
    """What is written at the most talkative level."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, structlog.get_config()
    stream = io.StringIO()
    # Another test's request may have been answered in this thread before.
    logs.current_request.set(None)
    logs.configure("debug", stream)
    yield stream
    root.handlers[:], level, config = before
    root.setLevel(level)
    structlog.configure(**config)
    logs.current_request.set(None)


def lines(written):
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_an_event_is_one_json_line_with_time_and_level(written):
    structlog.get_logger().info("device.compliance.changed", device="dev_1", to="compliant")

    (line,) = lines(written)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "device.compliance.changed",
        "level": "info",
        "device": "dev_1",
        "to": "compliant",
    }


class _ClosedTerminal(io.StringIO):
    def write(self, _text):
        raise OSError(errno.EIO, "Input/output error")


@pytest.mark.usefixtures("written")
def test_a_line_that_cannot_be_written_is_lost_and_stops_nothing(capfd):
    logs.configure("info", _ClosedTerminal())

    structlog.get_logger().info("server.stop.begun")
    logging.getLogger("granian").warning("x")

    assert capfd.readouterr().err == ""


def test_lines_of_one_request_carry_its_id(written):
    logs.current_request.set("req_1")
    structlog.get_logger().info("access.decided")
    logging.getLogger("some.library").warning("odd")

    assert [line["request_id"] for line in lines(written)] == ["req_1", "req_1"]


def test_lines_of_libraries_take_the_same_way(written):
    logging.getLogger("some.library").warning("token %s refused", JWT)

    (line,) = lines(written)
    assert (line["event"], line["logger"]) == (f"token {REDACTED} refused", "some.library")


@pytest.mark.parametrize("name", ["authlib", "authlib.oauth2", "sqlalchemy.engine", "urllib3"])
def test_libraries_that_log_secrets_in_detail_are_held_at_warning(written, name):
    logging.getLogger(name).debug("access_token=abc")
    logging.getLogger(name).info("access_token=abc")

    assert lines(written) == []


@pytest.mark.parametrize(
    "odd",
    [
        "ada\r\nlevel: error",
        "\x1b[31mred",
        "\0",
        "${jndi:ldap://evil.example}",
        "</script>",
        "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe",
        "\N{LINE SEPARATOR}",
        "\ud800",
    ],
    ids=ascii,
)
def test_odd_text_stays_within_one_line_of_plain_ascii(written, odd):
    structlog.get_logger().info("subject.sign-in.failed", username=odd)

    text = written.getvalue()
    assert text.count("\n") == 1
    assert text.isascii()
    assert all(character.isprintable() for character in text.rstrip("\n"))
    assert json.loads(text)["username"] == odd


@pytest.mark.parametrize(
    "name",
    [
        *("authorization", "Authorization", "cookie", "set_cookie", "password", "new_password"),
        *("client_secret", "webhook_secret", "access_token", "refresh_token", "token", "id_token"),
        *("code", "totp_code", "code_verifier", "code_challenge", "device_assertion", "nonce"),
        *("client_assertion", "csrf_token", "master_key", "private", "signature", "api_key"),
        *("request_body", "session"),
    ],
)
def test_a_value_is_replaced_when_its_name_tells_of_a_secret(name):
    assert redact(None, "info", {name: "abc"}) == {name: REDACTED}
    assert redact(None, "info", {"headers": {name: ["abc"]}}) == {"headers": {name: REDACTED}}


@pytest.mark.parametrize(
    "name", ["session_ref", "client_id", "kid", "status_code_count", "tokens_issued", "key_id"]
)
def test_a_name_that_only_resembles_a_secret_keeps_its_value(name):
    assert redact(None, "info", {name: "abc"}) == {name: "abc"}


@pytest.mark.parametrize(
    "secret",
    [
        JWT,
        JWT.rpartition(".")[0],
        f"Bearer {'x' * 12}",
        "basic dXNlcjpwYXNz",
        "-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----",
        "-----BEGIN EC PRIVATE KEY-----\nMIGH",
    ],
    ids=lambda value: value[:16],
)
def test_a_value_is_replaced_when_its_shape_tells_of_a_secret(secret):
    said = redact(None, "info", {"problem": f"could not use {secret}!"})["problem"]

    assert secret not in said
    assert said.startswith("could not use ")


def test_the_password_of_a_url_is_replaced():
    said = redact(None, "info", {"problem": "redis://user:pass@host:6379/0 refused"})["problem"]

    assert said == f"redis://{REDACTED}@host:6379/0 refused"


@given(st.builds(new_secret))
def test_secrets_of_ours_are_replaced_wherever_they_stand(secret):
    assert redact(None, "info", {"where": f"in {secret}, here"}) == {
        "where": f"in {REDACTED}, here"
    }


@given(st.builds(new_id, st.sampled_from(["req", "dev", "sub", "decision"])))
def test_ids_are_kept(identifier):
    assert redact(None, "info", {"where": identifier}) == {"where": identifier}


def test_bytes_are_never_written():
    assert redact(None, "info", {"problem": b"secret"}) == {"problem": REDACTED}


def test_an_exception_is_written_without_the_secrets_in_its_text(written):
    try:
        int(f"refused {JWT}")
    except ValueError:
        structlog.get_logger().exception("request.answer.failed")
        logging.getLogger("some.library").exception("failed")

    ours, theirs = lines(written)
    assert "ValueError: invalid literal" in ours["exception"]
    assert "ValueError: invalid literal" in theirs["exception"]
    assert JWT not in str((ours, theirs))


@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text() | st.binary(),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
            ),
            max_leaves=6,
        ),
        max_size=3,
    )
)
def test_anything_can_be_logged(event):
    assert json.dumps(redact(None, "info", event)).isascii()


_TROUBLES = """
import threading, warnings
from pdp import logs

class Odd:
    def __del__(self):
        raise ValueError("of an object")

def fail():
    raise ValueError("of a thread")

logs.configure("info")
logs.take_over()
warnings.warn("an old word", stacklevel=1)
Odd()
thread = threading.Thread(target=fail, name="pages-0")
thread.start()
thread.join()
raise ValueError("of the process, with Bearer abcdefgh")
"""


def test_what_nobody_caught_and_warnings_are_lines_like_others():
    done = subprocess.run(
        [sys.executable, "-c", _TROUBLES], capture_output=True, text=True, check=False, timeout=60
    )

    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in told[1:]] == [
        "object.error.ignored",
        "thread.error.uncaught",
        "process.error.uncaught",
    ]
    assert "an old word" in told[0]["event"]
    assert "of an object" in told[1]["exception"]
    assert told[2]["thread"] == "pages-0"
    assert "of the process" in told[3]["exception"]
    assert "abcdefgh" not in done.stderr
    assert (done.stdout, done.returncode) == ("", 1)


def test_what_a_request_noted_and_undid_is_told_no_more():
    logs.begin_request("req_1")
    logs.note("client", "wiki")
    logs.note("decision", "dec_1")
    logs.forget("decision")

    assert logs.noted() == {"client": "wiki"}


def test_a_stream_that_was_closed_keeps_nobody_from_his_work():
    stream = io.StringIO()
    logs.configure("info", stream)
    stream.close()

    structlog.get_logger("test").info("line.is.lost")
    logging.getLogger("test").warning("this one too")
