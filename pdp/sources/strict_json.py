"""JSON with one reading only: what two parsers could understand differently is refused.

RFC 8259 leaves duplicate members, NaN, huge numbers and lone surrogates to the parser. Whoever
signs a body means one thing by it, so a body of two readings is malformed. Cost is bounded before
the parser runs: size, depth and number of values.
"""

import codecs
import json
import math
import re
from collections import Counter
from typing import Final, Never

from pdp.sources.errors import MalformedSignal

MOST_BYTES: Final = 1024 * 1024
MOST_VALUES: Final = 10_000
DEEPEST: Final = 32

# A string, closed or cut off by the end: an optional quote at the end keeps the scan linear
# where the body is one long unterminated string.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET: Final = re.compile(rb"[\[\]{}]")
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def parse_strictly(body: bytes) -> object:
    """Return the one value that `body` (RFC 8259, UTF-8) stands for.

    Raises MalformedSignal for invalid UTF-8 or JSON, a member that appears twice, NaN or
    Infinity, numbers beyond a double or 64 bits, lone surrogates, more than 1 MiB, more than
    10,000 values, more than 32 levels.
    """
    if len(body) > MOST_BYTES:
        raise MalformedSignal(f"the body has {len(body)} bytes; at most {MOST_BYTES} are read")
    if body.startswith(codecs.BOM_UTF8):
        raise MalformedSignal("the body is not JSON: it begins with a byte order mark")
    _refuse_costly(_STRING.sub(b'""', body))
    try:
        value: object = _DECODER.decode(body.decode("utf-8"))
        if _SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedSignal(f"the body is not UTF-8 (byte {error.start})") from error
    except UnicodeEncodeError as error:
        raise MalformedSignal("a string holds half of a surrogate pair") from error
    except json.JSONDecodeError as error:
        problem = f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        raise MalformedSignal(problem) from error
    return value


def _refuse_costly(skeleton: bytes) -> None:
    """Refuse a body, given without the contents of its strings, that would be costly to parse."""
    opened = skeleton.count(b"[") + skeleton.count(b"{")
    if opened + skeleton.count(b",") > MOST_VALUES:
        raise MalformedSignal(f"the body has more than {MOST_VALUES} values; send it in parts")
    depth = 0
    for bracket in _BRACKET.finditer(skeleton):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > DEEPEST:
            raise MalformedSignal(f"the body is nested more than {DEEPEST} levels deep")
        if depth < 0:
            raise MalformedSignal("the body is not JSON: it closes what it never opened")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = counts.most_common(1)[0][0]
        raise MalformedSignal(f"member {twice[:64]!r} appears twice in one object; keep one")
    return members


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise MalformedSignal(f"number {digits[:32]} is beyond a double")
    return number


def _int(digits: str) -> int:
    # The longest 64-bit number has 20 characters; int() of millions of digits would take hours.
    if len(digits) > len("-9223372036854775808") or not -(2**63) <= int(digits) < 2**63:
        raise MalformedSignal(f"number {digits[:32]} is beyond 64 bits")
    return int(digits)


def _constant(word: str) -> Never:
    raise MalformedSignal(f"{word} is not JSON; leave out what is not known")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_constant
)
