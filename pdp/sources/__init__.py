"""Signal sources: bytes in, signals out, no I/O; the table of adapter kinds."""

from collections.abc import Mapping
from typing import Final

from pdp.sources import defender, generic, signatures
from pdp.sources.source import Source

SOURCES: Final[Mapping[str, Source]] = {
    "generic": Source("generic", signatures.authenticate, generic.parse),
    "defender": Source("defender", signatures.authenticate, defender.parse),
}
