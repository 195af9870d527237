"""D24: mutations of one good ES256 token, each of which every door that takes JWTs must refuse."""

import base64
import hmac
import json
from collections.abc import Iterator, Mapping
from typing import Final

from pdp.jose.keys import SigningKey, algorithm, generate
from tests.builders import NOW

Named = tuple[str, str]
Json = Mapping[str, object]

STRANGER: Final = generate("ES256", signs_from=NOW)

_ODD_VALUES: Final[tuple[object, ...]] = (None, 1, True, [], ["ES256"], {}, {"ES256": 1}, 1.5)
_HEADERS_THAT_BRING_OR_CHANGE_KEYS: Final[Mapping[str, tuple[object, ...]]] = {
    "jwk": (dict(STRANGER.public_jwk), {}, "x"),
    "jku": ("https://evil.example/jwks", "", 1),
    "x5u": ("https://evil.example/x", ""),
    "x5c": (["MIIB"], [], "x"),
    "x5t": ("x",),
    "x5t#S256": ("x",),
    "crit": (["exp"], ["b64"], [], "exp", [1], [[]], 1, None, {}),
    "b64": (False, True),
    "zip": ("DEF",),
    "enc": ("A256GCM",),
    "cty": ("JWT",),
    "p2c": (2**31,),
    "nonce": ("x",),
    "ALG": ("none",),
}
_ALGS: Final = (
    *("none", "None", "NONE", "nOnE", "", " ", "HS256", "HS384", "HS512", "RS256", "PS256"),
    *("Ed25519", "EdDSA", "ES384", "ES512", "ES256K", "es256", "RSA1_5", "dir", "A128KW"),
    *("PBES2-HS256+A128KW", "RSA-OAEP", "ES256 ", "ES256\0"),
)
_KIDS: Final = (
    *("", "../../dev/null", "/dev/null", "' OR 1=1 --", "k\0", "\N{SNOWMAN}"),
    *(STRANGER.kid, "https://evil.example/k"),
)
_TYPES: Final = ("", "jwt", "secevent+jwt", "application/at+jwt", "at+jwt ", "device-assertion+jwt")
_ODD_PARTS: Final = (
    *(b"", b"null", b"[]", b'"x"', b"1", b"{", b"\xff", b"[" * 5000, b'{"a":NaN}', b"{}"),
)


def encode(part: object) -> str:
    """Return bytes, or anything else as JSON, in base64url without padding."""
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode(part: str) -> bytes:
    """Return the bytes of one part of a token."""
    return base64.urlsafe_b64decode(part + "==")


def mutations(good: str, key: SigningKey) -> Iterator[Named]:
    """Yield a name and a text for each mutation of `good`, an ES256 token signed with `key`."""
    yield from _headers(good)
    yield from _hmac(good, key)
    yield from _parts(good)
    yield from _signatures(good)
    yield from _shapes(good)


def _headers(good: str) -> Iterator[Named]:
    head, body, signature = good.split(".")
    for name, members in _header_members(json.loads(decode(head))):
        message = f"{encode(members)}.{body}"
        forged = algorithm("ES256").sign(message.encode(), STRANGER.private)
        yield f"{name}, old signature", f"{message}.{signature}"
        yield f"{name}, no signature", f"{message}."
        yield f"{name}, stranger's signature", f"{message}.{encode(forged)}"


def _header_members(usual: Json) -> Iterator[tuple[str, Json]]:
    for name, values in _HEADERS_THAT_BRING_OR_CHANGE_KEYS.items():
        for value in values:
            yield f"header {name}={str(value)[:20]}", {**usual, name: value}
    for name, texts in {"alg": _ALGS, "kid": _KIDS, "typ": _TYPES}.items():
        for value in (*texts, *_ODD_VALUES):
            # A test's name is the same in every process: a key's own name is not.
            shown = "a stranger's" if value == STRANGER.kid else f"{value!r:.24}"
            yield f"header {name}={shown}", {**usual, name: value}
        yield f"header without {name}", {n: v for n, v in usual.items() if n != name}


def _hmac(good: str, key: SigningKey) -> Iterator[Named]:
    """The public key, in each of its spellings, as a shared secret."""
    head, body, _ = good.split(".")
    secrets = {
        "nothing": b"",
        "word": b"secret",
        "JWK": json.dumps(dict(key.public_jwk)).encode(),
        "PEM": key.private.as_pem(private=False),
        "DER": key.private.as_der(private=False),
    }
    for name, secret in secrets.items():
        for alg in ("HS256", "ES256", "RS256"):
            message = f"{encode({**json.loads(decode(head)), 'alg': alg})}.{body}"
            digest = hmac.digest(secret, message.encode(), "sha256")
            yield f"HMAC with {name} as {alg}", f"{message}.{encode(digest)}"


def _parts(good: str) -> Iterator[Named]:
    head, body, signature = good.split(".")
    claims = json.loads(decode(body))
    changes: tuple[Json, ...] = ({"sub": "eve"}, {"exp": 2**40}, {"scope": "admin"}, {"iss": "x"})
    for change in changes:
        yield f"claims with {change}", f"{head}.{encode({**claims, **change})}.{signature}"
    for odd in _ODD_PARTS:
        yield f"claims {odd[:8]!r}", f"{head}.{encode(odd)}.{signature}"
        yield f"header {odd[:8]!r}", f"{encode(odd)}.{body}.{signature}"


def _signatures(good: str) -> Iterator[Named]:
    message, _, signature = good.rpartition(".")
    raw = decode(signature)
    for index in range(0, len(raw), 3):
        flipped = bytearray(raw)
        flipped[index] ^= 1 << (index % 8)
        yield f"signature with byte {index} changed", f"{message}.{encode(bytes(flipped))}"
    forms = (
        *(bytes(64), bytes(32) + raw[32:], raw[:32] + bytes(32), raw[32:] + raw[:32], raw * 2),
        *(raw[:-1], raw + b"\0", b"\0" + raw, b"\xff" * 64, raw[:1], bytes(1)),
    )
    for number, form in enumerate(forms):
        yield f"signature form {number}", f"{message}.{encode(form)}"


def _shapes(good: str) -> Iterator[Named]:
    head, body, signature = good.split(".")
    whole_in_json = json.dumps({"protected": head, "payload": body, "signature": signature})
    shapes = (
        *("", ".", "..", "...", head, f"{head}.", f"{head}.{body}", f"{head}.{body}."),
        *(f".{body}.{signature}", f"{head}..{signature}", f"{good}.", f".{good}", f"{good}.x"),
        *(f"{good}.{signature}", f"{head}.{head}.{body}.{body}.{signature}", "e30.e30.e30"),
        *(f" {good}", f"{good} ", f"{good}\n", f"{good}=", f"{good}==", f"Bearer {good}"),
        *(f"{head}=.{body}.{signature}", good.replace(".", ",", 1), good.upper(), good.lower()),
        *(good[::-1], good * 2, f"\N{ZERO WIDTH SPACE}{good}", f"{good}\0", "\ud800", "\0"),
        *(good.replace("e", "\N{CYRILLIC SMALL LETTER IE}"), "a.b.c", whole_in_json),
        # The last character carries bits that decode to nothing: one signature, one spelling.
        f"{good[:-1]}{chr(ord(good[-1]) + 1)}",
    )
    for number, shape in enumerate(shapes):
        yield f"shape {number}", shape
