"""Claims about the tokenizer, the readers, cleaning and the batches."""

import copy
import gc
import io
import json
import math
import random
import re
import shutil
import subprocess
import sys
from functools import cache
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import sentencepiece as spm
import torch
from conftest import TINY
from programs import ROOT

from constants import EOS, MAX_TOKENS, PAD
from data import phrasebook
from data.batching import Batch, TokenBatches, group_by_length, pad
from data.cache import code_stamp
from data.cleaning import DESCRIPTIONS, DropReason, clean
from data.module import TranslationData
from data.phrasebook import Grammar
from data.streaming import StreamedBatches
from data.tokenizer import Tokenizer, normalise
from errors import UserError, one_sentence

GRAMMAR = Grammar(seed=8)
ROWS = [GRAMMAR.sentence() for _ in range(400)]
PAIRS = list(dict.fromkeys((row["fr"], row["en"]) for row in ROWS))[:320]  # distinct
TEXT = [fr for fr, _ in PAIRS]


def data(path: object, **settings: object) -> TranslationData:
    return TranslationData(**({"path": str(path), "vocab_size": 400, "batch_tokens": 300} | settings))  # type: ignore[arg-type]


def write_pairs(folder: Path, split: str, pairs: list[tuple[str, str]]) -> None:
    """Write SPLIT.fr and SPLIT.en."""
    for lang, side in zip(("fr", "en"), zip(*pairs, strict=True), strict=True):
        (folder / f"{split}.{lang}").write_text("".join(f"{line}\n" for line in side), encoding="utf-8")


def test_the_tokenizer_is_imported_without_pytorch_and_the_libraries_of_training() -> None:
    heavy = {"torch", "lightning", "datasets", "pandas", "pyarrow", "numpy"}
    script = f"import sys, data, data.tokenizer; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


# --- tokenizer


def test_no_input_is_unknown_and_decoding_restores_the_text() -> None:
    tokenizer = Tokenizer.train(TEXT, 400)
    for text in ("Je suis heureux.", "日本語 🙂 ß", "a\u202fb", "œuvre"):
        ids = tokenizer.encode([text])
        assert 3 not in ids[0] and ids[0][-1] == 2
        assert tokenizer.decode(ids) == [normalise(text)]
    assert len(tokenizer) == 400
    assert Tokenizer(tokenizer.model).encode(TEXT[:9]) == tokenizer.encode(TEXT[:9])


def test_tokens_are_written_with_their_spaces() -> None:
    tokenizer = Tokenizer.train(TEXT, 400)
    ids = tokenizer.encode(["le chat"])[0]
    assert "".join(tokenizer.tokens(ids)) == "▁le▁chat</s>"


def test_a_model_with_other_special_ids_is_refused() -> None:
    model = io.BytesIO()
    options = {"vocab_size": 60, "hard_vocab_limit": False, "minloglevel": 2}
    spm.SentencePieceTrainer.train(sentence_iterator=iter(TEXT), model_writer=model, **options)
    with pytest.raises(UserError, match=r"special ids \(-1, 1, 2, 0\), expected \(0, 1, 2, 3\)"):
        Tokenizer(model.getvalue())
    with pytest.raises(UserError, match="cannot be read"):
        Tokenizer(b"not a model")


def test_a_decoded_line_break_becomes_a_space() -> None:
    tokenizer = Tokenizer.train(TEXT, 400)
    ids = [tokenizer.processor.piece_to_id(piece) for piece in ("▁le", "<0x0A>", "<0x0A>", "▁le")]
    assert tokenizer.decode([ids]) == ["le le"]


def test_spaces_accents_and_apostrophes_have_one_form() -> None:
    assert normalise("\ud83d\ude42") == "\ufffd\ufffd"
    assert normalise(" L’e\u0301te\u0301\u00a0 !\n") == "L'été !"


def test_a_vocabulary_too_large_for_the_text_is_refused() -> None:
    with pytest.raises(UserError, match="vocab_size 9000"):
        Tokenizer.train(TEXT[:50], 9000)


# --- readers
@pytest.mark.parametrize(
    ("kind", "subset"),
    [(kind, None) for kind in ("folder", "prefix", "tsv", "csv", "jsonl", "parquet", "data/train-{}")]
    + [("en-fr/train-{}", None), ("en-fr/train-{}", "en-fr"), ("en-fr/train/{}", "en-fr")],
)
def test_every_form_of_corpus_gives_the_same_pairs(kind: str, subset: str | None, tmp_path: Path) -> None:
    fr, en = zip(*PAIRS, strict=True)
    path = tmp_path / "corpus"
    nested = pa.table({"id": range(len(fr)), "translation": [{"fr": a, "en": b} for a, b in PAIRS]})
    if kind in ("folder", "prefix"):
        stem = path / "train" if kind == "folder" else path
        stem.parent.mkdir(exist_ok=True)
        for lang, side in (("fr", fr), ("en", en)):
            Path(f"{stem}.{lang}").write_text("".join(f"{line}\n" for line in side), encoding="utf-8")
    elif kind in ("tsv", "csv"):
        path = path.with_suffix(f".{kind}")
        separator = "\t" if kind == "tsv" else ","
        path.write_text("".join(f"{a}{separator}{b}\n" for a, b in [("fr", "en"), *PAIRS]), encoding="utf-8")
    elif kind == "jsonl":
        path = path.with_suffix(".jsonl")
        path.write_text(
            "".join(json.dumps({"translation": {"en": b, "fr": a}}) + "\n" for a, b in PAIRS), encoding="utf-8"
        )
    elif kind == "parquet":
        path = path.with_suffix(".parquet")
        pa.parquet.write_table(pa.table({"fr": fr, "en": en}), path)
    else:  # as on the Hub, where the folder has other files, too
        (path / kind).parent.mkdir(parents=True)
        (path / "dataset_infos.json").write_text("{}")
        size = math.ceil(len(fr) / 3)
        for i in range(3):
            name = kind.format(f"{i:05}-of-00003") + ".parquet"
            pa.parquet.write_table(nested.slice(i * size, size), path / name)
    module = data(path, subset=subset, max_ratio=100.0)
    splits = module.load()
    found = {(s, t) for split in splits.values() for s, t in zip(split["src"], split["tgt"], strict=True)}
    assert found == {(normalise(a), normalise(b)) for a, b in PAIRS}
    sources = [set(split["src"]) for split in splits.values()]
    assert len(sources[1]) and not (sources[0] & sources[1] or sources[0] & sources[2] or sources[1] & sources[2])


@pytest.mark.parametrize("kind", ["tsv", "csv"])
def test_words_that_a_table_may_take_for_a_missing_value_are_text(kind: str, tmp_path: Path) -> None:
    separator, words = "\t" if kind == "tsv" else ",", ["None", "NA", "null", "nan", "N/A"]
    lines = [("fr", "en"), *((f"aucun {word}", word) for word in words), *PAIRS]
    path = tmp_path / f"corpus.{kind}"
    path.write_text("".join(f"{fr}{separator}{en}\n" for fr, en in lines), encoding="utf-8")
    splits = data(path, max_ratio=100.0).load()
    assert set(words) <= {text for split in splits.values() for text in split["tgt"]}


def test_changed_code_invalidates_the_cache(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def files() -> list[dict[str, str]]:
        return data(corpus).load()["train"].cache_files

    before = files()
    assert files() == before
    monkeypatch.setattr("data.cache.code_stamp", lambda: "other code")
    assert files() != before


def test_the_stamp_covers_all_code_of_the_package_and_its_subpackages(tmp_path: Path) -> None:
    package = tmp_path / "package"
    shutil.copytree(ROOT / "data", package)
    files = sorted(package.rglob("*.py"))
    assert {"readers.py", "cleaning.py", "grammar.py", "lexicon.py"} <= {file.name for file in files}
    stamps = {code_stamp(package)}
    assert stamps == {code_stamp()}
    for file in files:
        file.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        stamps.add(code_stamp(package))
    assert len(stamps) == len(files) + 1


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    for pairs in (PAIRS[:300], PAIRS[20:]):
        write_pairs(tmp_path, "train", pairs)
        texts = [text for split in data(tmp_path, max_ratio=100.0).load().values() for text in split["src"]]
        assert set(texts) == {normalise(fr) for fr, _ in pairs}


def test_every_validation_has_the_same_sentences(corpus: Path) -> None:
    batches = data(corpus, batch_tokens=300).val_dataloader()
    whole = [batch.rows.tolist() for batch in batches]
    assert len(whole) > 2
    for n in (1, 2):  # as `limit_val_batches` has it
        assert [batch.rows.tolist() for batch in islice(batches, n)] == whole[:n]


@pytest.mark.usefixtures("small_phrasebook")
def test_the_other_direction_is_two_settings(corpus: Path) -> None:
    forth, back = data(corpus), data(corpus, source_lang="en", target_lang="fr")
    assert forth.texts("test") == back.texts("test")[::-1]
    book = phrasebook.load("en", "fr", 1)["val"][0]
    assert phrasebook.load("fr", "en", 1)["val"][0]["src"] == book["tgt"]


def test_garbage_collection_skips_existing_objects_only_while_a_corpus_is_prepared(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = []

    def record(*args: Any) -> Any:
        frozen.append(gc.get_freeze_count())
        return clean(*args)

    monkeypatch.setattr("data.module.clean", record)
    data(corpus).load()
    assert frozen[0] > 0 and gc.get_freeze_count() == 0
    with pytest.raises(UserError):
        data(corpus / "missing").load()
    assert gc.get_freeze_count() == 0


# --- cleaning


@pytest.mark.parametrize("streaming", [False, True])
def test_what_cleaning_leaves_out_is_counted_by_reason(
    streaming: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = PAIRS[:280]
    bad = [("", "x"), ("un " * 300, "a " * 300), ("oui", "word " * 40), good[0], good[0], PAIRS[300]]
    for split, pairs in (("train", good + bad), ("val", PAIRS[300:310]), ("test", PAIRS[310:])):
        write_pairs(tmp_path, split, pairs)
    with caplog.at_level("INFO"):
        module = data(tmp_path, streaming=streaming)
        module.load()
        loader = module.train_dataloader()
        if streaming:
            caplog.clear()  # the counts of the stream's first pairs, which train the tokenizer
        ids = [(s, t) for batch in loader for s, t in zip(batch.src.tolist(), batch.tgt.tolist(), strict=True)]
    held_out = {(normalise(a), normalise(b)) for a, b in PAIRS[300:]}
    distinct = {(normalise(a), normalise(b)) for a, b in good}
    kept = distinct - held_out
    n_duplicates, n_held_out = len(good) + 2 - len(distinct), len(distinct & held_out) + 1
    assert (
        f"train: 286 pairs read, {len(kept)} kept; left out: 1 with an empty side, 1 over data.max_words, "
        f"1 over data.max_ratio, {n_duplicates} duplicate, {n_held_out} also in val or test"
    ) in caplog.text
    assert len(ids) == len(kept)
    assert set(zip(*map(module.tokenizer.decode, zip(*ids, strict=True)), strict=True)) == kept


# Two bytes, so two tokens, for each letter that the training text lacks; `▁` and EOS are one token each.
LONGEST = "ж" * (MAX_TOKENS // 2 - 1)
TOO_LONG = LONGEST + "日"


@pytest.mark.parametrize("streaming", [False, True])
def test_sentences_over_the_positions_of_the_network_are_left_out_of_every_split_and_counted(
    streaming: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    draw = random.Random(1)
    words = ["".join(draw.choices("aeinorst", k=600)) for _ in range(6)]
    long = [(" ".join(words), PAIRS[0][1]), (PAIRS[0][0], " ".join(words)), (" ".join(words), " ".join(words))]
    write_pairs(tmp_path, "train", PAIRS[:280] + long)
    write_pairs(tmp_path, "val", [*PAIRS[280:300], (LONGEST, TOO_LONG), (LONGEST, LONGEST)])
    write_pairs(tmp_path, "test", [*PAIRS[300:], (TOO_LONG, "x"), (TOO_LONG, TOO_LONG), ("x", LONGEST)])
    with caplog.at_level("INFO"):
        module = data(tmp_path, streaming=streaming, max_ratio=1000.0)
        splits = module.load()
        assert module.tokenizer.encode([LONGEST])[0][-1] == EOS
        assert [len(ids) for ids in module.tokenizer.encode([LONGEST, TOO_LONG])] == [MAX_TOKENS, MAX_TOKENS + 3]
        longest = [
            max(batch.src.size(1), batch.tgt.size(1) - 1)
            for batches in (module.train_dataloader(), module.val_dataloader())
            for batch in batches
        ]
    assert max(longest) == MAX_TOKENS
    assert len(splits["val"]) == 21 and len(splits["test"]) == 21
    assert module.texts("val")[0][-1] == LONGEST and module.texts("test")[1][-1] == LONGEST
    assert "val: 1 of 22 pairs left out, over 1,024 tokens on one side" in caplog.text
    assert "test: 2 of 23 pairs left out, over 1,024 tokens on one side" in caplog.text
    if streaming:
        assert "3 over 1,024 tokens" in caplog.text.splitlines()[-1]
    else:
        assert re.search(r"train: 3 of \d+ pairs left out, over 1,024 tokens on one side", caplog.text)


def test_a_split_of_sentences_that_are_all_too_long_is_refused(tmp_path: Path) -> None:
    for split, pairs in (("train", PAIRS[:300]), ("val", [(TOO_LONG, TOO_LONG)]), ("test", PAIRS[300:])):
        write_pairs(tmp_path, split, pairs)
    with pytest.raises(UserError, match=r"the val split is empty \(val: 1 of 1 pairs left out, over 1,024 tokens"):
        data(tmp_path).load()


def test_every_drop_reason_has_a_description() -> None:
    assert {*DESCRIPTIONS, DropReason.NONE} == set(DropReason)


def test_splits_that_a_stream_lacks_are_cut_from_its_beginning(tmp_path: Path) -> None:
    pairs = [*PAIRS, *((fr, f"{en} again") for fr, en in PAIRS)]
    write_pairs(tmp_path, "train", pairs)
    module = data(tmp_path, streaming=True, block_pairs=100)
    held_out = {source for split in ("val", "test") for source in module.texts(split)[0]}
    trained = {s for batch in module.train_dataloader() for s in module.tokenizer.decode(batch.src.tolist())}
    assert held_out and not held_out & trained
    assert held_out | trained == {normalise(fr) for fr, _ in PAIRS}


SPLIT_FILES = [f"{split}.{lang}" for split in ("train", "val", "test") for lang in ("fr", "en")]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"train.fr": b"a\nb\n", "train.en": b"a\n"}, ("train.fr has 2 lines", "train.en has 1")),
        ({"train.fr": b"a\n"}, ("train.en is missing",)),
        ({"train.fr": b"a\n\xff\n", "train.en": b"a\nb\n"}, ("train.fr, line 2", "UTF-8")),
        ({"train.fr": "a\n".encode("utf-16-le"), "train.en": b"a\n\n"}, ("train.fr, line 1", "UTF-8")),
        ({"train.fr": b"", "train.en": b""}, ("train.fr is empty",)),
        ({"train.fr": b"a\nb\n", "train.en": b"\n\n"}, ("the train split is empty", "2 with an empty side")),
        ({"train.fr": b"a\nb\n", "train.en": b"a\nb\n", "val.fr": b"\n", "val.en": b"\n"}, ("the val split is empty",)),
        (dict.fromkeys(SPLIT_FILES, b"a\nb\n"), ("the train split is empty", "2 also in val or test")),
        ({name: name[:2].encode() for name in SPLIT_FILES}, ("vocab_size",)),
        ({"corpus.csv": b"de,en\na,b\n"}, ("no column 'fr'", "de, en")),
        ({"corpus.csv": b"fr\na\n"}, ("no column 'en'",)),
        ({"corpus.csv": b"fr,en\na,b\na,b,c\n"}, ("corpus.csv", "line 3")),
        ({"corpus.csv": b"fr,en\n1,2\n"}, ("not text",)),
        ({"corpus.tsv": b"fr\ten\n\xe9t\xe9\tb\n"}, ("corpus.tsv, line 2", "UTF-8")),
        ({"corpus.jsonl": b'{"fr": "a", "en": "b"}\n{"fr": "a"\n'}, ("corpus.jsonl, line 2", "not JSON")),
        ({"corpus.jsonl": b'{"translation": {"de": "a", "en": "b"}}\n'}, ("no column 'fr'", "de, en")),
        ({"corpus.parquet": b"PAR1"}, ("cannot be read",)),
        ({"en-fr/train.csv": b"fr,en\na,b\n", "en-de/train.csv": b"de,en\na,b\n"}, ("data.subset",)),
        ({"notes.txt": b"a"}, ("holds no corpus",)),
    ],
)  # fmt: skip
def test_a_bad_corpus_is_named_in_one_sentence(
    files: dict[str, bytes], words: tuple[str, ...], streaming: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SystemExit) as stopped, one_sentence():
        data(tmp_path, streaming=streaming).load()
    sentence = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    assert stopped.value.code == 2
    assert all(word in sentence for word in words), sentence


def test_the_phrasebook_is_refused_in_other_languages() -> None:
    with pytest.raises(UserError, match="fr and en, not de and en"):
        data("phrasebook", source_lang="de").load()


@pytest.mark.parametrize("setting", ["vocab_size", "batch_tokens", "block_pairs", "max_words"])
def test_a_number_out_of_range_is_refused_before_data_is_read(setting: str) -> None:
    with pytest.raises(UserError, match=f"data.{setting}"):
        data("/nowhere", **{setting: -1})


def test_train_refuses_a_bad_corpus_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import train

    (tmp_path / "train.fr").write_bytes(b"a\nb\n")
    (tmp_path / "train.en").write_bytes(b"a\n")
    monkeypatch.chdir(tmp_path)
    config = f"--config={ROOT / 'configs' / 'multi30k.yaml'}"
    with pytest.raises(SystemExit) as stopped, one_sentence():
        train.main([config, f"--data.path={tmp_path}", *TINY, "--trainer.max_steps=1"])
    assert stopped.value.code == 2 and "train.fr has 2 lines" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


# --- batches


def test_padding_is_on_the_right() -> None:
    assert pad([[5, 2], [5, 6, 2]]).tolist() == [[5, 2, 0], [5, 6, 2]]
    assert pad([]).shape == (0, 1) and pad([[]]).dtype == torch.int64


def test_batches_hold_every_pair_once_within_the_limit_with_at_most_a_tenth_of_padding() -> None:
    rng = np.random.default_rng(0)
    src = rng.gamma(4, 4, 20_000).astype(int) + 2
    tgt = np.maximum(2, src + rng.integers(-4, 5, 20_000))
    batches = group_by_length(src, tgt, 3072, [1, 0])
    assert sorted(np.concatenate(batches).tolist()) == list(range(20_000))
    padded = 0
    for batch in batches:
        assert len(batch) * max(src[batch].max(), tgt[batch].max()) <= 3072
        padded += len(batch) * (src[batch].max() + tgt[batch].max())
    assert (src.sum() + tgt.sum()) / padded > 0.9
    again, other = group_by_length(src, tgt, 3072, [1, 0]), group_by_length(src, tgt, 3072, [1, 1])
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(batches, other, strict=False))


KINDS = ["cached", "streamed"]
Content = tuple[list[int], list[list[int]], list[list[int]], int]


@cache
def prepared(corpus: Path, **settings: Any) -> TranslationData:
    module = data(corpus, block_pairs=80, **settings)
    module.load()
    return module


def loader(
    corpus: Path, kind: str, rank: int = 0, world: int = 1, seed: int = 1, batch_tokens: int = 100
) -> TokenBatches | StreamedBatches:
    """Return small batches of the training split, streamed in blocks of 80 pairs."""
    module = copy.copy(prepared(corpus, seed=seed, batch_tokens=batch_tokens, streaming=kind == "streamed"))
    module.stream = copy.deepcopy(module.stream)  # it has a position of its own
    module.trainer = SimpleNamespace(global_rank=rank, world_size=world)  # type: ignore[assignment]
    batches = module.train_dataloader()
    if isinstance(batches, StreamedBatches):
        batches.ahead = False  # these tests request a batch after they have used the one before
    return batches


def content(batch: Batch) -> Content:
    return batch.rows.tolist(), batch.src.tolist(), batch.tgt.tolist(), batch.n_tokens


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_see_shards_of_the_same_batches_and_each_pair_once(corpus: Path, kind: str, world: int) -> None:
    by_rank = [list(loader(corpus, kind, rank, world)) for rank in range(world)]
    whole = list(loader(corpus, kind))
    assert {len(batches) for batches in by_rank} == {len(whole)}
    for batch, *shards in zip(whole, *by_rank, strict=True):
        assert sorted(row for shard in shards for row in shard.rows.tolist()) == sorted(batch.rows.tolist())
        assert {shard.n_tokens for shard in shards} == {batch.n_tokens} == {int((batch.tgt[:, 1:] != PAD).sum())}
        assert sum(int((shard.tgt[:, 1:] != PAD).sum()) for shard in shards) == batch.n_tokens
        assert type(batch.n_tokens) is int
    module = prepared(corpus)
    seen = sorted(
        pair
        for batch in whole
        for pair in zip(*(module.tokenizer.decode(side.tolist()) for side in (batch.src, batch.tgt)), strict=True)
    )
    assert seen == sorted(zip(*module.texts("train"), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_without_a_row_gets_one_row_of_padding(corpus: Path, kind: str) -> None:
    world = 1 + max(len(batch.rows) for batch in loader(corpus, kind))
    for batch in loader(corpus, kind, rank=world - 1, world=world):
        assert batch.rows.tolist() == [] and batch.src.tolist() == [[PAD]] and batch.tgt.tolist() == [[PAD, PAD]]
        assert batch.n_tokens > 0


@pytest.mark.parametrize("kind", KINDS)
def test_batches_continue_from_a_saved_state(corpus: Path, kind: str) -> None:
    whole = loader(corpus, kind)
    epochs = [[content(batch) for batch in whole] for _ in range(2)]
    expected, size = [batch for epoch in epochs for batch in epoch], len(epochs[0])
    assert sorted(epochs[0]) != sorted(epochs[1])
    for stop in (0, 3, size - 1, size, size + 2):
        first, second = loader(corpus, kind), loader(corpus, kind)
        stream = (batch for _ in range(2) for batch in first)
        done = [content(batch) for batch in islice(stream, stop)]
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        rest = [content(batch) for batch in second]
        assert done + rest == expected[: len(done) + len(rest)] and rest


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_depends_on_the_seed_alone(corpus: Path, kind: str) -> None:
    first, again, other = (list(map(content, loader(corpus, kind, seed=seed))) for seed in (1, 1, 2))
    assert first == again != other


def test_a_stream_is_shuffled_within_blocks(corpus: Path) -> None:
    rows = [row for batch in loader(corpus, "streamed") for row in batch.rows.tolist()]
    blocks = [row // 80 for row in rows]
    assert blocks == sorted(blocks) and len(set(blocks)) == 4
    assert rows != sorted(rows)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_lightning_resumes_within_an_epoch_without_losing_a_batch(corpus: Path, kind: str, tmp_path: Path) -> None:
    class Reader(L.LightningModule):
        """Records the rows of each batch; no weight changes."""

        def __init__(self) -> None:
            super().__init__()
            self.weight, self.seen = torch.nn.Parameter(torch.zeros(())), []

        def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
            self.seen.append(batch.rows.tolist())
            return self.weight

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0)

    def read(steps: int, ckpt_path: Path | None = None) -> tuple[L.Trainer, list[list[int]]]:
        module = copy.copy(prepared(corpus, streaming=kind == "streamed", batch_tokens=300))
        module.stream = copy.deepcopy(module.stream)
        model, silent = Reader(), {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
        trainer = L.Trainer(
            accelerator="cpu", max_steps=steps, limit_val_batches=0, enable_checkpointing=False, **silent,
            use_distributed_sampler=False,
        )  # fmt: skip
        trainer.fit(model, module, ckpt_path=ckpt_path, weights_only=True)
        return trainer, model.seen

    _, whole = read(90)
    epoch = len(list(loader(corpus, kind, batch_tokens=300)))
    assert 2 * epoch < len(whole) == 90
    for stop in (5, epoch - 1, epoch, epoch + 3):
        trainer, first = read(stop)
        trainer.save_checkpoint(tmp_path / "stopped.ckpt")
        assert first + read(90, tmp_path / "stopped.ckpt")[1] == whole, stop
