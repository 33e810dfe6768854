"""Claims about train.py, translate.py and evaluate.py, run as a user runs them."""

import copy
import csv
import json
import math
import os
import pickle
import random
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY
from programs import ROOT, run, start

import convert
import evaluate
import train
import translate
from errors import UserError, one_sentence
from model.checkpoints import saved_step
from model.optimizer import PERIOD
from model.pool import WorkerPool, copies_work
from translate import Translator

Captured = pytest.CaptureFixture[str]

CONFIG = ROOT / "configs" / "multi30k.yaml"


@pytest.fixture(scope="module")
def translator(trained: Path) -> Translator:
    return Translator.load(trained / "runs" / "tiny" / "best.ckpt", device="cpu")


# --- train.py


def test_a_run_leaves_checkpoints_its_configuration_and_its_curves(trained: Path) -> None:
    folder = trained / "runs" / "tiny"
    names = {file.name for file in folder.iterdir()}
    assert {"best.ckpt", "last.ckpt", "config.yaml", "metrics.csv"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert any(row["val_bleu"] for row in rows) and any(row["loss"] for row in rows)


def test_a_checkpoint_is_one_file_without_code(trained: Path) -> None:
    checkpoint = torch.load(trained / "runs" / "tiny" / "best.ckpt", weights_only=True)
    assert {"state_dict", "hyper_parameters", "sentencepiece"} <= set(checkpoint)


def test_a_run_that_learns_no_more_ends_early_and_the_other_direction_is_shown(corpus: Path, tmp_path: Path) -> None:
    direction = ["--data.source_lang=en", "--data.target_lang=fr", "--name=en-fr"]
    never_better = ["--early_stopping.patience=1", "--early_stopping.min_delta=1000"]
    steps = ["--trainer.max_steps=30", "--trainer.val_check_interval=3"]
    settings = [*TINY, *direction, *never_better, *steps]
    done = run("train.py", "--config", CONFIG, f"--data.path={corpus}", *settings, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert saved_step(tmp_path / "runs" / "en-fr" / "last.ckpt") == 6  # the second validation
    assert "I am happy. →" in done.stdout and 'best.ckpt "I am happy."' in done.stdout


@pytest.mark.parametrize(
    ("features", "gpu", "chosen"),
    [
        ({"avx512_bf16": True}, None, "bf16-mixed"),
        ({"amx_bf16": True}, None, "bf16-mixed"),
        ({"avx2": True}, None, "32-true"),
        ({"avx512_bf16": True}, False, "32-true"),  # the GPU computes, whatever the processor could
        ({}, True, "bf16-mixed"),
    ],
)
def test_products_are_in_bfloat16_where_the_hardware_has_it(
    features: dict[str, bool], gpu: bool | None, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu is not None)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: gpu)
    assert train.choose_precision("auto") == chosen
    assert train.choose_precision("auto", "cpu") == (
        "bf16-mixed" if any("bf16" in name for name in features) else "32-true"
    )
    assert train.choose_precision("16-mixed") == "16-mixed"


@pytest.mark.parametrize("has_bf16", [True, False])
def test_a_translator_says_where_bfloat16_would_be_slow(
    has_bf16: bool, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(translate, "has_bf16_products", lambda kind: has_bf16 or kind != "cpu")
    Translator.load(trained / "runs" / "tiny" / "best.ckpt", "cpu", "bf16")
    assert ("--precision 32 is faster" in capsys.readouterr().err) is not has_bf16


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_other_precisions_of_lightning_learn_too(precision: str, corpus: Path, tmp_path: Path) -> None:
    steps = [f"--trainer.precision={precision}", "--trainer.max_steps=3", "--trainer.val_check_interval=3"]
    tiny = [flag for flag in TINY if "precision" not in flag]
    for sampled in ("0", "100"):
        flags = [*steps, f"--model.sampled_after={sampled}", f"--name=sampled-{sampled}"]
        done = run("train.py", "--config", CONFIG, f"--data.path={corpus}", *tiny, *flags, cwd=tmp_path)
        assert done.returncode == 0 and "update skipped" not in done.stderr, done.stderr


def test_a_resumed_run_learns_at_the_rates_that_it_is_given(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "runs" / "tiny", tmp_path / "runs" / "slower")
    flags = ["--model.learning_rate=0.001", "--model.adamw_learning_rate=0.0005", "--model.warmup_steps=1"]
    more = ["--trainer.max_steps=60", "--trainer.val_check_interval=15"]
    done = run("train.py", "--name=slower", "--ckpt_path=last", *flags, *more, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    checkpoint = torch.load(tmp_path / "runs" / "slower" / "last.ckpt", weights_only=True)
    assert set(checkpoint["lr_schedulers"][0]["base_lrs"]) == {PERIOD * 0.001, 0.0005}
    adamw, *muons = checkpoint["optimizer_states"][0]["parts"]
    assert adamw["param_groups"][0]["lr"] <= 0.0005
    assert all(muon["param_groups"][0]["lr"] <= PERIOD * 0.001 for muon in muons)


def test_a_resumed_run_ends_in_the_same_weights(corpus: Path, tmp_path: Path) -> None:
    settings = [
        "--config",
        CONFIG,
        f"--data.path={corpus}",
        *TINY,
        "--trainer.max_steps=34",
        "--trainer.val_check_interval=10",
    ]
    whole = run("train.py", *settings, "--name=whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    # Stopped by a limit on batches of the last epoch would change the plan; a crash in mid-epoch does not.
    crash = tmp_path / "crash.py"
    crash.write_text(
        "import sys, train\n"
        "from model.module import TranslationModule\n"
        "step = TranslationModule.training_step\n"
        "def stop(self, batch, i):\n"
        "    if self.global_step == 26: import os; os._exit(9)\n"
        "    return step(self, batch, i)\n"
        "TranslationModule.training_step = stop\n"
        "train.main(sys.argv[1:])\n"
    )
    killed = run(crash, *settings, "--name=killed", cwd=tmp_path)
    assert killed.returncode == 9, killed.stderr
    # In a new Python, as nothing may depend on what differs between two: seeds, hashes of texts.
    resumed = start("train.py", "--name=killed", "--ckpt_path=last", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    a, b = (torch.load(tmp_path / "runs" / name / "last.ckpt", weights_only=True) for name in ("whole", "killed"))
    assert a["global_step"] == b["global_step"] == 34
    for name, weights in a["state_dict"].items():
        assert torch.equal(weights, b["state_dict"][name]), name


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--name=tiny"], "exists"),
        (["--name=none", "--ckpt_path=last"], "config.yaml is missing"),
        (["--ckpt_path=last"], "--name"),
        (["--name=tiny", "--ckpt_path=last", f"--config={CONFIG}"], "leave --config out"),
        (["--name=new", "--data.path=/nowhere/at/all"], "no such file"),
        (["--name=new", "--model.wings=2"], "wings"),
        (["--name=new", "--model.n_heads=7"], "n_heads 7"),
        (["--name=new", "--model.n_heads=0"], "n_heads must be at least 1"),
        (["--name=new", "--model.d_ff=-64"], "d_ff must be at least 1"),
        (["--name=new", "--model.d_model=33", "--model.n_heads=3"], "d_model must be even"),
        (["--name=new", "--model.dropout=1.5"], "dropout must be at least 0 and below 1"),
        (["--name=new", "--model.learning_rate=-0.1"], "learning_rate must be at least 0"),
        (["--name=new", "--trainer.max_steps=-1"], "model.decay linear"),
        (["--config=absent.yaml"], "absent.yaml"),
    ],
)
def test_a_wrong_start_is_refused_in_a_sentence(
    trained: Path, corpus: Path, flags: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    start = ["--config", str(CONFIG), f"--data.path={corpus}", *TINY, "--trainer.max_steps=1"]
    monkeypatch.chdir(trained)
    with pytest.raises(SystemExit) as stopped, one_sentence():
        train.main(flags if "--ckpt_path=last" in flags else [*start, *flags])
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err
    assert not (trained / "runs" / "new").exists()


# --- translate.py


def test_line_n_of_the_output_translates_line_n_of_the_input(
    trained: Path, translator: Translator, tmp_path: Path
) -> None:
    lines = [
        "Je suis heureux.",
        "",
        "Tu es là. Il dort ! M. Dupont mange.",
        "   ",
        "Ça va ?\r",
        "le\u2028chat",
        "<br> & 🙂",
    ]
    source, output = tmp_path / "in.fr", tmp_path / "out.en"
    source.write_bytes("\n".join(lines).encode() + b"\nfin")
    done = run("translate.py", "--input", source, "--output", output, cwd=trained)
    assert done.returncode == 0, done.stderr
    found = output.read_bytes().decode().split("\n")
    assert len(found) == len(lines) + 2 and found[-1] == ""
    assert found[1] == found[3] == "" and done.stdout == ""
    assert found[0] == translator.translate(["Je suis heureux."])[0]
    sentences = translator.translate(["Tu es là.", "Il dort !", "M. Dupont mange."])
    assert found[2] == " ".join(sentences)


def test_standard_input_is_answered_on_standard_output_and_nothing_else_is(trained: Path) -> None:
    done = run("translate.py", "--beam_size=1", cwd=trained, stdin="Il dort.\n\xff\nÇa va ?".encode("latin-1"))
    assert done.returncode == 0 and done.stdout.count("\n") == 3
    assert "line 2: invalid UTF-8" in done.stderr


def test_n_best_lists_are_sorted_and_distinct(trained: Path) -> None:
    done = run("translate.py", "Il dort.", "", "--n_best=3", "--format=jsonl", cwd=trained)
    first, blank = map(json.loads, done.stdout.splitlines())
    scores = [t["score"] for t in first]
    assert len(first) == 3 and scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3  # of different pieces, though these may spell the same text
    assert blank == [{"text": "", "log_prob": 0.0, "score": 0.0}]


@pytest.mark.parametrize("long", ["x" * 300, "chat et chien " * 20], ids=["without a space", "between words"])
def test_an_over_long_sentence_is_cut_and_said(
    translator: Translator, long: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(translate, "MAX_PIECES", 20)
    found = translator.translate(["court", long], beam_size=1)
    assert len(found) == 2
    assert "line 2: a sentence longer" in capsys.readouterr().err
    fits = "x" * 300
    while len(translator.tokenizer.encode([fits])[0]) > translate.MAX_PIECES:
        fits = fits[:-1]
    assert len(translator.tokenizer.encode([fits])[0]) == translate.MAX_PIECES
    translator.translate([fits], beam_size=1)
    assert "a sentence longer" not in capsys.readouterr().err


def test_neighbours_and_batches_do_not_change_a_translation(translator: Translator, corpus: Path) -> None:
    lines = (corpus / "test.fr").read_text(encoding="utf-8").splitlines()
    whole = translator.translate(lines)
    assert whole == translator.translate(lines, batch_size=3)
    assert whole[::-1] == translator.translate(lines[::-1])


@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize("most", [3, 256])
@pytest.mark.parametrize("n", [1, 9, 100, 1000])
def test_batches_hold_every_sentence_once_and_the_last_are_equal(
    translator: Translator, n: int, most: int, beam_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translator.pool, "tools", [translator.model] * 2)
    lengths = sorted((i % 50 + 1 for i in range(n)), reverse=True)
    batches = list(translator.batches(lengths, beam_size, most))
    assert [i for start, stop in batches for i in range(start, stop)] == list(range(n))
    sizes = [stop - start for start, stop in batches]
    assert max(sizes) <= most
    assert all((stop - start) * lengths[start] <= translate.BATCH_PIECES for start, stop in batches)
    assert max(sizes) * beam_size <= translate.BATCH_HYPOTHESES
    if n > 2 * translate.SHARE:
        assert abs(sizes[-2] - sizes[-1]) <= 1


def test_a_text_is_split_as_the_splitter_would_though_it_is_not_always_asked(translator: Translator) -> None:
    assert translator.splitter is not None
    draw = random.Random(0)
    parts = [
        "Il",
        "dort",
        "M",
        "etc",
        "3",
        "été",
        "École",
        "«",
        "»",
        "(",
        ")",
        '"',
        "'",
        ".",
        "...",
        "!",
        "?",
        " ",
        "\t",
    ]
    texts = ["".join(draw.choices([*parts, " ", " "], k=draw.randint(1, 12))) for _ in range(3000)]
    split = [text for text in texts if len(translator.sentences(text)) > 1]
    assert len(split) > 100
    for text in texts:
        assert translator.sentences(text) == translator.splitter.split(" ".join(text.split())), text


def test_workers_share_the_lines_and_keep_their_order(
    translator: Translator, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (corpus / "train.fr").read_text().splitlines()[:60]
    monkeypatch.setattr(threading, "active_count", lambda: 1)  # libraries have left threads beside the tests
    translations = []
    for n_workers, copied in ((1, False), (2, False), (2, True)):
        models = [translator.model, copy.deepcopy(translator.model)][:n_workers]
        monkeypatch.setattr(translator, "pool", WorkerPool(translate.search_batch, models, copied))
        translations.append(translator.translate(lines, batch_size=10))
        assert bool(translator.pool.copies) == (copied and copies_work())
    assert translations == [translations[0]] * 3


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["x", "--checkpoint=absent.ckpt"], "absent.ckpt is missing"),
        (["x", "--checkpoint=torn.ckpt"], "torn.ckpt is torn"),
        (["x", "--checkpoint=other.ckpt"], "other.ckpt is of another kind"),
        (["x", "--beam_size=0"], "beam_size"),
        (["x", "--device=cuda:99"], "--device cuda:99"),
        (["x", "--device=abacus"], "--device abacus"),
        (["x", "--n_best=2"], "jsonl"),
        (["x", "--n_best=9", "--format=jsonl"], "n_best"),
        (["x", "--input=y"], "not both"),
        (["--input=absent.txt"], "absent.txt"),
        (["x", "--output=absent/out"], "folder"),
        (["x", "--output=."], "is a folder"),
        (["x", "--attention=torn.ckpt"], "--attention torn.ckpt"),
    ],
)
def test_a_wrong_call_is_refused_in_a_sentence(
    trained: Path, flags: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    good = trained / "runs" / "tiny" / "best.ckpt"
    (trained / "torn.ckpt").write_bytes(good.read_bytes()[:5000])
    torch.save({"state_dict": {}}, trained / "other.ckpt")
    monkeypatch.chdir(trained)
    with pytest.raises(SystemExit) as stopped, one_sentence():
        translate.main(flags)
    out, err = capsys.readouterr()
    assert stopped.value.code == 2
    assert words in err and err.count("\n") == 1 and out == ""


def buffered() -> dict[str, str]:
    """The environment in which Python keeps output back, as it usually does."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def said(stderr: bytes) -> list[str]:
    """What a program said beside warnings of a model that hardly learned."""
    return [line for line in stderr.decode().splitlines() if not line.startswith("warning: ")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_is_told_in_a_sentence(trained: Path) -> None:
    program = [sys.executable, str(ROOT / "translate.py"), "Il dort."]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(program, cwd=trained, env=buffered(), stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2 and said(done.stderr) == ["error: output: No space left on device"]


def test_a_reader_that_leaves_ends_the_program_in_silence(trained: Path, corpus: Path) -> None:
    program = [sys.executable, str(ROOT / "translate.py"), "--beam_size=1"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with (corpus / "test.fr").open() as lines:
        door = subprocess.Popen(program, cwd=trained, env=buffered(), stdin=lines, **pipes)
        assert door.stdout and door.stderr
        assert door.stdout.readline().endswith(b"\n")
        door.stdout.close()
        assert said(door.stderr.read()) == [] and door.wait(60) == 0


def test_a_byte_order_mark_is_no_part_of_a_text(translator: Translator) -> None:
    lines = [b"\xef\xbb\xbf\n", b"\xef\xbb\xbfIl dort.\r\n"]
    assert list(translate.read_lines(lines, "text")) == ["", "\ufeffIl dort."]
    assert list(translate.read_lines(lines[1:], "text")) == ["Il dort."]


def test_a_gpu_that_is_too_small_is_told_in_a_sentence(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(translator.pool, "do", full)
    with pytest.raises(UserError, match="lower --batch_size 64"):
        translator.translate(["Il dort."], batch_size=64)


@pytest.mark.parametrize("pickler", [pickle, ForkingPickler], ids=["pickle", "multiprocessing"])
def test_a_translator_can_be_sent_to_another_process(translator: Translator, pickler: Any) -> None:
    lines = ["Il dort.", "Ça va ?"]
    expected = translator.translate(lines)  # with whatever is laid out for it
    sent = pickler.loads(bytes(pickler.dumps(translator)))
    assert sent.translate(lines) == expected
    weights = [each.model.decoder[0].feed_forward.expand.weight for each in (translator, sent)]
    assert hasattr(weights[1], "packed") == hasattr(weights[0], "packed")


def test_lines_whose_attention_was_not_written_are_not_taken_for_done(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(translate, "export", stopped)
    checkpoint = f"--checkpoint={trained / 'runs' / 'tiny' / 'best.ckpt'}"
    (tmp_path / "in").write_text("Il dort.\n")
    files = [f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}", f"--attention={tmp_path / 'maps'}"]
    with pytest.raises(KeyboardInterrupt):
        translate.main([checkpoint, *files])
    assert (tmp_path / "out.part").read_text() == ""


def test_a_corpus_that_another_version_described_is_told_in_a_sentence(translator: Translator) -> None:
    data = translator.data | {"a_setting_of_tomorrow": 1}
    other = Translator(translator.model, translator.tokenizer, data)
    with pytest.raises(UserError, match=r"another version.*a_setting_of_tomorrow.*--source and --reference"):
        other.corpus()


def test_who_needs_no_corpus_does_not_wait_for_lightning() -> None:
    script = "import sys, evaluate, maps.__main__; sys.exit('lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0


class Payload:
    """Runs a command where a pickle that holds it is read."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch payload-was-run",)


def poison(checkpoint: dict[str, Any]) -> None:
    checkpoint["state_dict"]["model.decoder.1.feed_forward.expand.weight"][3, 5] = math.nan


def add_a_piece(checkpoint: dict[str, Any]) -> None:
    embedding = checkpoint["state_dict"]["model.embedding.weight"]
    checkpoint["state_dict"]["model.embedding.weight"] = torch.cat((embedding, embedding[:1]))
    checkpoint["hyper_parameters"]["vocab_size"] += 1


def add_code(checkpoint: dict[str, Any]) -> None:
    checkpoint["state_dict"]["model.embedding.weight"] = Payload()


def widen(checkpoint: dict[str, Any]) -> None:
    checkpoint["hyper_parameters"]["d_model"] = 64


def have_no_heads(checkpoint: dict[str, Any]) -> None:
    checkpoint["hyper_parameters"]["n_heads"] = 0


def forget_the_language(checkpoint: dict[str, Any]) -> None:
    del checkpoint["datamodule_hyper_parameters"]["source_lang"]


def make_the_language_a_number(checkpoint: dict[str, Any]) -> None:
    checkpoint["datamodule_hyper_parameters"]["target_lang"] = 7


def tear_the_pieces(checkpoint: dict[str, Any]) -> None:
    checkpoint["sentencepiece"] = checkpoint["sentencepiece"][:1000].clone()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (poison, "not finite"),
        (add_a_piece, "its vocabulary has 400 pieces, the model 401"),
        (add_code, "no checkpoint"),
        (widen, "no checkpoint"),
        (have_no_heads, "another kind"),
        (forget_the_language, "source_lang"),
        (make_the_language_a_number, "another kind"),
        (tear_the_pieces, "SentencePiece"),
    ],
)
def test_a_spoilt_checkpoint_is_refused_and_none_of_it_is_run(
    trained: Path,
    spoil: Callable[[dict[str, Any]], None],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    checkpoint = torch.load(trained / "runs" / "tiny" / "best.ckpt", weights_only=True)
    spoil(checkpoint)
    monkeypatch.chdir(tmp_path)
    torch.save(checkpoint, "spoilt.ckpt")
    with pytest.raises(SystemExit) as stopped, one_sentence():
        translate.main(["x", "--checkpoint=spoilt.ckpt"])
    out, err = capsys.readouterr()
    assert stopped.value.code == 2
    assert words in err and err.count("\n") == 1 and out == ""
    if spoil is add_code:  # neither where training goes on from it
        with pytest.raises(UserError, match="no checkpoint"):
            saved_step(Path("spoilt.ckpt"))
    assert not Path("payload-was-run").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model.d_model=64"], "model.d_model 32, not 64"),
        (["--model.optimizer=adam"], "model.optimizer muon, not adam"),
        (["--data.path=changed"], "other pieces"),
        (["--data.batch_tokens=512"], "data.batch_tokens 256, not 512"),
        (["--data.max_ratio=4"], "data.max_ratio 3.0, not 4.0"),
    ],
)
def test_a_run_goes_on_with_its_own_network_and_pieces_only(
    trained: Path, corpus: Path, flags: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    shutil.copytree(corpus, "changed", dirs_exist_ok=True)
    for lang in ("fr", "en"):
        lines = (corpus / f"train.{lang}").read_text(encoding="utf-8").splitlines(keepends=True)
        Path(f"changed/train.{lang}").write_text("".join(lines[:250]), encoding="utf-8")
    with pytest.raises(UserError, match=words):
        train.main(["--name=tiny", "--ckpt_path=last", "--trainer.max_steps=40", *flags])


# --- evaluate.py


def test_a_corpus_described_by_another_version_is_refused_in_a_sentence(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    checkpoint = torch.load(trained / "runs" / "tiny" / "best.ckpt", weights_only=True)
    checkpoint["datamodule_hyper_parameters"]["forgotten_setting"] = 1
    torch.save(checkpoint, tmp_path / "older.ckpt")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped, one_sentence():
        evaluate.main(["--checkpoint=older.ckpt"])
    assert stopped.value.code == 2
    assert "forgotten_setting" in capsys.readouterr().err


def test_scores_of_the_own_test_split_and_of_files_are_equal(trained: Path, corpus: Path, tmp_path: Path) -> None:
    shutil.copy(corpus / "test.en", tmp_path / "right.en")
    files = ["--source", corpus / "test.fr", "--reference", corpus / "test.en", "--output", tmp_path / "out.en"]
    for flags, name in ((files, "files"), ([], "own")):
        done = run("evaluate.py", *flags, "--json", tmp_path / name, "--beam_size=2", cwd=trained)
        assert done.returncode == 0, done.stderr
    found, own = (json.loads((tmp_path / name).read_text()) for name in ("files", "own"))
    assert found == own and found["sentences"] == 20 and set(found) == {"bleu", "chrf", "ter", "sentences"}
    flags = [
        "--hypotheses",
        tmp_path / "right.en",
        "--reference",
        corpus / "test.en",
        "--baseline",
        tmp_path / "out.en",
    ]
    done = run("evaluate.py", *flags, "--json", tmp_path / "perfect", cwd=tmp_path)
    assert done.returncode == 0 and "baseline" in done.stdout, done.stderr
    assert json.loads((tmp_path / "perfect").read_text())["bleu"]["score"] == 100.0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--output=absent/out"], "--output absent/out"),
        (["--json=absent/scores"], "--json absent/scores"),
        (["--json=."], "is a folder"),
        (["--baseline=absent"], "--baseline absent is missing"),
        (["--source=absent", "--reference=absent"], "--reference absent is missing"),
        (["--hypotheses=x", "--reference=x", "--source=x"], "leave out --source"),
    ],
)
def test_a_wrong_evaluation_is_refused_before_the_work(
    flags: list[str], words: str, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    monkeypatch.setattr(Translator, "translate", lambda *_: pytest.fail("the work has begun"))
    with pytest.raises(UserError, match=words):
        evaluate.main(flags)


def test_a_corpus_that_was_prepared_leaves_no_thread_beside_which_nothing_is_copied(corpus: Path) -> None:
    prepare = f"TranslationData(path={str(corpus)!r}, vocab_size=400).load()"
    script = f"import threading; from data.module import TranslationData; {prepare}; print(threading.active_count())"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["1"], done.stderr


def test_texts_of_different_length_are_refused(trained: Path, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("one\n")
    done = run("evaluate.py", "--hypotheses", tmp_path / "short", "--reference", corpus / "test.en", cwd=trained)
    assert done.returncode == 2 and "1 lines" in done.stderr and "20" in done.stderr


# --- configs


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_builds_and_steps(config: Path, corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "stand-in"
    if config.stem in ("opus_books", "wmt14_base", "wmt14_big"):  # the form that these data sets have on the Hub
        import pyarrow as pa
        import pyarrow.parquet

        (path / ("en-fr" if config.stem == "opus_books" else "fr-en")).mkdir(parents=True)
        for split, name in (("train", "train"), ("val", "validation"), ("test", "test")):
            sides = [(corpus / f"{split}.{lang}").read_text(encoding="utf-8").splitlines() for lang in ("fr", "en")]
            table = pa.table({"translation": [{"fr": a, "en": b} for a, b in zip(*sides, strict=True)]})
            if config.stem != "opus_books" or split == "train":
                pa.parquet.write_table(table, next(path.iterdir()) / f"{name}-00000-of-00001.parquet")
    else:
        path = corpus
    small = [flag for flag in TINY if "d_model" not in flag and "n_heads" not in flag and "dropout" not in flag]
    shape = ["--model.d_model=64", "--trainer.devices=1", "--trainer.max_steps=1", "--trainer.val_check_interval=1"]
    done = run(
        "train.py",
        "--config",
        config,
        f"--data.path={path}",
        *small,
        *shape,
        "--trainer.limit_val_batches=1",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / config.stem / "last.ckpt").exists()


@pytest.mark.parametrize("optimizer", ["muon", "adam"])
def test_a_run_learns_in_bfloat16(
    optimizer: str, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rate = {"muon": 0.02, "adam": 0.005}[optimizer]
    flags = [f"--model.optimizer={optimizer}", f"--model.learning_rate={rate}", "--model.warmup_steps=1"]
    length = ["--trainer.max_steps=30", "--trainer.limit_val_batches=0", "--trainer.log_every_n_steps=1"]
    settings = [*TINY, *flags, *length, "--trainer.precision=bf16-mixed"]
    train.main([f"--config={CONFIG}", "--name=half", f"--data.path={corpus}", *settings])
    with Path("runs/half/metrics.csv").open() as rows:
        losses = [float(row["loss"]) for row in csv.DictReader(rows) if row["loss"]]
    assert len(losses) == 30 and losses[-1] < losses[0] - 1


@pytest.mark.parametrize("config", ["multi30k", "tatoeba"])
def test_a_local_corpus_must_be_named(config: str, tmp_path: Path) -> None:
    done = run("train.py", "--config", ROOT / "configs" / f"{config}.yaml", cwd=tmp_path)
    assert done.returncode == 2 and "data.path" in done.stderr, done.stderr


# --- README


def readme_blocks(language: str) -> list[str]:
    """The code blocks of the README, without Quick start's."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text[text.index("Then ask it something") :], flags=re.DOTALL)


COMMANDS = [line for block in readme_blocks("bash") for line in block.splitlines()]


ELSEWHERE = ("train.py", "srun", "maps report", "benchmarks.", "convert")  # tested by their rooms' own tests


@pytest.mark.parametrize("command", [c for c in COMMANDS if not any(word in c for word in ELSEWHERE)])
def test_the_commands_of_the_readme_work(command: str, trained: Path, corpus: Path, tmp_path: Path) -> None:
    files = {"input": corpus / "test.fr", "source": corpus / "test.fr", "reference": corpus / "test.en"}
    files |= {"hypotheses": corpus / "test.en", "baseline": corpus / "test.en", "checkpoint": "runs/tiny/best.ckpt"}
    program = shlex.split(command)[2:]
    for i, word in enumerate(program):
        if word == "FILE":
            flag = program[i - 1].removeprefix("--")
            program[i] = str(files.get(flag, tmp_path / flag))
        elif word in ("DIR", "lesson.html"):
            program[i] = str(tmp_path / "output")
    if program[0] == "python":
        del program[0]
    done = start(*program, cwd=trained)
    assert done.returncode == 0, done.stderr
    assert done.stdout or (tmp_path / "output").exists()


def test_the_python_of_the_readme_works(trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2", reason="the groups `dev` and `bench` are not installed")
    checkpoint = trained / "runs" / "tiny" / "best.ckpt"
    convert.main(["--checkpoint", str(checkpoint), "--output", str(tmp_path / "DIR")])
    code = "\n".join(readme_blocks("python")).replace("runs/phrasebook", str(checkpoint.parent))
    code = code.replace('"DIR', f'"{tmp_path}/DIR')
    scope: dict[str, Any] = {}
    exec(code, scope)
    expected = (1, 2, len(scope["target"]), len(scope["source"]))
    assert scope["maps"]["decoder.1.cross_attention"].shape == expected
