"""Docstrings name the parameters and attributes that there are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "controller/macrorail").rglob("*.py")) + sorted(
    (ROOT / "sims/macrorail_sims").rglob("*.py")
)


def listed(docstring: str, section: str) -> Iterator[str]:
    """Names that a section of a NumPy docstring lists."""
    found = re.search(rf"^{section}\n-+\n(.*?)(?=^\S[^\n]*\n-{{3,}}|\Z)", docstring, re.M | re.S)
    for line in (found[1] if found else "").splitlines():
        if re.fullmatch(r"\w[\w, *]*", line):
            yield from (name.strip(" *") for name in line.split(","))


def arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    every = function.args
    named = [*every.posonlyargs, *every.args, *every.kwonlyargs]
    return {argument.arg for argument in (*named, every.vararg, every.kwarg) if argument}


def members(cls: ast.ClassDef) -> set[str]:
    """Fields, properties, and whatever is set on ``self``."""
    names = {node.attr for node in ast.walk(cls) if isinstance(node, ast.Attribute)}
    for node in cls.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
            if node.name == "__init__":
                names |= arguments(node)
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_docstring_lists_exists(path: Path) -> None:
    wrong = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            known = arguments(node)
        elif isinstance(node, ast.ClassDef):
            known = members(node)
        else:
            continue
        docstring = ast.get_docstring(node) or ""
        names = [*listed(docstring, "Parameters")]
        if isinstance(node, ast.ClassDef) and not node.bases:
            names += listed(docstring, "Attributes")
        wrong += [f"{node.name}: {name}" for name in names if name not in known]
    assert not wrong, f"{path.name} describes what is not there: {wrong}"
