"""What a browser may send for a session cookie and was never given, made from one that is good."""

from collections.abc import Iterator

from pdp.clock import new_secret


def malformed_cookies(cookie: str) -> Iterator[str]:
    """Two hundred cookies that somebody could send and nobody was given."""
    yield from ("", " ", "null", "undefined", "0", "-1", "true", "[]", "{}", '{"sid":1}', "None")
    yield from (cookie[:-1], cookie[1:], f"{cookie} ", f" {cookie}", f'"{cookie}"', f"{cookie}\n")
    yield from (f"{cookie}\r\nSet-Cookie: a=b", f"{cookie}\0", f"\0{cookie}", cookie.swapcase())
    yield from (f"{cookie}={cookie}", f"{cookie};", f"{cookie},{cookie}", f"{cookie}.sig")
    yield from ("' OR '1'='1", "'; DROP TABLE sessions;--", "%", "_" * 43, "%" * 43, "*" * 43)
    yield from (
        "../../etc/passwd",
        "${jndi:ldap://x}",
        "</script><script>",
        "\x1b[2J",
        "\u202e" * 43,
    )
    yield from (
        "\ud800" * 43,
        "é" * 43,
        "\uff11" * 43,
        "\u017f" * 43,
        "\U0001f600" * 43,
        "\ufeff" + cookie,
    )
    yield from ("A" * size for size in (1, 42, 44, 86, 1_000, 4_096, 65_536, 1_000_000))
    yield from (f"{cookie[:at]}{_other(cookie[at])}{cookie[at + 1 :]}" for at in range(43))
    yield from (f"{cookie[:at]}\0{cookie[at + 1 :]}" for at in range(43))
    yield from (f"{cookie[:at]}{mark}{cookie[at + 1 :]}" for at in (0, 21, 42) for mark in "+/=.~ ")
    yield from (new_secret() for _ in range(50))


def _other(character: str) -> str:
    return "A" if character != "A" else "B"
