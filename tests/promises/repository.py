"""The repository as the promise tests read it: its root, its modules, its documents."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
_OWN_FOLDERS: Final = (".ci", "deploy", "docs", "examples", "migrations", "pdp", "tests", "tools")
_TEXT: Final = frozenset(
    {".cfg", ".css", ".html", ".js", ".json", ".md", ".mjs", ".py", ".sh", ".toml", ".yaml", ""}
)


def modules(folder: str = "pdp") -> list[Path]:
    """Return every Python file below `folder`."""
    return sorted((ROOT / folder).rglob("*.py"))


def relative(path: Path) -> str:
    """Return `path` as the repository names it."""
    return path.relative_to(ROOT).as_posix()


def documents() -> list[Path]:
    """Return every Markdown page that readers are given."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def own_texts() -> Iterator[tuple[str, str]]:
    """Yield name and content of each text file that is the project's own."""
    at_root = [path for path in ROOT.iterdir() if path.is_file()]
    below = [path for folder in _OWN_FOLDERS for path in (ROOT / folder).rglob("*")]
    for path in sorted([*at_root, *below]):
        # Recorded bodies say what others said, their paths included.
        foreign = {"node_modules", "__pycache__", "vectors"} & set(path.relative_to(ROOT).parts)
        is_text = path.suffix in _TEXT and not path.name.startswith(".coverage")
        if path.is_file() and is_text and not foreign:
            yield relative(path), path.read_text(encoding="utf-8")
