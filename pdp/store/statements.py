"""SQL text for both databases, and what it takes and returns.

Both know three kinds of columns: whole numbers, truth values and text.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

Value = str | int | bool | None
Row = Sequence[Any]

_NAMED: Final = re.compile(r":([a-z_]+)")


class Statement:
    """SQL text with `:name` parameters, translated once for both drivers."""

    __slots__ = ("names", "postgresql", "sqlite")

    def __init__(self, text: str) -> None:
        self.sqlite = text
        #: The names in the order of PostgreSQL's `$1`, `$2`, ...: each once, however often used.
        self.names = tuple(dict.fromkeys(_NAMED.findall(text)))
        numbered = _NAMED.sub(lambda found: f"${self.names.index(found[1]) + 1}", text)
        self.postgresql = numbered.encode()
