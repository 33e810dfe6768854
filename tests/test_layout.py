"""Which package may import which, as docs/extending.md describes."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROGRAMS = {"train", "translate", "evaluate", "visualize", "convert"}
PACKAGES = {"data", "model", "training", "translation", "visualization", "benchmarks"}
MAY_IMPORT: dict[str, set[str]] = {
    "data": set(),
    "model": set(),
    "translation": {"data", "model"},
    "training": {"data", "model", "translation"},
    "visualization": {"data", "model", "translation"},
}


def imported(file: Path) -> set[str]:
    """Return the first component of every module that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_the_layout_allows(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        ours = imported(file) & (PACKAGES | PROGRAMS)
        assert ours <= MAY_IMPORT[package] | {package}, file


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_programs_do_not_import_each_other(program: str) -> None:
    assert not imported(ROOT / f"{program}.py") & (PROGRAMS | {"benchmarks"})


def test_the_network_imports_nothing_but_pytorch() -> None:
    allowed = {"torch", "math", "collections", "contextlib", "dataclasses", "functools", "typing"}
    for file in (ROOT / "model").rglob("*.py"):
        assert imported(file) <= allowed | {"model", "errors", "constants"}, file


def test_the_network_uses_no_attention_layer_of_pytorch() -> None:
    taken = {f"Transformer{part}" for part in ("", "Encoder", "Decoder", "EncoderLayer", "DecoderLayer")}
    taken.add("MultiheadAttention")
    for file in (ROOT / "model").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                assert node.attr not in taken, file
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("torch"):
                assert not taken & {alias.name for alias in node.names}, file


def test_no_private_interface_of_a_dependency_is_used() -> None:
    for package in [*MAY_IMPORT, "."]:
        files = (ROOT / package).glob("*.py") if package == "." else (ROOT / package).rglob("*.py")
        for file in files:
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom):
                    parts = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
                    assert not any(part.startswith("_") and part != "__future__" for part in parts), file
                if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                    on_self = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
                    named_tuple = node.attr in ("_asdict", "_replace", "_fields")
                    assert on_self or named_tuple, f"{file}, line {node.lineno}: {node.attr}"
