"""Claims about the search, its two engines and the translator."""

import argparse
import json
import math
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import ctranslate2
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import ROOT
from torch import Tensor

import translate
from constants import BOS, EOS, MAX_TOKENS, PAD, UNK
from data.phrasebook import Grammar
from data.tokenizer import Tokenizer
from errors import UserError, one_sentence
from model import Transformer, TransformerConfig
from translation import pytorch_engine, translator
from translation.checkpoint import read_checkpoint
from translation.converted import open_converted
from translation.files import read_lines
from translation.hypothesis import Hypothesis, SearchOptions, max_length
from translation.release import write_release
from translation.search import search, search_translations, translation_step
from translation.translator import Translator

Captured = pytest.CaptureFixture[str]
V = 50


def small(seed: int = 4) -> Transformer:
    """A random model that ends its sentences now and then."""
    torch.manual_seed(seed)
    model = Transformer(TransformerConfig(V, 32, 4, 2, 3, 64, dropout=0.0)).eval()
    with torch.no_grad():
        model.decoder_norm.bias += 0.3  # type: ignore[operator]
        model.embedding.weight[EOS] += 0.1
    return model


def sentences(rows: int, length: int, seed: int = 1) -> Tensor:
    return torch.randint(4, V, (rows, length), generator=torch.Generator().manual_seed(seed))


def best_of(n: int, **options: Any) -> SearchOptions:
    """Options that return all hypotheses of a beam of n."""
    return SearchOptions(beam_size=n, n_best=n, **options)


def constant_step(logits: dict[int, float], fill: float = -100.0) -> Callable[[Tensor, Tensor], Tensor]:
    """A model that gives the same logits after any tokens."""

    def step(tokens: Tensor, parents: Tensor) -> Tensor:
        row = torch.full((V,), fill)
        for token, value in logits.items():
            row[token] = value
        return row.expand(*tokens.shape, V).clone()

    return step


# --- search


def forced_log_prob(model: Transformer, src: Tensor, tokens: list[int]) -> float:
    """Log-probability of a translation by one pass without cache."""
    log_probs = model(src[None], torch.tensor([[BOS, *tokens[:-1]]])).log_softmax(-1)[0]
    return sum(log_probs[i, token].item() for i, token in enumerate(tokens))


@pytest.mark.parametrize("beam_size", [1, 4])
def test_log_probabilities_equal_those_of_one_forced_pass(beam_size: int) -> None:
    model, src = small(), sentences(5, 6)
    src[2, 4:] = PAD
    options = best_of(beam_size, min_length=0, no_repeat_ngram_size=0)
    found = search(translation_step(model, src), torch.full((5,), 15), options)
    assert any(not h.cut for hypotheses in found for h in hypotheses)
    for row, hypotheses in zip(src, found, strict=True):
        assert 1 <= len(hypotheses) <= beam_size
        assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)
        assert len({tuple(h.tokens) for h in hypotheses}) == len(hypotheses)
        for h in hypotheses:
            assert h.log_prob == pytest.approx(forced_log_prob(model, row[row != PAD], h.tokens), abs=1e-4)
            assert h.score == pytest.approx(h.log_prob / len(h.tokens) ** options.length_penalty)
            assert EOS not in h.tokens[:-1] and (h.tokens[-1] == EOS) != h.cut and len(h.tokens) <= 15


def test_a_beam_of_one_is_greedy_search_and_the_cache_changes_nothing() -> None:
    model, src = small(), sentences(6, 6)
    found = search(
        translation_step(model, src), torch.full((6,), 12), SearchOptions(beam_size=1, no_repeat_ngram_size=0)
    )
    for row, (hypothesis,) in zip(src, found, strict=True):
        tokens: list[int] = []
        while len(tokens) < 12 and (not tokens or tokens[-1] != EOS):
            logits = model(row[None], torch.tensor([[BOS, *tokens]]))[0, -1]
            logits[[PAD, BOS, UNK]] = -math.inf
            if not tokens:
                logits[EOS] = -math.inf
            tokens.append(int(logits.argmax()))
        assert hypothesis.tokens == tokens and hypothesis.cut == (tokens[-1] != EOS)


def test_a_wide_beam_finds_the_most_probable_sequence() -> None:
    # A model of three words whose greedy path is a trap: all continuations of the best first word are improbable.
    first = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.5, 0.4, 0.1]).log()
    after = {
        4: torch.tensor([0.0, 0.0, 0.3, 0.0, 0.3, 0.2, 0.2]).log(),
        5: torch.tensor([0.0, 0.0, 0.9, 0.0, 0.05, 0.025, 0.025]).log(),
        6: torch.tensor([0.0, 0.0, 0.5, 0.0, 0.2, 0.2, 0.1]).log(),
    }

    def step(tokens: Tensor, parents: Tensor) -> Tensor:
        return torch.stack([torch.stack([first if t == BOS else after[t] for t in row]) for row in tokens.tolist()])

    (greedy,) = search(step, torch.tensor([4]), SearchOptions(beam_size=1, length_penalty=0.0))[0]
    (beam,) = search(step, torch.tensor([4]), SearchOptions(beam_size=3, length_penalty=0.0))[0]
    assert greedy.tokens[0] == 4 and beam.tokens == [5, EOS]
    assert beam.log_prob == pytest.approx(math.log(0.36))


@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_batch_of_sentences_is_searched_like_each_alone(beam_size: int) -> None:
    model, src = small(), sentences(17, 6)  # sentences that finish at different steps
    limits = torch.arange(1, 18) % 14 + 2
    together = search(translation_step(model, src), limits, best_of(beam_size))
    for row, limit, found in zip(src, limits, together, strict=True):
        alone = search(translation_step(model, row[None]), limit[None], best_of(beam_size))[0]
        assert [h.tokens for h in found] == [h.tokens for h in alone]
        assert [h.log_prob for h in found] == pytest.approx([h.log_prob for h in alone], abs=1e-4)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_the_length_limit_ends_a_search_that_the_model_would_not(beam_size: int) -> None:
    step = constant_step({7: 50.0, EOS: -50.0}, fill=0.0)
    found = search(step, torch.tensor([5, 9]), SearchOptions(beam_size))
    assert [len(h.tokens) for (h,) in found] == [5, 9] and all(h.cut and h.tokens[-1] != EOS for (h,) in found)


def test_the_length_limit_never_exceeds_the_positions_of_the_network() -> None:
    assert max_length(10) == 30 and max_length(10, prefix_length=5) == 35
    assert max_length(600) == max_length(MAX_TOKENS) == MAX_TOKENS


def test_a_larger_length_penalty_favours_longer_translations() -> None:
    step = constant_step({EOS: math.log(0.3), 7: math.log(0.7)})
    lengths = [len(search(step, torch.tensor([20]), SearchOptions(4, 1, alpha))[0][0].tokens) for alpha in (0.0, 3.0)]
    assert lengths[0] == 2 < lengths[1]


def test_min_length_forbids_an_earlier_end() -> None:
    step = constant_step({EOS: 5.0, 7: 0.0})
    for least in (0, 1, 4):
        (found,) = search(step, torch.tensor([20]), SearchOptions(beam_size=2, min_length=least))[0]
        assert found.tokens == [7] * least + [EOS]
    assert search(step, torch.tensor([20]), SearchOptions())[0][0].tokens == [7, EOS]  # 1 is the default


@pytest.mark.parametrize("n", [1, 2, 3])
def test_no_ngram_of_the_given_size_occurs_twice(n: int) -> None:
    step = constant_step({7: 3.0, 8: 2.0, 9: 1.0}, fill=0.0)
    (free,) = search(step, torch.tensor([12]), SearchOptions(beam_size=3, no_repeat_ngram_size=0))[0]
    assert free.tokens == [7] * 12
    assert search(step, torch.tensor([12]), SearchOptions(beam_size=3))[0] == [free]  # the search has no such default
    for hypothesis in search(step, torch.tensor([12]), best_of(3, no_repeat_ngram_size=n))[0]:
        ngrams = [tuple(hypothesis.tokens[i : i + n]) for i in range(len(hypothesis.tokens) - n + 1)]
        assert len(set(ngrams)) == len(ngrams)


def test_a_translation_begins_with_the_given_prefix() -> None:
    model, src = small(), sentences(3, 6)
    prefix = [[9, 8], [], [7]]
    options = SearchOptions(no_repeat_ngram_size=0)
    free = search_translations(model, src, options)
    found = search_translations(model, src, options, prefix)
    for ids, row, (hypothesis,) in zip(prefix, src, found, strict=True):
        assert hypothesis.tokens[: len(ids)] == ids
        given = forced_log_prob(model, row, ids) if ids else 0.0  # certain, so not a part of the log-probability
        assert hypothesis.log_prob == pytest.approx(forced_log_prob(model, row, hypothesis.tokens) - given, abs=1e-4)
    assert found[1] == free[1]


def test_a_beam_as_large_as_the_vocabulary_is_refused() -> None:
    limits = torch.tensor([3, 3])
    assert len(search(translation_step(small(), sentences(2, 4)), limits, SearchOptions(V - 1))) == 2
    with pytest.raises(UserError, match=f"--beam_size {V} must be smaller"):
        search(translation_step(small(), sentences(2, 4)), limits, SearchOptions(V))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"beam_size": 0}, "--beam_size must be at least 1"),
        ({"n_best": 5}, "--n_best 5 must not be larger than --beam_size 4"),
        ({"n_best": 0}, "--n_best must be at least 1"),
        ({"no_repeat_ngram_size": -1}, "--no_repeat_ngram_size must be at least 0"),
        ({"min_length": -1}, "--min_length must be at least 0"),
        ({"length_penalty": -0.1}, "--length_penalty must be from 0 to 10"),
        ({"length_penalty": 1000}, "--length_penalty must be from 0 to 10"),
        ({"length_penalty": math.nan}, "--length_penalty must be from 0 to 10"),
    ],
)
def test_impossible_search_options_are_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(UserError, match=words):
        SearchOptions(**options)  # type: ignore[arg-type]


# --- checkpoints of random models


@pytest.fixture(scope="module")
def pairs() -> list[dict[str, Any]]:
    grammar = Grammar(seed=9)
    return [grammar.sentence() for _ in range(500)]


@pytest.fixture(scope="module")
def tokenizer(pairs: list[dict[str, Any]]) -> Tokenizer:
    return Tokenizer.train([pair[lang] for pair in pairs for lang in ("fr", "en")], 600)


def eager(vocab_size: int, norm: Any) -> Transformer:
    """A random model that ends its sentences now and then, and gives special tokens no probability."""
    torch.manual_seed(3)
    model = Transformer(TransformerConfig(vocab_size, 32, 2, 1, 2, 64, norm=norm))
    last_norm: Any = model.decoder_norm if norm == "pre" else model.decoder[-1].residuals[2].norm  # type: ignore[union-attr,index]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.2)
        direction = F.normalize(torch.randn(32), dim=0)
        last_norm.weight *= 0.5
        last_norm.bias += 6 * direction  # every hidden state has this component
        model.embedding.weight[[PAD, BOS, UNK]] = -10 * direction
        model.embedding.weight[EOS] += 0.5 * direction
    return model


def content_of(model: Transformer, tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of a checkpoint as train.py writes it."""
    names = ("vocab_size", "d_model", "n_heads", "n_encoder_layers", "n_decoder_layers", "d_ff", "dropout", "norm")
    return {
        "hyper_parameters": {"model": {name: getattr(model.config, name) for name in names}, "training": {}},
        "state_dict": {f"model.{name}": weight for name, weight in model.state_dict().items()},
        "datamodule_hyper_parameters": {"path": "corpus", "source_lang": "fr", "target_lang": "en"},
        "sentencepiece": torch.frombuffer(bytearray(tokenizer.model), dtype=torch.uint8),
        "global_step": 200,
    }


@pytest.fixture(scope="module", params=["pre", "post"])
def checkpoint(request: pytest.FixtureRequest, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "best.ckpt"
    torch.save(content_of(eager(len(tokenizer), request.param), tokenizer), path)
    return path


@pytest.fixture(scope="module")
def untrained(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("untrained") / "best.ckpt"
    model = Transformer(TransformerConfig(len(tokenizer), 16, 2, 1, 1, 32))
    torch.save(content_of(model, tokenizer), path)
    return path


@pytest.fixture(scope="module")
def quick(untrained: Path) -> Translator:
    """A translator whose translations do not matter."""
    return Translator.load(untrained, device="cpu")


# --- two engines


@pytest.mark.parametrize(
    "options",
    [
        SearchOptions(beam_size=1, min_length=0),
        best_of(4, min_length=0),
        best_of(4, length_penalty=0.0, min_length=0),
        best_of(3, length_penalty=2.0, min_length=0, no_repeat_ngram_size=2),
        SearchOptions(min_length=2),
        SearchOptions(),
    ],
    ids=["greedy", "beam", "no_penalty", "no_repeat", "min_length", "default"],
)
def test_both_engines_find_the_same_translations(
    checkpoint: Path, pairs: list[dict[str, Any]], options: SearchOptions
) -> None:
    texts = [pair["fr"] for pair in pairs[:30]] + ["", "xyz " * 30, "Il dort. Elle mange !"]
    pytorch, ctranslate2 = (Translator.load(checkpoint, engine, device="cpu") for engine in ("pytorch", "ctranslate2"))
    found, expected = ctranslate2.search(texts, options), pytorch.search(texts, options)
    n_equal = 0
    for a, b in zip(found, expected, strict=True):
        assert (a.line, a.ids, len(a.hypotheses)) == (b.line, b.ids, len(b.hypotheses))
        if [h.tokens for h in a.hypotheses] == [h.tokens for h in b.hypotheses]:
            n_equal += 1
            # CTranslate2 gives the probability of an EOS that comes too early to the other tokens.
            tolerance = 0.1 if options.min_length else 1e-3
            assert [h.score for h in a.hypotheses] == pytest.approx([h.score for h in b.hypotheses], abs=tolerance)
            assert [h.cut for h in a.hypotheses] == [h.cut for h in b.hypotheses]
    assert n_equal >= len(found) - 2
    assert options.beam_size == 1 or any(not h.cut for sentence in found for h in sentence.hypotheses)


@pytest.mark.parametrize("engine", ["pytorch", "ctranslate2"])
def test_every_translation_begins_with_the_target_prefix(untrained: Path, engine: Any) -> None:
    loaded = Translator.load(untrained, engine, device="cpu")
    found = loaded.search(["Il dort.", "", "Il mange. Il dort."], target_prefix="He is")
    texts = loaded.tokenizer.decode([sentence.hypotheses[0].tokens for sentence in found])
    assert [text.startswith("He is") for text in texts] == [True, True, False]  # the first sentence of each line


@pytest.mark.parametrize(
    ("source", "translation", "expected"),
    [
        ("Un chat dort.", "A cat is looooooooo", True),
        ("Un chat dort.", "in the red, in the red, in the red, in the red, in", True),
        ("Un chat dort.", "in the red, in the red, in the red", False),
        ("Non, non, non, non !", "No, no, no, no!", False),
        ("non, non, non, non, non", "no, no, no, no, no", False),
        ("Il a 10000 euros.", "He has 10000 euros.", False),
        ("", "", False),
    ],
)
def test_a_loop_is_told_from_what_the_source_repeats(source: str, translation: str, expected: bool) -> None:
    assert translator.runs_in_loop(source, translation) is expected


@pytest.mark.parametrize("engine", ["pytorch", "ctranslate2"])
def test_only_translations_that_run_in_a_loop_are_searched_again(
    untrained: Path, pairs: list[dict[str, Any]], engine: Any
) -> None:
    loaded = Translator.load(untrained, engine, device="cpu")
    texts = [pair["fr"] for pair in pairs[:60]]
    free, strict, default = (
        loaded.translate(texts, SearchOptions(beam_size=1, no_repeat_ngram_size=n)) for n in (0, 3, None)
    )
    loops = [translator.runs_in_loop(*texts) for texts in zip(texts, free, strict=True)]
    assert any(loops)
    assert default == [again if loop else first for first, again, loop in zip(free, strict, loops, strict=True)]


def test_the_converted_model_is_kept_until_the_checkpoint_changes(untrained: Path, tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    path.write_bytes(untrained.read_bytes())
    first = open_converted(path)
    assert first.folder == tmp_path / "best.ctranslate2"
    made = (first.folder / "model.bin").stat().st_mtime_ns
    assert open_converted(path).folder == first.folder
    assert (first.folder / "model.bin").stat().st_mtime_ns == made
    os.utime(path, ns=(made + 1, made + 1))
    open_converted(path)
    assert (first.folder / "model.bin").stat().st_mtime_ns != made
    (first.folder / "model.bin").unlink()  # no longer complete, and no CTranslate2 model: it is not replaced
    assert open_converted(path).folder.parent != tmp_path


def test_a_release_that_cannot_be_written_is_reported_in_one_sentence(
    untrained: Path, tmp_path: Path, capsys: Captured
) -> None:
    output = tmp_path / "absent" / "small.ckpt"
    with pytest.raises(SystemExit) as stopped, one_sentence():
        write_release(read_checkpoint(untrained), output)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"error: {output}: No such file or directory\n"


def test_a_model_that_cannot_be_kept_is_converted_into_a_temporary_folder(
    untrained: Path, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "best.ckpt"
    path.write_bytes(untrained.read_bytes())
    (tmp_path / "best.ctranslate2").mkdir()
    (tmp_path / "best.ctranslate2" / "notes.txt").write_text("not a model")
    folder = open_converted(path).folder
    assert (folder / "model.bin").is_file() and folder.parent != tmp_path
    assert (tmp_path / "best.ctranslate2" / "notes.txt").read_text() == "not a model"
    assert "is not kept" in capsys.readouterr().err


def test_translating_by_a_kept_conversion_imports_no_pytorch(untrained: Path, tmp_path: Path) -> None:
    open_converted(untrained)
    script = (
        "import sys, translate; "
        f"translate.main(['Il dort.', '--engine=ctranslate2', '--checkpoint={untrained}']); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'lightning', 'datasets', 'pandas', 'matplotlib')))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("engine", "precision", "device", "words"),
    [
        ("pytorch", "int8", "cpu", "--precision int8 is not one of 32, bf16"),
        ("pytorch", "32", "cuda:99", "--device cuda:99"),
        ("pytorch", "32", "abacus", "--device abacus"),
        ("ctranslate2", "64", "cpu", "--precision 64 is not one of 32, int8"),
        ("ctranslate2", "fp16", "cpu", "--precision fp16: this cpu device supports 32"),
        ("ctranslate2", "32", "cuda:99", "--device cuda:99: CTranslate2 finds"),
        ("ctranslate2", "32", "abacus", "--device abacus"),
        ("abacus", "32", "cpu", "--engine must be pytorch or ctranslate2"),
    ],
)
def test_an_engine_without_such_a_device_or_precision_is_refused(
    untrained: Path, engine: Any, precision: str, device: str, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        Translator.load(untrained, engine, precision, device)


def test_bfloat16_weights_leave_the_inspected_model_in_float32(untrained: Path) -> None:
    loaded = Translator.load(untrained, precision="bf16", device="cpu")
    assert loaded.translate(["Il dort."])
    assert loaded.model.embedding.weight.dtype == torch.float32
    assert isinstance(loaded.engine, pytorch_engine.PyTorchEngine)
    assert loaded.engine.models[0].embedding.weight.dtype == torch.bfloat16


def test_several_models_divide_the_batches_and_keep_the_order(quick: Translator, pairs: list[dict[str, Any]]) -> None:
    sources = quick.tokenizer.encode([pair["fr"] for pair in pairs[:60]])
    one = pytorch_engine.PyTorchEngine(quick.model, "32", ["cpu"])
    three = pytorch_engine.PyTorchEngine(quick.model, "32", ["cpu"] * 3)
    assert len({id(model) for model in three.models}) == 3
    found = [[h.tokens for (h,) in engine.translate(sources, SearchOptions(), 7)] for engine in (one, three)]
    assert found[0] == found[1]


@pytest.mark.parametrize("n", [1, 9, 100, 1000])
def test_batches_contain_every_sentence_once(quick: Translator, n: int) -> None:
    engine = pytorch_engine.PyTorchEngine(quick.model, "32", ["cpu"])
    lengths = [i * 7 % 200 + 1 for i in range(n)]
    batches = engine.batches(lengths, 64)
    assert sorted(row for batch in batches for row in batch) == list(range(n))
    assert all(max(map(len, batches)) <= 64 for _ in batches)
    assert all(len(batch) * lengths[batch[0]] <= pytorch_engine.CPU_BATCH_TOKENS for batch in batches)


def test_too_little_gpu_memory_is_reported_with_the_batch_size(
    quick: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(pytorch_engine, "search_translations", full)
    with pytest.raises(UserError, match="lower --batch_size 32"):
        quick.translate(["Il dort."], batch_size=32)


def test_too_little_gpu_memory_for_the_model_is_reported_by_the_other_engine_too(
    untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA failed with error out of memory")

    open_converted(untrained)
    monkeypatch.setattr(ctranslate2, "Translator", full)
    with pytest.raises(UserError, match=r"too little memory for the model: .*--precision int8"):
        Translator.load(untrained, "ctranslate2", device="cpu")


# --- translator


def test_neighbours_and_batches_do_not_change_a_translation(checkpoint: Path, pairs: list[dict[str, Any]]) -> None:
    loaded = Translator.load(checkpoint, device="cpu")
    lines = [pair["fr"] for pair in pairs[:40]]
    expected = loaded.translate(lines)
    assert expected == loaded.translate(lines, batch_size=3)
    assert expected[::-1] == loaded.translate(lines[::-1])


@pytest.mark.parametrize("long", ["x" * 300, "chat et chien " * 20], ids=["without_a_space", "between_words"])
def test_an_over_long_sentence_is_translated_in_parts_with_a_warning(
    quick: Translator, long: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(translator, "MAX_SOURCE_TOKENS", 20)
    greedy = SearchOptions(beam_size=1)
    found = quick.search(["court", long], greedy)
    assert all(len(sentence.ids) <= 20 and sentence.ids[-1] == EOS for sentence in found)
    parts = [token for sentence in found[1:] for token in sentence.ids[:-1]]
    assert parts == quick.tokenizer.encode([long])[0][:-1]
    assert "line 2: a sentence of over 20 tokens is translated in parts" in capsys.readouterr().err
    fits = "x" * 300
    while len(quick.tokenizer.encode([fits])[0]) > 20:
        fits = fits[:-1]
    quick.search([fits], greedy)
    assert "translated in parts" not in capsys.readouterr().err


def test_a_translation_that_the_length_limit_ended_is_reported(quick: Translator, capsys: Captured) -> None:
    (sentence,) = quick.search(["Il dort."], SearchOptions(beam_size=1, min_length=100), first_line=7)
    assert sentence.hypotheses[0].cut
    limit = max_length(len(sentence.ids))
    assert f"line 7: the translation was ended at {limit} tokens" in capsys.readouterr().err


def test_a_text_is_split_as_the_splitter_would_though_it_is_not_always_called(quick: Translator) -> None:
    assert quick.splitter is not None
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
    texts = ["".join(draw.choices(parts, k=draw.randint(1, 12))) for _ in range(3000)]
    assert len([text for text in texts if len(quick.split_sentences(text)) > 1]) > 50
    for text in texts:
        assert quick.split_sentences(text) == quick.splitter.split(" ".join(text.split())), text


@pytest.mark.parametrize("pickler", [pickle, ForkingPickler], ids=["pickle", "multiprocessing"])
@pytest.mark.parametrize("engine", ["pytorch", "ctranslate2"])
def test_a_translator_can_be_sent_to_another_process(untrained: Path, engine: Any, pickler: Any) -> None:
    loaded = Translator.load(untrained, engine, device="cpu")
    lines = ["Il dort.", "Ça va ?"]
    sent = pickler.loads(bytes(pickler.dumps(loaded)))
    assert sent.translate(lines) == loaded.translate(lines)


def test_the_ctranslate2_engine_reads_the_network_when_it_is_inspected(untrained: Path) -> None:
    loaded = Translator.load(untrained, "ctranslate2", device="cpu")
    expected = read_checkpoint(untrained).model.state_dict()
    assert all(torch.equal(weight, expected[name]) for name, weight in loaded.model.state_dict().items())
    assert loaded.device.type == "cpu" and not loaded.model.training


# --- hostile checkpoints


class Payload:
    """Runs a command where a pickle that contains it is loaded."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch payload-was-run",)


def spoil_a_weight(content: dict[str, Any]) -> None:
    content["state_dict"]["model.decoder.0.feed_forward.expand.weight"][3, 5] = math.nan


def add_a_token(content: dict[str, Any]) -> None:
    embedding = content["state_dict"]["model.embedding.weight"]
    content["state_dict"]["model.embedding.weight"] = torch.cat((embedding, embedding[:1]))
    content["hyper_parameters"]["model"]["vocab_size"] += 1


def add_code(content: dict[str, Any]) -> None:
    content["state_dict"]["model.embedding.weight"] = Payload()


def widen(content: dict[str, Any]) -> None:
    content["hyper_parameters"]["model"]["d_model"] = 64


def remove_the_heads(content: dict[str, Any]) -> None:
    content["hyper_parameters"]["model"]["n_heads"] = 0


def add_an_unknown_size(content: dict[str, Any]) -> None:
    content["hyper_parameters"]["model"]["n_wings"] = 2


def remove_the_language(content: dict[str, Any]) -> None:
    del content["datamodule_hyper_parameters"]["source_lang"]


def make_the_language_a_number(content: dict[str, Any]) -> None:
    content["datamodule_hyper_parameters"]["target_lang"] = 7


def truncate_the_tokenizer(content: dict[str, Any]) -> None:
    content["sentencepiece"] = content["sentencepiece"][:1000].clone()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_a_weight, "not finite"),
        (add_a_token, "its tokenizer has 600 tokens, its network 601"),
        (add_code, "not a checkpoint"),
        (widen, "not a checkpoint"),
        (remove_the_heads, "n_heads must be at least 1"),
        (add_an_unknown_size, "n_wings"),
        (remove_the_language, "source_lang"),
        (make_the_language_a_number, "a language code must be a string"),
        (truncate_the_tokenizer, "SentencePiece"),
    ],
)
@pytest.mark.parametrize("engine", ["pytorch", "ctranslate2"])
def test_a_hostile_checkpoint_is_refused_and_none_of_it_is_run(
    untrained: Path,
    engine: Any,
    spoil: Callable[[dict[str, Any]], None],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = torch.load(untrained, weights_only=True)
    spoil(content)
    monkeypatch.chdir(tmp_path)
    torch.save(content, "spoilt.ckpt")
    with pytest.raises(UserError, match=words) as refused:
        Translator.load("spoilt.ckpt", engine, device="cpu")
    assert "\n" not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["spoilt.ckpt"]


@pytest.mark.parametrize("engine", ["pytorch", "ctranslate2"])
def test_a_missing_or_truncated_checkpoint_is_refused(untrained: Path, engine: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.ckpt (is missing|cannot be read)"):
        Translator.load(tmp_path / "absent.ckpt", engine, device="cpu")
    (tmp_path / "half.ckpt").write_bytes(untrained.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"half\.ckpt is corrupt"):
        Translator.load(tmp_path / "half.ckpt", engine, device="cpu")


# --- any text

CHARACTERS = st.characters(exclude_categories=())
SNIPPETS = st.sampled_from(
    [
        "Je suis heureux.",
        "M. Dupont mange. Il dort !",
        "\ud800",
        "\x00",
        "\u2028",
        "\ufeff",
        "\r",
        "\x0b",
        "e" + "\u0301" * 2000,
        "שלום",
        "🙂👩‍👩‍👧",
        "x" * 500,
        " \t\u00a0",
        "</s>",
        "<0x0A>",
        "▁",
        "a.b?c! " * 20,
    ]
)
TEXTS = st.one_of(
    st.text(CHARACTERS, max_size=30), st.lists(st.one_of(SNIPPETS, st.text(CHARACTERS)), max_size=4).map("".join)
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
@pytest.mark.parametrize("engine", ["pytorch", "ctranslate2"])
def test_any_text_has_one_line_of_translation(untrained: Path, engine: Any, texts: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(translator, "MAX_SOURCE_TOKENS", 20)  # many texts are over-long then, and their parts are short
        found = loaded(untrained, engine).translate(texts, SearchOptions(beam_size=1))
    assert len(found) == len(texts)
    for text, translation in zip(texts, found, strict=True):
        assert translation.splitlines() in ([], [translation])  # no line break of any kind
        translation.encode()  # valid Unicode
        if not text.strip():
            assert translation == ""


LOADED: dict[str, Translator] = {}


def loaded(path: Path, engine: Any) -> Translator:
    """Load a translator once for all examples."""
    if engine not in LOADED:
        LOADED[engine] = Translator.load(path, engine, device="cpu")
    return LOADED[engine]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(raw=st.one_of(st.binary(), st.lists(st.sampled_from([b"\r", b"\n", b"\xff", "é".encode(), b"a"])).map(b"".join)))
def test_any_bytes_are_read_as_lines(raw: bytes) -> None:
    found = list(read_lines(raw.splitlines(keepends=True) if b"\r" not in raw else lines_at_lf(raw), "bytes"))
    expected = raw.split(b"\n")
    assert len(found) == len(expected) - (expected[-1] == b"")
    for text, line in zip(found, expected, strict=False):
        assert "\n" not in text
        text.encode()
        if "\ufffd" not in text and not line.startswith(b"\xef\xbb\xbf"):
            assert text.encode() == line.removesuffix(b"\r")


def lines_at_lf(raw: bytes) -> list[bytes]:
    """Split bytes into lines as a binary file does, which ends lines at LF only."""
    parts = raw.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def test_a_byte_order_mark_is_no_part_of_a_text() -> None:
    lines = [b"\xef\xbb\xbf\n", b"\xef\xbb\xbfIl dort.\r\n"]
    assert list(read_lines(lines, "text")) == ["", "\ufeffIl dort."]
    assert list(read_lines(lines[1:], "text")) == ["Il dort."]


def test_an_argument_that_is_not_utf8_is_read_with_a_warning(capsys: Captured) -> None:
    arguments = ["Il dort.\n", os.fsdecode(b"Il \xe9tait.")]
    lines, _, n_lines = translate.open_input(argparse.Namespace(text=arguments))
    assert list(lines) == ["Il dort.", "Il \ufffdtait."] and n_lines == 2
    assert "the arguments, line 2: invalid UTF-8 was replaced" in capsys.readouterr().err


def test_a_long_text_without_a_space_is_translated_with_a_warning(quick: Translator, capsys: Captured) -> None:
    greedy = SearchOptions(beam_size=1)
    found = quick.translate(["x" * 20_000, "Il dort."], greedy)
    assert len(found) == 2 and found[1] == quick.translate(["Il dort."], greedy)[0]
    assert "line 1: a sentence of over 200 tokens" in capsys.readouterr().err


def test_joined_lines_keep_their_places_and_ranks(quick: Translator) -> None:
    found = quick.search(["Il dort. Il mange.", " ", "Il dort."], best_of(4))
    joined = quick.join(found, 3, n_best=2)
    assert [len(line) for line in joined] == [2, 1, 2] and joined[1][0].text == ""
    parts = [sentence.hypotheses[1] for sentence in found if sentence.line == 0]
    assert joined[0][1].log_prob == pytest.approx(sum(part.log_prob for part in parts))
    assert isinstance(parts[0], Hypothesis) and json.dumps(joined[0][1]._asdict())
