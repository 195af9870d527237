"""YAML text to a tree of values that know their line; refuses what makes YAML dangerous.

One document, at most 1 MiB and 32 levels deep; no anchors, aliases or tags, no duplicate keys.
"""

import re
from dataclasses import dataclass
from io import StringIO
from typing import Final, NoReturn, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from pdp.domain.signal import Scalar
from pdp.policy.errors import MalformedPolicy, Problem

MAX_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 32

_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_NUMBER: Final = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{1,18}([eE][-+]?[0-9]{1,2})?")
_WORDS: Final = {"": None, "~": None, "null": None, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a document and its line, which counts from 1."""

    value: "Scalar | list[Node] | dict[str, Node] | None"
    line: int


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being read, and the key that the next value goes to."""

    node: Node
    key: str | None = None


def read_yaml(text: str | bytes, file: str) -> Node:
    """Return the tree of the one document in `text`; `file` names it in errors.

    Raises `MalformedPolicy`.
    """
    return _Builder(file).build(_decoded(text, file))


def _decoded(text: str | bytes, file: str) -> str:
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    if len(raw) > MAX_BYTES:
        _refuse(file, 1, f"the document has {len(raw)} bytes, more than {MAX_BYTES}", "split it")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        _refuse(file, line, "the document is not UTF-8", "save it as UTF-8")


def _refuse(file: str, line: int, problem: str, fix: str = "") -> NoReturn:
    raise MalformedPolicy((Problem(file, line, "", problem, fix=fix),))


class _Builder:
    """Builds the tree from parser events, so that nothing is constructed before it is checked."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._open: list[_Open] = []
        self._root: Node | None = None
        self._documents = 0

    def build(self, text: str) -> Node:
        try:
            for event in YAML(typ="safe", pure=True).parse(StringIO(text)):
                self._take(event)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark is not None else 1
            _refuse(self._file, line, f"not YAML: {error.problem or error.context}")
        except (YAMLError, ValueError, RecursionError):
            _refuse(self._file, 1, "not YAML", "check for control characters")
        if self._root is None:
            _refuse(self._file, 1, "the document is empty")
        return self._root

    def _take(self, event: Event) -> None:
        line = event.start_mark.line + 1
        match event:
            case DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    _refuse(self._file, line, "more than one document", "one document per file")
            case AliasEvent():
                _refuse(self._file, line, "aliases are not allowed", "write the value out")
            case ScalarEvent():
                self._check(event, line)
                self._place(Node(_scalar(event), line), as_key=str(event.value))
            case SequenceStartEvent():
                self._check(event, line)
                self._enter(Node([], line))
            case MappingStartEvent():
                self._check(event, line)
                self._enter(Node({}, line))
            case SequenceEndEvent() | MappingEndEvent():
                self._open.pop()
            case _:
                pass  # stream and document marks carry nothing

    def _check(
        self, event: ScalarEvent | SequenceStartEvent | MappingStartEvent, line: int
    ) -> None:
        if event.anchor is not None:
            _refuse(self._file, line, "anchors are not allowed", "write the value out")
        if event.tag is not None:
            _refuse(self._file, line, "tags are not allowed", "write the plain value")

    def _enter(self, node: Node) -> None:
        if len(self._open) >= MAX_DEPTH:
            _refuse(self._file, node.line, f"more than {MAX_DEPTH} levels deep")
        self._place(node, as_key=None)
        self._open.append(_Open(node))

    def _place(self, node: Node, *, as_key: str | None) -> None:
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if isinstance(parent.node.value, list):
            parent.node.value.append(node)
            return
        # Only lists and mappings are ever open.
        mapping = cast("dict[str, Node]", parent.node.value)
        if parent.key is None:
            parent.key = self._new_key(mapping, node, as_key)
        else:
            mapping[parent.key] = node
            parent.key = None

    def _new_key(self, mapping: dict[str, Node], node: Node, as_key: str | None) -> str:
        if as_key is None:
            _refuse(self._file, node.line, "a key must be a word, not a list or mapping")
        if as_key in mapping:
            _refuse(self._file, node.line, f"duplicate key {as_key!r}", "keep one of them")
        return as_key


def _scalar(event: ScalarEvent) -> Scalar | None:
    """Resolve as YAML 1.2's core schema does, without the numbers that few people can read."""
    text = str(event.value)
    if not event.implicit[0]:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    return text
