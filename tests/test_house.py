"""Who may import whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def imported_rooms(file: Path) -> set[str]:
    """The first part of every module that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize(("room", "forbidden"), [("data", {"model", "maps"}), ("model", {"data", "maps"})])
def test_rooms_do_not_import_each_other(room: str, forbidden: set[str]) -> None:
    doors = {"train", "translate", "evaluate", "convert", "benchmarks"}
    files = list((ROOT / room).rglob("*.py"))
    assert files
    for file in files:
        assert not imported_rooms(file) & (forbidden | doors), file


def test_maps_know_the_corpus_and_the_doors_only_where_they_are_a_door() -> None:
    files = [file for file in (ROOT / "maps").rglob("*.py") if file.name != "__main__.py"]
    assert files
    for file in files:
        assert not imported_rooms(file) & {"data", "train", "translate", "evaluate", "convert", "benchmarks"}, file


def test_no_layer_of_pytorch_that_attends_is_used_in_the_network() -> None:
    taken = {f"Transformer{part}" for part in ("", "Encoder", "Decoder", "EncoderLayer", "DecoderLayer")}
    taken.add("MultiheadAttention")
    for file in (ROOT / "model").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                assert node.attr not in taken, file
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("torch"):
                assert not taken & {alias.name for alias in node.names}, file
