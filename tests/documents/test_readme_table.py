"""README's table from the documents' equations to the code: each file, name and test that it refers to is there."""

import ast
import re
from functools import cache
from pathlib import Path

import xpnet

ROOT = Path(__file__).parents[2]
REFERENCE = re.compile(r"(?P<path>(?:(?:src|tests)/)?[\w/]+\.py)::(?P<name>[\w.]+)")


def cells() -> list[str]:
    """What stands in backticks in README's tables."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    return [cell for line in lines if line.lstrip().startswith("|") for cell in re.findall(r"`([^`]+)`", line)]


def references() -> list[tuple[Path, str]]:
    """(file, dotted name); a file without a folder is one of these tests."""
    found = []
    for match in filter(None, map(REFERENCE.fullmatch, cells())):
        path = match["path"]
        found.append((Path(path if "/" in path else f"tests/documents/{path}"), match["name"]))
    return found


def place(path: Path) -> Path:
    """Where the file is; the package may be an installed wheel."""
    inside = path.parts[:2] == ("src", "xpnet")
    return Path(xpnet.__file__).parent.joinpath(*path.parts[2:]) if inside else ROOT / path


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(place(path).read_text(encoding="utf-8"))


def defined(node: ast.AST, name: str) -> ast.AST | None:
    """The class, function or assignment of this dotted name inside a module, class or function."""
    for part in name.split("."):
        inside = getattr(node, "body", [])
        node = next((n for n in inside if part in _names(n)), None)
        if node is None:
            return None
    return node


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def test_there_is_a_table():
    assert len(references()) >= 30


def test_references_are_whole():
    assert [cell for cell in cells() if "::" in cell and not REFERENCE.fullmatch(cell)] == []


def test_files_are_there():
    assert [str(path) for path, _ in references() if not place(path).is_file()] == []


def test_names_are_there():
    there = [(path, name) for path, name in references() if place(path).is_file()]
    assert [f"{path}::{name}" for path, name in there if defined(parsed(path), name) is None] == []


def test_tests_are_tests():
    named = [(path.name, name) for path, name in references() if path.parts[0] == "tests"]
    assert [f"{path}::{name}" for path, name in named if not name.startswith("test_")] == []
    assert {path for path, _ in named} >= {f"test_d{i}.py" for i in range(5)}


def test_what_is_gone_is_noticed():
    losses = parsed(Path("src/xpnet/equations/losses.py"))
    assert defined(losses, "HalfSquaredError.per_element") is not None
    assert defined(losses, "BY_NAME") is not None
    assert defined(losses, "HalfSquaredError.gone") is None
    assert defined(losses, "gone") is None
