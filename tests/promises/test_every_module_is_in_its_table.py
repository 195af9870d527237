"""Open sets are tables: a condition, source or method that is not in its table does not exist.

A module beside the members that is none itself is imported by others there (a record, an error, a
check of signatures) or imports the table; any other is a member that somebody forgot to enter.
"""

import ast
from typing import Final

import pytest

from tests.promises.repository import ROOT

#: Folder of the set -> name of the table in its __init__.py.
TABLES: Final = {
    "pdp/policy/conditions": "CONDITIONS",
    "pdp/sources": "SOURCES",
    "pdp/identification": "METHODS",
}


def _tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def _imports(tree, package):
    """Return the modules of `package` that `tree` imports, by the names it knows them under."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            outer, _, inner = node.module.rpartition(".")
            for alias in node.names:
                member = alias.name if node.module == package else inner
                if package in (node.module, outer):
                    found[alias.asname or alias.name] = member
    return found


def _in_table(tree, name, imports):
    """Return the modules that the literal assigned to `name` refers to."""
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == name:
            words = {word.id for word in ast.walk(node.value) if isinstance(word, ast.Name)}
            return {module for alias, module in imports.items() if alias in words}
    raise AssertionError(f"no table {name}")


@pytest.mark.parametrize(("folder", "name"), TABLES.items())
def test_every_module_is_in_its_table(folder, name):
    package = folder.replace("/", ".")
    files = {path.stem: path for path in (ROOT / folder).glob("*.py")}
    tree = _tree(files.pop("__init__"))

    members = _in_table(tree, name, _imports(tree, package))
    imported = {stem: set(_imports(_tree(path), package).values()) for stem, path in files.items()}
    supports = set().union(*imported.values())
    readers = {stem for stem, modules in imported.items() if name in modules}

    assert members, f"{name} is empty"
    assert files.keys() - members - supports - readers == set(), f"in {folder}, but not in {name}"
