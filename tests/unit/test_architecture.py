"""Rules of the package layout that the import contracts cannot express by themselves."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "macrorail": ROOT / "controller/macrorail",
    "macrorail_sims": ROOT / "sims/macrorail_sims",
}


def named_in_the_layers() -> set[str]:
    """Every module that a layers contract of pyproject.toml names."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = [
        layer
        for contract in contracts["contracts"]
        if contract["type"] == "layers"
        for layer in contract["layers"]
    ]
    return {module.strip() for layer in layers for module in layer.replace(":", "|").split("|")}


def rooms(package: str) -> set[str]:
    """The top-level rooms and modules of a package, as they are imported."""
    folder = PACKAGES[package]
    return {
        f"{package}.{path.stem}"
        for path in folder.iterdir()
        if (path.suffix == ".py" and path.name != "__init__.py") or (path / "__init__.py").exists()
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_stands_in_the_layers_contract(package: str) -> None:
    unnamed = rooms(package) - named_in_the_layers()
    assert not unnamed, f"add to a layers contract in pyproject.toml: {sorted(unnamed)}"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_layer_exists(package: str) -> None:
    layers = {name for name in named_in_the_layers() if name.split(".")[0] == package}
    assert layers == rooms(package)


@pytest.mark.parametrize("package", PACKAGES)
def test_there_is_no_import_cycle(package: str) -> None:
    """Imports under TYPE_CHECKING count too."""
    graph = grimp.build_graph(package, cache_dir=None)
    cycles = sorted(
        {
            " -> ".join([importer, *chain])
            for importer in graph.modules
            for imported in graph.find_modules_directly_imported_by(importer)
            if (chain := graph.find_shortest_chain(imported, importer))
        }
    )
    assert not cycles, "\n".join(cycles)


def test_no_two_modules_share_the_name_of_a_public_class() -> None:
    """One name for one concept: an importer need not know which module it comes from."""
    found: dict[str, list[str]] = {}
    for folder in PACKAGES.values():
        for path in sorted(folder.rglob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    shared = {name: paths for name, paths in found.items() if len(paths) > 1}
    assert not shared, shared
