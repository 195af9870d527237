"""Addresses that look like a registered one and are not, as open redirects are looked for."""

from collections.abc import Iterator
from itertools import product
from typing import Final
from urllib.parse import urlsplit

EVIL: Final = "evil.example"
_HOSTS: Final = (
    *("{evil}", "{host}.{evil}", "{evil}.{host}", "{host}@{evil}", "{host}:443@{evil}", "{host}"),
    *("{host}:pw@{evil}", "{evil}#{host}", "{evil}#@{host}", "{evil}?{host}", "{evil}/{host}"),
    *(
        "{evil}\\{host}",
        "{host}\\@{evil}",
        "{host}%40{evil}",
        "{host}%2f{evil}",
        "{host}%00.{evil}",
    ),
    *("{host}:443", "{host}:80", "{host}:0443", "{host}:", "{host}:99999", "{host}.", ".{host}"),
    *("www.{host}", "*.{host}", "*", "{upper}", "{host}%2e", "{host};{evil}", "{host},{evil}"),
    *("localhost", "localhost.{evil}", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433"),
    *("0x7f000001", "0177.0.0.1", "127.1", "w\N{CYRILLIC SMALL LETTER I}ki.example", "xn--wki-hed"),
    *("{host}\N{FULLWIDTH FULL STOP}{evil}", "\N{FULLWIDTH SOLIDUS}{evil}", "@{host}", ""),
)
_PATHS: Final = (
    *("{path}/", "{path}//", "/{path}", "{path}/..", "{path}/../x", "{path}/..{path}", "/..{path}"),
    *("{path}/..;/x", "{path};x=1", "{path};@{evil}", "{path}?", "{path}?x=1", "{path}??", "/*"),
    *(
        "{path}?next=https://{evil}",
        "{path}#",
        "{path}#x",
        "{path}#@{evil}",
        "{path}%23",
        "{path}%",
    ),
    *("{path}%2f", "{path}%00", "{path}%0d%0aLocation:%20https://{evil}", "{path}.{evil}", "", "/"),
    *(
        "{path}@{evil}",
        "{path}x",
        "/x{path}",
        "{path}\\",
        "{path}%5c",
        "{path}.json",
        "/./callback",
    ),
)
_SCHEMES: Final = (
    *("http://", "HTTPS://", "https:/", "https:", "https:///", "https:\\\\", "https:/\\", "//", ""),
    *(
        "\\\\",
        "javascript://",
        "javascript:",
        "data:text/html,",
        "ftp://",
        "file://",
        "blob:https://",
    ),
    *(" https://", "https ://", "view-source:https://", "https://https://", "https://https:"),
    *("https://@", "https://:@", "app://", "com.example.app:/"),
)
_INSERTED: Final = (
    " ",
    "%00",
    "@",
    "\\",
    "/",
    ".",
    "?",
    "#",
    "%0a",
    "\N{LATIN SMALL LETTER E WITH ACUTE}",
)


def mutations(uri: str) -> list[str]:
    """Return hundreds of addresses unlike `uri`, each once."""
    return sorted({*_wholes(uri), *_letters(uri)} - {uri})


def _wholes(uri: str) -> Iterator[str]:
    parts = urlsplit(uri)
    words = {
        "evil": EVIL,
        "host": parts.netloc,
        "upper": parts.netloc.upper(),
        "path": parts.path,
    }
    hosts = [host.format(**words) for host in _HOSTS]
    paths = [path.format(**words) for path in _PATHS]
    yield from (f"{parts.scheme}://{host}{parts.path}" for host in hosts)
    yield from (f"{parts.scheme}://{parts.netloc}{path}" for path in paths)
    yield from (f"{scheme}{parts.netloc}{parts.path}" for scheme in _SCHEMES)
    yield from (f"{scheme}{host}{parts.path}" for scheme, host in product(_SCHEMES, hosts[:3]))
    yield from (f"{parts.scheme}://{host}{path}" for host, path in product(hosts[1:4], paths))
    yield from (f"{uri} {uri}", f"{uri},{uri}", f"{uri}{uri}", f"https://{EVIL}/?{uri}", "null")
    yield from (f"{uri}\r\nLocation: https://{EVIL}", f"{uri}\t", f"\0{uri}", "\ufeff" + uri)


def _letters(uri: str) -> Iterator[str]:
    for at, letter in enumerate(uri):
        yield uri[:at] + uri[at + 1 :]
        yield uri[:at] + letter.swapcase() + uri[at + 1 :]
        yield f"{uri[:at]}%{ord(letter):02x}{uri[at + 1 :]}"
        yield from (uri[:at] + inserted + uri[at:] for inserted in _INSERTED)
