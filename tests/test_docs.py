"""Claims about README.md, CONTRIBUTING.md and docs/: their commands run, and what they name exists."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from programs import ROOT, start

import train
from errors import UserError

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md", *(ROOT / "docs").glob("*.md")]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
SOURCES = [
    file for pattern in ("*.py", "*/*.py", "*/*/*.py") for file in ROOT.glob(pattern) if ".venv" not in file.parts
]


def blocks(language: str) -> list[str]:
    """Return the code blocks of all pages in a language."""
    return [block for text in TEXTS.values() for block in re.findall(rf"```{language}\n(.*?)```", text, re.S)]


def commands(*programs: str) -> list[str]:
    """Return the different commands of all pages that start one of the programs, without comments."""
    found = [line.split(" # ")[0].strip() for block in blocks("bash") for line in block.splitlines()]
    return sorted({line for line in found if any(f"uv run {program}" in line for program in programs)})


def test_the_readme_fits_on_150_lines_and_its_quick_start_has_two_commands() -> None:
    readme = TEXTS["README.md"]
    assert readme.count("\n") <= 150
    first = re.search(r"^## Quick start$.*?```bash\n(.*?)```", readme, re.S | re.M)
    assert first and first[1].splitlines() == ["pip install uv && uv run train.py", "uv run pytest"]


@pytest.mark.parametrize("command", commands("translate.py", "evaluate.py", "visualize.py", "convert.py"))
@pytest.mark.slow
def test_commands_of_the_documentation_run(command: str, trained: Path, corpus: Path, tmp_path: Path) -> None:
    if "report" in command:
        pytest.skip("needs a model of the phrasebook; tests/test_visualization.py covers it")
    files = {"input": corpus / "test.fr", "source": corpus / "test.fr", "reference": corpus / "test.en"}
    files |= {"hypotheses": corpus / "test.en", "baseline": corpus / "test.en", "checkpoint": "runs/tiny/best.ckpt"}
    words = shlex.split(command)[2:]
    for i, word in enumerate(words):
        if word == "FILE":
            flag = words[i - 1].removeprefix("--")
            words[i] = str(files.get(flag, tmp_path / flag))
        elif word in ("DIR", "lesson.html"):
            words[i] = str(tmp_path / "output")
    done = start(words[0], *words[1:], cwd=trained)
    assert done.returncode == 0, done.stderr
    assert done.stdout or list(tmp_path.iterdir())


@pytest.mark.parametrize("command", commands("train.py", "torchrun"))
def test_flags_of_train_commands_exist(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = shlex.split(command)
    arguments = words[words.index("train.py") + 1 :]
    if "--ckpt_path" in arguments:
        with pytest.raises(UserError, match="there is no run --name NAME to resume"):
            train.parse(train.make_parser(), arguments)
    else:
        train.parse(train.make_parser(), arguments)


@pytest.mark.slow
def test_python_of_the_documentation_runs(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import convert

    checkpoint = trained / "runs" / "tiny" / "best.ckpt"
    convert.main(["--checkpoint", str(checkpoint), "--output", str(tmp_path / "DIR")])
    monkeypatch.chdir(trained)
    snippets = blocks("python")
    assert len(snippets) >= 3
    for code in snippets:
        scope: dict[str, Any] = {}
        exec(code.replace("runs/phrasebook", "runs/tiny").replace('"DIR', f'"{tmp_path}/DIR'), scope)


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_to_files(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", TEXTS[page]):
        if "://" not in target:
            assert (ROOT / page).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("page", TEXTS)
def test_files_tests_and_flags_that_are_named_exist(page: str) -> None:
    code = "\n".join(file.read_text(encoding="utf-8") for file in SOURCES)
    for name in re.findall(r"`([a-z_]+/[\w./-]*\.(?:py|md|yaml|tsv|js))`", TEXTS[page]):
        assert (ROOT / name).exists(), name
    for test in re.findall(r"`(test_\w+)`", TEXTS[page]):
        assert f"def {test}(" in code or test.startswith("test_2016"), test
    for flag in re.findall(r"`--([a-z_]+)[ `]", TEXTS[page]):
        assert f"--{flag}" in code or flag in ("help",), flag


@pytest.mark.parametrize("page", TEXTS)
def test_nothing_is_left_to_be_measured(page: str) -> None:
    assert "TO MEASURE" not in TEXTS[page]
