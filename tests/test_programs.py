"""Claims about translate.py, evaluate.py and convert.py, run as a user runs them."""

import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import sacrebleu
import torch
from programs import ROOT, run

import convert
import evaluate
import translate
from data.tokenizer import Tokenizer
from errors import UserError, one_sentence
from translation import files
from translation.hypothesis import LENGTH_PENALTY, SearchOptions, max_length
from translation.scoring import log_probs_of_pairs
from translation.translator import Translator, in_capitals
from visualization import export
from visualization.sentence import maps_of_pair

Captured = pytest.CaptureFixture[str]
pytestmark = pytest.mark.slow  # a checkpoint is trained first


@pytest.fixture(scope="module")
def checkpoint(trained: Path) -> Path:
    return trained / "runs" / "tiny" / "best.ckpt"


@pytest.fixture(scope="module")
def translator(checkpoint: Path) -> Translator:
    return Translator.load(checkpoint, device="cpu")


# --- translate.py

LINES = [
    "Je suis heureux.",
    "",
    "Tu es là. Il dort ! M. Dupont mange.",
    "   ",
    "Ça va ?\r",
    "le\u2028chat",
    "<br> & 🙂",
]


@pytest.mark.parametrize("engine", ["pytorch", "ctranslate2"])
def test_line_n_of_the_output_translates_line_n_of_the_input(
    trained: Path, translator: Translator, engine: str, tmp_path: Path
) -> None:
    source, output = tmp_path / "in.fr", tmp_path / "out.en"
    (tmp_path / "folder").mkdir()
    output.symlink_to(tmp_path / "folder" / "out.en")  # a link is followed, not replaced
    source.write_bytes("\n".join(LINES).encode() + b"\nfin")
    done = run("translate.py", "--input", source, "--output", output, "--engine", engine, cwd=trained)
    assert done.returncode == 0, done.stderr
    found = output.read_bytes().decode().split("\n")
    assert len(found) == len(LINES) + 2 and found[-1] == ""
    assert found[1] == found[3] == "" and done.stdout == ""
    assert output.is_symlink() and not list(tmp_path.rglob("*.part"))
    if engine == "pytorch":
        assert found[0] == translator.translate(["Je suis heureux."])[0]
        assert found[2] == " ".join(translator.translate(["Tu es là.", "Il dort !", "M. Dupont mange."]))


def test_standard_input_is_translated_to_standard_output_which_holds_nothing_else(trained: Path) -> None:
    done = run("translate.py", "--beam_size=1", cwd=trained, stdin="Il dort.\n\xff\nÇa va ?".encode("latin-1"))
    assert done.returncode == 0 and done.stdout.count("\n") == 3
    assert "line 2: invalid UTF-8" in done.stderr


def test_n_best_translations_are_sorted_and_distinct(checkpoint: Path, capsys: Captured) -> None:
    translate.main(["Il dort.", "", "--n_best=3", "--format=jsonl", f"--checkpoint={checkpoint}"])
    first, blank = map(json.loads, capsys.readouterr().out.splitlines())
    scores = [translation["score"] for translation in first["translations"]]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True) and len(set(scores)) == 3
    nothing = {"text": "", "log_prob": 0.0, "score": 0.0, "confidence": 1.0}
    assert first["source"] == "Il dort." and blank == {"source": "", "translations": [nothing]}


def test_a_table_holds_source_and_translation_and_doubtful_lines_are_named(
    checkpoint: Path, translator: Translator, capsys: Captured
) -> None:
    lines = ["Il\tdort. Tu es là.", ""]
    translate.main([*lines, "--format=tsv", "--warn_below=1", f"--checkpoint={checkpoint}"])
    out, err = capsys.readouterr()
    (translation,) = translator.join(translator.search(lines[:1]), 1)[0]
    assert out == f"Il dort. Tu es là.\t{translation.text}\n\t\n"
    assert (
        f"warning: line 1: confidence {translation.confidence:.2f}: {translation.text}\n" in err and "line 2" not in err
    )


def test_confidence_is_the_geometric_mean_of_the_probabilities_of_the_tokens(translator: Translator) -> None:
    sentences = translator.search(["Il dort. Tu es là."], SearchOptions(no_repeat_ngram_size=0))
    ((translation,),) = translator.join(sentences, 1)
    tokens = [sentence.hypotheses[0].tokens for sentence in sentences]
    log_probs = log_probs_of_pairs(translator.model, [sentence.ids for sentence in sentences], tokens, 2)
    assert len(tokens) == 2 and translation.log_prob == pytest.approx(sum(log_probs), abs=1e-3)
    assert translation.confidence == pytest.approx(math.exp(sum(log_probs) / sum(map(len, tokens))), abs=1e-3)


def test_search_flags_reach_the_search(checkpoint: Path, translator: Translator, capsys: Captured) -> None:
    flags = ["--beam_size=1", "--min_length=9", "--no_repeat_ngram_size=1", "--format=jsonl", "--target_prefix=He is"]
    translate.main(["Il dort.", *flags, f"--checkpoint={checkpoint}"])
    (found,) = json.loads(capsys.readouterr().out)["translations"]
    assert found["text"].startswith("He is")
    ids = translator.tokenizer.encode([found["text"]])[0][:-1]
    assert len(ids) >= 9


def test_a_sentence_in_capitals_is_translated_in_lower_case_to_capitals(translator: Translator) -> None:
    plain, capitals = translator.translate(["Il dort ici. Tu es là. Ça va ?", "IL DORT ICI. Tu es là. ÇA VA ?"])
    first, rest = translator.translate(["Il dort ici.", "Tu es là."])
    assert capitals.startswith(f"{first.upper()} {rest} ") and capitals.lower() == plain.lower()


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("JE SUIS LÀ", True),
        ("Je SUIS LÀ", False),
        ("SNCF", False),
        ("14:30 !", False),
        ("ÉTÉ 1999", False),
        ("ÇA VA ?", True),
        ("🅿️", False),
        ("Ⓐ", False),
        ("Ⓐ LÀ", False),
        ("Ⓐ ATTENTION", True),
        ("", False),
        ("🅰", False),
    ],
)
def test_capitals_are_told_from_abbreviations(sentence: str, expected: bool) -> None:
    assert in_capitals(sentence) is expected


@pytest.mark.parametrize("engine", ["pytorch", "ctranslate2"])
def test_an_interrupted_output_is_resumed_to_the_same_bytes(
    checkpoint: Path, corpus: Path, tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(translate, "WINDOW", 8)
    source, output = corpus / "test.fr", tmp_path / "out.en"
    flags = [f"--input={source}", f"--checkpoint={checkpoint}", "--beam_size=1", f"--engine={engine}"]
    translate.main([*flags, f"--output={output}"])
    expected = output.read_bytes()
    lines = expected.splitlines(keepends=True)
    part = tmp_path / "again.en.part"
    part.write_bytes(b"".join(lines[:10]) + lines[10][:3])  # one window, two lines and a bit
    translate.main([*flags, f"--output={tmp_path / 'again.en'}", "--resume"])
    assert (tmp_path / "again.en").read_bytes() == expected and not part.exists()
    assert "8 lines" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["x", "--checkpoint=absent.ckpt"], "absent.ckpt is missing"),
        (["x", "--checkpoint=half.ckpt"], "half.ckpt is corrupt"),
        (["x", "--checkpoint=other.ckpt"], "other.ckpt is not one that this version can read"),
        (["x", "--beam_size=0"], "--beam_size must be at least 1"),
        (["x", "--batch_size=0"], "--batch_size must be at least 1"),
        (["x", "--precision=int8"], "--precision int8"),
        (["x", "--device=cuda:99"], "--device cuda:99"),
        (["x", "--name=absent"], "runs that have one: tiny"),
        (["x", "--warn_below=2"], "--warn_below must be from 0 to 1"),
        (["x", "--n_best=2"], "jsonl"),
        (["x", "--n_best=9", "--format=jsonl"], "n_best"),
        (["x", "--input=y"], "not both"),
        (["x", "--resume"], "--resume continues a file"),
        (["--input=absent.txt"], "absent.txt"),
        (["x", "--output=absent/out"], "folder"),
        (["x", "--output=."], "is a folder"),
        (["x", "--output=pipe"], "no regular file"),
        (["x", "--attention=half.ckpt"], "--attention half.ckpt"),
    ],
)
def test_a_wrong_call_is_refused_in_one_sentence(
    trained: Path, checkpoint: Path, flags: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    (trained / "half.ckpt").write_bytes(checkpoint.read_bytes()[:5000])
    torch.save({"state_dict": {}}, trained / "other.ckpt")
    if not (trained / "pipe").exists():
        os.mkfifo(trained / "pipe")
    monkeypatch.chdir(trained)
    with pytest.raises(SystemExit) as stopped, one_sentence():
        translate.main(flags)
    out, err = capsys.readouterr()
    assert stopped.value.code == 2
    assert words in err and err.count("\n") == 1 and out == ""


def buffered() -> dict[str, str]:
    """The environment in which Python buffers output, as it usually does."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def printed(stderr: bytes) -> list[str]:
    """The lines on stderr without warnings, which a model that has hardly learned causes."""
    return [line for line in stderr.decode().splitlines() if not line.startswith("warning: ")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_is_reported_in_one_sentence(trained: Path) -> None:
    program = [sys.executable, str(ROOT / "translate.py"), "Il dort."]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(program, cwd=trained, env=buffered(), stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2 and printed(done.stderr) == ["error: output: No space left on device"]


def test_a_closed_pipe_ends_the_program_without_a_message(trained: Path, corpus: Path) -> None:
    command = [sys.executable, str(ROOT / "translate.py"), "--beam_size=1"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with (corpus / "test.fr").open() as lines:
        program = subprocess.Popen(command, cwd=trained, env=buffered(), stdin=lines, **pipes)
        assert program.stdout and program.stderr
        assert program.stdout.readline().endswith(b"\n")
        program.stdout.close()
        assert printed(program.stderr.read()) == [] and program.wait(60) == 0


def test_resume_does_not_count_lines_whose_attention_is_not_written(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "export", interrupt)
    (tmp_path / "in").write_text("Il dort.\n")
    files = [f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}", f"--attention={tmp_path / 'maps'}"]
    with pytest.raises(KeyboardInterrupt):
        translate.main([f"--checkpoint={checkpoint}", *files])
    assert (tmp_path / "out.part").read_text() == ""


@pytest.mark.parametrize("program", ["translate", "evaluate", "visualize"])
def test_a_program_without_a_corpus_does_not_import_lightning(program: str) -> None:
    script = f"import sys, {program}; sys.exit('lightning' in sys.modules or 'datasets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0


# --- the model that is used


def test_the_newest_run_is_used_or_a_named_one_or_else_the_ready_made_model(
    trained: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready_made = tmp_path / "ready.ckpt"
    monkeypatch.setattr(files, "READY_MADE", ready_made)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="train first"):
        files.find_checkpoint()
    ready_made.touch()
    assert files.find_checkpoint() == ready_made
    for name, age in (("old", 100), ("new", 50)):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "best.ckpt").touch()
        os.utime(tmp_path / "runs" / name / "best.ckpt", (1e9 - age, 1e9 - age))
    assert files.find_checkpoint() == Path("runs/new/best.ckpt")
    assert files.find_checkpoint("old") == Path("runs/old/best.ckpt")


def test_a_person_at_a_terminal_is_told_which_model_answers(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(trained)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    translate.main(["Il dort.", "--name=tiny"])
    assert f"model: {Path('runs/tiny/best.ckpt')}\n" in capsys.readouterr().err


# --- evaluate.py


def test_scores_of_the_own_test_split_and_of_the_same_files_are_equal(
    trained: Path, corpus: Path, tmp_path: Path
) -> None:
    shutil.copy(corpus / "test.en", tmp_path / "right.en")
    files = ["--source", corpus / "test.fr", "--reference", corpus / "test.en", "--output", tmp_path / "out.en"]
    for flags, name in ((files, "files"), ([], "own"), ([*files, "--engine=ctranslate2"], "ctranslate2")):
        done = run("evaluate.py", *flags, "--json", tmp_path / name, "--beam_size=2", cwd=trained)
        assert done.returncode == 0, done.stderr
    found, own, ctranslate2 = (json.loads((tmp_path / name).read_text()) for name in ("files", "own", "ctranslate2"))
    assert found == own and found["sentences"] == 20 and set(found) == {"bleu", "chrf", "ter", "sentences"}
    assert ctranslate2["chrf"]["score"] == pytest.approx(own["chrf"]["score"], abs=1)
    flags = ["--reference", corpus / "test.en", "--baseline", tmp_path / "out.en", "--json", tmp_path / "perfect"]
    done = run("evaluate.py", "--hypotheses", tmp_path / "right.en", *flags, cwd=tmp_path)
    assert done.returncode == 0 and "baseline" in done.stdout, done.stderr
    assert json.loads((tmp_path / "perfect").read_text())["bleu"]["score"] == 100.0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--output=absent/out"], "--output absent/out"),
        (["--json=absent/scores"], "--json absent/scores"),
        (["--json=."], "is a folder"),
        (["--baseline=absent"], "--baseline absent is missing"),
        (["--source=absent", "--reference=absent"], "--source absent is missing"),
        (["--source=absent"], "--source needs --reference"),
        (["--reference=absent"], "--reference needs --source"),
        (["--hypotheses=x"], "--hypotheses needs --reference"),
        (["--hypotheses=x", "--reference=x", "--log_probs=x"], "leave out --hypotheses"),
        (["--testset=wmt14"], "--testset needs --langpair"),
        (["--testset=wmt14", "--langpair=fr-en", "--source=x", "--reference=x"], "brings its own sentences"),
        (["--testset=absent", "--langpair=fr-en"], "not one of sacreBLEU's: .*wmt14"),
        (["--testset=wmt14", "--langpair=fr-tlh"], "wmt14 has .*fr-en"),
    ],
)
def test_a_wrong_evaluation_is_refused_before_anything_is_translated(
    flags: list[str], words: str, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    monkeypatch.setattr(Translator, "translate", lambda *_: pytest.fail("the translation has begun"))
    with pytest.raises(UserError, match=words):
        evaluate.main(flags)


def test_sentences_are_listed_worst_first_and_references_have_log_probabilities(
    checkpoint: Path, translator: Translator, corpus: Path, tmp_path: Path
) -> None:
    inputs = [f"--source={corpus / 'test.fr'}", f"--reference={corpus / 'test.en'}", f"--checkpoint={checkpoint}"]
    outputs = [f"--{name}={tmp_path / name}" for name in ("output", "sentences", "log_probs")]
    evaluate.main([*inputs, *outputs, "--beam_size=1"])
    with (tmp_path / "sentences").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, dialect="excel-tab"))
    texts = [(corpus / "test.fr"), (corpus / "test.en"), (tmp_path / "output")]
    lines = [path.read_text(encoding="utf-8").splitlines() for path in texts]
    assert sorted((r["source"], r["reference"], r["translation"]) for r in rows) == sorted(zip(*lines, strict=True))
    scores = [float(row["chrf"]) for row in rows]
    assert scores == sorted(scores) and scores[0] < scores[-1]
    log_probs = [float(line) for line in (tmp_path / "log_probs").read_text().splitlines()]
    for i in (0, 7):
        maps = maps_of_pair(translator, lines[0][i], lines[1][i])
        assert log_probs[i] == pytest.approx(maps.log_prob, abs=1e-3)


def test_bleu_splits_words_as_the_target_language_needs(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "a").write_text("我喜欢猫。\n", encoding="utf-8")
    files = [f"--hypotheses={tmp_path / 'a'}", f"--reference={tmp_path / 'a'}"]
    evaluate.main(files)
    evaluate.main([*files, "--langpair=fr-zh"])
    assert re.findall(r"BLEU .*tok:(\w+)", capsys.readouterr().out) == ["13a", "zh"]


def test_a_test_set_that_cannot_be_downloaded_is_reported_in_one_sentence(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object) -> str:
        raise urllib.error.URLError("no network")

    monkeypatch.chdir(trained)
    monkeypatch.setattr(sacrebleu, "get_source_file", offline)
    with pytest.raises(UserError, match=r"wmt14 cannot be downloaded: .*no network"):
        evaluate.main(["--testset=wmt14", "--langpair=fr-en"])


def test_a_test_set_of_sacrebleu_is_scored(
    trained: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    monkeypatch.setattr(sacrebleu, "get_source_file", lambda *_: str(corpus / "test.fr"))
    monkeypatch.setattr(sacrebleu, "get_reference_files", lambda *_: [str(corpus / "test.en")])
    evaluate.main(["--testset=wmt14", "--langpair=fr-en", "--beam_size=1", f"--json={tmp_path / 'scores'}"])
    assert json.loads((tmp_path / "scores").read_text())["sentences"] == 20


def test_texts_of_different_length_are_refused(trained: Path, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("one\n")
    done = run("evaluate.py", "--hypotheses", tmp_path / "short", "--reference", corpus / "test.en", cwd=trained)
    assert done.returncode == 2 and "1 lines" in done.stderr and "20" in done.stderr


def test_a_checkpoint_of_another_version_is_scored_on_files_only(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = torch.load(checkpoint, weights_only=True)
    content["datamodule_hyper_parameters"]["an_old_setting"] = 1
    torch.save(content, tmp_path / "older.ckpt")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="an_old_setting"):
        evaluate.main(["--checkpoint=older.ckpt"])


# --- convert.py


def test_convert_writes_a_folder_that_ctranslate2_alone_translates_with(
    checkpoint: Path, translator: Translator, tmp_path: Path
) -> None:
    import ctranslate2

    convert.main([f"--checkpoint={checkpoint}", f"--output={tmp_path / 'converted'}"])
    tokenizer = Tokenizer((tmp_path / "converted" / "sentencepiece.model").read_bytes())
    engine = ctranslate2.Translator(str(tmp_path / "converted"), compute_type="float32")
    text = "Le chat mange."
    tokens = tokenizer.processor.encode(text, out_type=str)
    (result,) = engine.translate_batch(
        [tokens],
        beam_size=4,
        length_penalty=LENGTH_PENALTY,
        return_end_token=True,
        max_decoding_length=max_length(len(tokens) + 1),
        disable_unk=True,
        suppress_sequences=[["<pad>"], ["<s>"]],
    )
    (sentence,) = translator.search([text], SearchOptions(no_repeat_ngram_size=0))
    assert tokenizer.processor.piece_to_id(result.hypotheses[0]) == sentence.hypotheses[0].tokens


def test_a_folder_is_replaced_only_by_force_and_only_if_it_is_a_model(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "converted"
    flags = [f"--checkpoint={checkpoint}", f"--output={output}"]
    convert.main(flags)
    with pytest.raises(UserError, match="--force"):
        convert.main(flags)
    convert.main([*flags, "--force"])
    (output / "model.bin").unlink()
    with pytest.raises(FileExistsError, match="holds no CTranslate2 model"):
        convert.main([*flags, "--force"])
    assert (output / "sentencepiece.model").exists()
    with pytest.raises(UserError, match="parent folder does not exist"):
        convert.main([f"--checkpoint={checkpoint}", f"--output={tmp_path / 'absent' / 'converted'}"])


def test_a_checkpoint_to_be_handed_on_is_small_translates_and_names_no_folder(
    checkpoint: Path, translator: Translator, corpus: Path, tmp_path: Path
) -> None:
    output = tmp_path / "small.ckpt"
    convert.main([f"--checkpoint={checkpoint}", f"--output={output}"])
    content = output.read_bytes()
    n_bytes = 2 * sum(p.numel() for p in translator.model.parameters()) + len(translator.tokenizer.model)
    assert n_bytes < len(content) < n_bytes + 30_000  # names and padding
    assert str(corpus.parent).encode() not in content and b"optimizer" not in content
    released = Translator.load(output)
    for name, weight in translator.model.state_dict().items():
        assert torch.equal(released.model.state_dict()[name], weight.half().float())
    lines = (corpus / "test.fr").read_text(encoding="utf-8").splitlines()
    found, expected = released.translate(lines), translator.translate(lines)
    assert sum(a == b for a, b in zip(found, expected, strict=True)) > len(lines) / 2  # rounding may change a few
    with pytest.raises(UserError, match="names no corpus of its own"):
        evaluate.main([f"--checkpoint={output}"])
    with pytest.raises(UserError, match="--force"):
        convert.main([f"--checkpoint={checkpoint}", f"--output={output}"])
