"""Claims about README.md, CONTRIBUTING.md, docs/ and benchmarks/README.md: commands run, and what they name exists."""

import ast
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from jsonargparse import ArgumentParser
from programs import ROOT, run

import convert
import train
import visualize

FOLDERS = ("benchmarks", "models")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / folder / "README.md" for folder in FOLDERS)]
PAGES += (ROOT / "docs").glob("*.md")
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in sorted(PAGES)}


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a text in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)


def commands() -> list[str]:
    """Return the different commands of all pages, without comments."""
    lines = [line for text in TEXTS.values() for block in blocks(text, "bash") for line in block.splitlines()]
    return sorted({re.sub(r" +# .*", "", line).strip() for line in lines})


TRAINING = [command for command in commands() if re.search(r"\btrain\.py\b", command)]
REPORT = [command for command in commands() if "visualize.py report" in command]  # needs a model of the phrasebook
PROGRAMS = [
    command
    for command in commands()
    if re.match(r"uv run (translate|evaluate|visualize|convert)\.py\b", command) and command not in REPORT
]
BENCHMARKS = [command for command in commands() if "python -m benchmarks." in command]
# Commands that install, or that start the tests and checks themselves.
NOT_RUN = ("pip install uv", "uv sync", "export ", "uv run pytest", "uv run ruff", "uv run playwright")


# --- commands


def test_the_readme_has_at_most_150_lines_and_its_quick_start_two_commands() -> None:
    readme = TEXTS["README.md"]
    assert readme.count("\n") <= 150
    quick_start = readme[readme.index("\n## Quick start\n") :]
    assert blocks(quick_start, "bash")[0].splitlines() == ["pip install uv && uv run train.py", "uv run pytest"]


def test_every_command_of_the_pages_is_of_a_kind_that_a_test_covers() -> None:
    covered = {*TRAINING, *REPORT, *PROGRAMS, *BENCHMARKS}
    assert [command for command in commands() if command not in covered and not command.startswith(NOT_RUN)] == []
    assert len(TRAINING) > 5 and len(PROGRAMS) > 5 and REPORT and BENCHMARKS


@pytest.mark.slow
@pytest.mark.parametrize("command", PROGRAMS)
def test_a_command_that_is_documented_succeeds(command: str, trained: Path, corpus: Path, tmp_path: Path) -> None:
    files = {"input": corpus / "test.fr", "source": corpus / "test.fr", "reference": corpus / "test.en"}
    files |= {"hypotheses": corpus / "test.en", "baseline": corpus / "test.en", "checkpoint": "runs/tiny/best.ckpt"}
    program, *words = shlex.split(command)[2:]
    for i, word in enumerate(words):
        if word == "FILE":
            flag = words[i - 1].removeprefix("--")
            words[i] = str(files.get(flag, tmp_path / flag))
        elif word in ("DIR", "lesson.html"):
            words[i] = str(tmp_path / "output")
        elif word == "models/fr-en.ckpt":
            words[i] = str(tmp_path / "model.ckpt" if words[i - 1] == "--output" else ROOT / word)
        elif word == "fr-en" and words[i - 1] == "--name":
            words[i] = "tiny"
    done = run(program, *words, cwd=trained)
    assert done.returncode == 0, done.stderr
    assert done.stdout or any(tmp_path.iterdir())


@pytest.fixture(scope="module")
def train_parser() -> ArgumentParser:
    return train.make_parser()


@pytest.mark.parametrize("command", TRAINING)
def test_settings_of_a_documented_training_are_valid(
    command: str, train_parser: ArgumentParser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "runs" / "NAME").mkdir(parents=True)  # the run that a command resumes
    shutil.copy(ROOT / "configs" / "phrasebook.yaml", tmp_path / "runs" / "NAME" / "config.yaml")
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)
    settings = train.parse(train_parser, words[words.index("train.py") + 1 :])
    made = train_parser.instantiate(settings)
    assert made.model.vocab_size == settings.data.vocab_size


def test_flags_of_documented_reports_and_benchmarks_exist() -> None:
    for command in REPORT:
        assert visualize.build_parser().parse_args(shlex.split(command)[3:]).command == "report"
    for command in BENCHMARKS:
        name = re.search(r"-m benchmarks\.(\w+)", command)
        assert name
        source = (ROOT / "benchmarks" / f"{name[1]}.py").read_text(encoding="utf-8")
        if "add_model_flags(" in source:
            source += (ROOT / "translation" / "flags.py").read_text(encoding="utf-8")
        for flag in re.findall(r" (--\w+)", command[name.end() :]):
            assert f'"{flag}"' in source, command


@pytest.mark.slow
def test_the_python_of_the_pages_runs(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = trained / "runs" / "tiny" / "best.ckpt"
    convert.main(["--checkpoint", str(checkpoint), "--output", str(tmp_path / "DIR")])
    monkeypatch.chdir(trained)
    scopes: list[dict[str, Any]] = []
    for text in TEXTS.values():
        for code in blocks(text, "python"):
            code = code.replace("runs/phrasebook", "runs/tiny").replace('"DIR', f'"{tmp_path}/DIR')
            scopes.append({})
            exec(code, scopes[-1])
    (recorded,) = [scope for scope in scopes if "attention_maps" in scope]
    n_queries, n_keys = len(recorded["target"]), len(recorded["source"])
    assert recorded["maps"]["decoder.1.cross_attention"].shape == (1, 2, n_queries, n_keys)


# --- names

CODE = {
    file: file.read_text(encoding="utf-8")
    for pattern in ("*.py", "*/*.py", "*/*/*.py", "configs/*.yaml", "visualization/web/*", "pyproject.toml", ".ci/run")
    for file in ROOT.glob(pattern)
    if ".venv" not in file.parts and file.name != "test_docs.py"
}
ALL_CODE = "\n".join(CODE.values())
FOLDERS = {"benchmarks", "configs", "data", "docs", "model", "tests", "training", "translation", "visualization"}
# Names that belong to other programs, or to files that a corpus or a command has.
ELSEWHERE = {"UV_NO_SYNC", "FILE.part", "hparams.yaml", "test_2016_flickr", "test_2016_flickr.fr", "nn.Parameter"}
FLAGS_ELSEWHERE = {"torch-backend", "help", "group", "nnodes", "signal"}


def spans(page: str) -> list[str]:
    """Return what a page sets in backticks, code blocks left out."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", TEXTS[page], flags=re.S | re.M))


def members() -> dict[str, set[str]]:
    """Return the attributes and methods of each class of the project."""
    found: dict[str, set[str]] = {}
    for file, code in CODE.items():
        for node in ast.walk(ast.parse(code)) if file.suffix == ".py" else ():
            if isinstance(node, ast.ClassDef):
                names = {each.name for each in ast.walk(node) if isinstance(each, ast.FunctionDef)}
                names |= {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
                names |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
                found.setdefault(node.name, set()).update(names)
    return found


MEMBERS = members()


def is_known(name: str) -> bool:
    """Return whether a dotted name occurs in the code of the project."""
    if name in ELSEWHERE or re.search(rf"(?<!\w){re.escape(name)}(?!\w)", ALL_CODE):
        return True
    owner, _, member = name.rpartition(".")
    return member in MEMBERS.get(owner.rpartition(".")[2], ())


@pytest.mark.parametrize("page", TEXTS)
def test_names_of_code_that_a_page_mentions_exist(page: str) -> None:
    names = {span.removesuffix("()") for span in spans(page)}
    # Names with a dot, an underscore or a capital; a word such as `muon` could be anything.
    identifiers = {name for name in names if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", name)}
    identifiers = {name for name in identifiers if re.search(r"\w[._]|^[A-Z]\w*[a-z]", name)}
    assert sorted(name for name in identifiers if not is_known(name)) == []


@pytest.mark.parametrize("page", TEXTS)
def test_files_that_a_page_mentions_exist(page: str) -> None:
    paths = {span for span in spans(page) if re.fullmatch(r"\w+/([\w.]+/)*(\w+\.\w+)?", span)}
    ours = {path for path in paths if path.split("/")[0] in FOLDERS}
    assert sorted(path for path in ours if not (ROOT / path).exists()) == []


@pytest.mark.parametrize("page", TEXTS)
def test_flags_that_a_page_mentions_exist(page: str, train_parser: ArgumentParser) -> None:
    of_training = {"config", *train_parser.get_defaults().keys()}
    for span in spans(page):
        for flag in re.findall(r"(?:^| )--([a-z][\w.-]*)", span):
            known = flag in of_training | FLAGS_ELSEWHERE or f'"--{flag}"' in ALL_CODE or flag.endswith(".NAME")
            assert known, f"--{flag}"


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_to_files_and_headings(page: str) -> None:
    for path, _, heading in re.findall(r"\]\((?!https:)([^)#]*)(#([^)]*))?\)", TEXTS[page]):
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), path
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.M)
            assert heading in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles], heading


# --- language

NOT_USED = (
    "rooms?", "doors?", "houses?", "somebody", "nobody", "torn", "contestants?", "peers?", "laid out", "end marks?",
    "begin marks?", "shares? of (a|the|every) batch", "mend", "told in a sentence", "pieces?",
)  # fmt: skip


@pytest.mark.parametrize("page", TEXTS)
def test_a_page_has_none_of_the_words_that_the_project_replaces(page: str) -> None:
    text = re.sub(r"^```.*?^```", "", TEXTS[page], flags=re.S | re.M)
    assert [found[0] for word in NOT_USED for found in re.finditer(rf"\b{word}\b", text, re.I)] == []


@pytest.mark.parametrize("page", TEXTS)
def test_nothing_is_left_to_be_measured(page: str) -> None:
    assert "TO MEASURE" not in TEXTS[page]
