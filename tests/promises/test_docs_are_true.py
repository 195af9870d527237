"""What README and docs say is so: links resolve, commands exist, nothing settable is left out."""

import re
from collections.abc import Iterator
from typing import Final

import pytest
from pydantic import BaseModel

from pdp.domain.access import Reason
from pdp.settings import Settings
from tests.promises.repository import ROOT, documents, relative

_LINK: Final = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_FENCED: Final = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_HEADING: Final = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
_MAKE: Final = re.compile(r"(?:`|^\s*\$?\s*|&& )make ([a-z]+(?:-[a-z]+)*)", re.MULTILINE)
_TARGET: Final = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


def _read(path):
    return path.read_text(encoding="utf-8")


def _anchors(text):
    """Return the fragment of every heading, as code hosts make them."""
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(text))
    return {"-".join(heading.split(" ")) for heading in words}


def _code(page):
    """Return what the page shows as code: fenced blocks and inline spans."""
    text = _read(page)
    fenced = [block.group() for block in _FENCED.finditer(text)]
    return "\n".join([*fenced, *re.findall(r"`[^`\n]+`", _FENCED.sub("", text))])


def _broken_links(page):
    for pair in _LINK.findall(_FENCED.sub("", _read(page))):
        target = pair[0] or pair[1]
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (fragment and fragment not in _anchors(_read(path))):
            yield target


def _setting_names(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _setting_names(annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _is_documented(setting: str, text: str) -> bool:
    """Tell whether a heading or the first cell of a table row names the setting."""
    name = re.escape(setting)
    return bool(re.search(rf"^(?:#+\s+|\|\s*)`?{name}`?(?:\s|$|\|)", text, re.MULTILINE))


def _make_targets():
    return set(_TARGET.findall(_read(ROOT / "Makefile")))


@pytest.mark.parametrize("page", documents(), ids=relative)
def test_links_lead_somewhere(page):
    assert not list(_broken_links(page))


@pytest.mark.parametrize("page", documents(), ids=relative)
def test_tests_that_are_named_exist(page):
    named = re.findall(r"`(tests/[\w./-]+)`", _read(page))

    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize("page", documents(), ids=relative)
def test_code_fences_are_closed(page):
    fences = re.findall(r"^\s*```", _read(page), re.MULTILINE)

    assert len(fences) % 2 == 0


@pytest.mark.parametrize("page", documents(), ids=relative)
def test_make_targets_that_are_named_exist(page):
    assert set(_MAKE.findall(_code(page))) <= _make_targets()


def test_the_configuration_page_documents_every_setting():
    text = _read(ROOT / "docs" / "configuration.md")

    assert not [name for name in _setting_names(Settings) if not _is_documented(name, text)]


def test_the_architecture_page_names_every_package_and_module_at_the_top():
    text = _read(ROOT / "docs" / "architecture.md")
    tree = re.findall(r"^  ([a-z_]+(?:/|\.py))\s", text, re.MULTILINE)
    top = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (ROOT / "pdp").iterdir()
        if path.suffix == ".py" or any(path.glob("**/*.py"))
    }

    assert top - set(tree) == set()


def test_the_policies_page_tells_what_every_reason_means():
    told = re.findall(r"^\| `([a-z-]+)` \|", _read(ROOT / "docs" / "policies.md"), re.MULTILINE)

    assert [reason.value for reason in Reason if reason.value not in told] == []


def test_every_decision_record_is_numbered_and_listed():
    folder = ROOT / "docs" / "decisions"
    records = sorted(path.name for path in folder.glob("[0-9]*.md"))
    index = _read(folder / "README.md")

    assert [name[:4] for name in records] == [f"{n:04}" for n in range(1, len(records) + 1)]
    assert not [name for name in records if f"]({name})" not in index]
