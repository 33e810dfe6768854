"""The model that CTranslate2 gets is the model that was trained."""

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import convert
from data import Tokenizer, pad
from data.phrasebook import Grammar
from errors import UserError
from model import Transformer, search
from model.search import translation_step
from model.transformer import BOS, PAD, Norm
from translate import SIZES, Translator

LONGEST = 100  # tokens of a translation


@pytest.fixture(scope="module")
def pairs() -> list[dict]:
    grammar = Grammar(seed=9)
    return [grammar.sentence() for _ in range(500)]


@pytest.fixture(scope="module")
def tokenizer(pairs: list[dict]) -> Tokenizer:
    return Tokenizer.train([pair[lang] for pair in pairs for lang in ("fr", "en")], 400)


def checkpoint(folder: Path, tokenizer: Tokenizer, model: Transformer, norm: Norm = "pre") -> Path:
    """A file as train.py writes it."""
    sizes = (model.embedding.num_embeddings, 32, 2, 1, 2, 64, 0.1, norm)
    contents = {
        "hyper_parameters": dict(zip((*SIZES, "dropout", "norm"), sizes, strict=True)),
        "state_dict": {f"model.{name}": weight for name, weight in model.state_dict().items()},
        "datamodule_hyper_parameters": {"source_lang": "fr", "target_lang": "en"},
        "sentencepiece": torch.frombuffer(bytearray(tokenizer.model), dtype=torch.uint8),
    }
    torch.save(contents, folder / "tiny.ckpt")
    return folder / "tiny.ckpt"


def network(vocab_size: int, norm: Norm = "pre") -> Transformer:
    return Transformer(vocab_size, 32, 2, 1, 2, 64, dropout=0.1, norm=norm)


def learn(model: Transformer, tokenizer: Tokenizer, pairs: list[dict]) -> None:
    """Learn enough in a few seconds to end sentences and to vary them; no bias or norm stays at its start."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    src = pad(tokenizer.encode([pair["fr"] for pair in pairs]))
    tgt = pad([[BOS, *ids] for ids in tokenizer.encode([pair["en"] for pair in pairs])])
    for step in range(200):
        rows = torch.arange(16 * step, 16 * step + 16) % len(src)
        logits = model(src[rows], tgt[rows, :-1])
        F.cross_entropy(logits.flatten(0, 1), tgt[rows, 1:].flatten(), ignore_index=PAD).backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_ctranslate2_finds_the_same_tokens(norm: Norm, tokenizer: Tokenizer, pairs: list[dict], tmp_path: Path) -> None:
    ctranslate2 = pytest.importorskip("ctranslate2", reason="the group `bench` is not installed")
    torch.manual_seed(3)
    trained = network(len(tokenizer), norm)
    learn(trained, tokenizer, pairs)
    file = checkpoint(tmp_path, tokenizer, trained, norm)
    convert.main(["--checkpoint", str(file), "--output", str(tmp_path / "converted")])
    translator = ctranslate2.Translator(str(tmp_path / "converted"), compute_type="float32")
    model = Translator.load(file, device="cpu").model

    sources = tokenizer.encode([pair["fr"] for pair in pairs[:60]])
    for beam_size in (1, 4):
        longest = torch.full((len(sources),), LONGEST)
        found = search(translation_step(model, pad(sources)), longest, beam_size, length_penalty=0)
        best = [hypotheses[0] for hypotheses in found]
        # Penalties are defined differently; at exactly 0 CTranslate2 ends its search by another rule, hence 1e-6.
        results = translator.translate_batch(
            [tokenizer.pieces(ids[:-1]) for ids in sources],
            beam_size=beam_size,
            length_penalty=1e-6,
            max_decoding_length=LONGEST,
            return_scores=True,
            return_end_token=True,
        )
        # Where a text does not end, we force the end mark and they do not.
        whole = [(ours, theirs) for ours, theirs in zip(best, results, strict=True) if not ours.cut]
        assert len({tuple(ours.tokens) for ours, _ in whole}) > 10
        for ours, theirs in whole:
            assert theirs.hypotheses[0] == tokenizer.pieces(ours.tokens)
            assert theirs.scores[0] == pytest.approx(ours.log_prob, rel=1e-4)


def test_an_existing_folder_is_replaced_by_force_only(tokenizer: Tokenizer, tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2", reason="the group `bench` is not installed")
    output = tmp_path / "converted"
    file = checkpoint(tmp_path, tokenizer, network(len(tokenizer)))
    arguments = ["--checkpoint", str(file), "--output", str(output)]
    convert.main(arguments)
    made = {file.name for file in output.iterdir()}
    assert made == {"model.bin", "config.json", "shared_vocabulary.json", "sentencepiece.model"}
    assert (output / "sentencepiece.model").read_bytes() == tokenizer.model

    (output / "model.bin").write_bytes(b"old")
    with pytest.raises(UserError, match="exists"):
        convert.main(arguments)
    assert (output / "model.bin").read_bytes() == b"old"
    convert.main([*arguments, "--force"])
    assert (output / "model.bin").stat().st_size > 3
    assert {file.name for file in tmp_path.iterdir()} == {"converted", "tiny.ckpt"}  # nothing is left over


def test_force_spares_a_folder_that_is_no_model(tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    with pytest.raises(UserError, match="holds no CTranslate2 model"):
        convert.main(["--output", str(tmp_path / "thesis"), "--force"])


def test_a_model_that_cannot_be_held_leaves_nothing_behind(tokenizer: Tokenizer, tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2", reason="the group `bench` is not installed")
    other_pieces = network(len(tokenizer) + 1)  # which no checkpoint that loads has
    translator = Translator(other_pieces, tokenizer, {"source_lang": "fr", "target_lang": "en"})
    with pytest.raises(UserError, match="cannot be held"):
        convert.convert(translator, tmp_path / "converted")
    assert not list(tmp_path.iterdir())


def test_a_missing_ctranslate2_is_told_in_one_sentence(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    monkeypatch.setitem(sys.modules, "ctranslate2.specs", None)
    file = checkpoint(tmp_path, tokenizer, network(len(tokenizer)))
    with pytest.raises(UserError, match="not installed"):
        convert.main(["--checkpoint", str(file), "--output", str(tmp_path / "converted")])
