"""Claims about the phrasebook, the corpora, the tokenizer and the batches."""

import copy
import gc
import json
from collections import Counter
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
import torch
from conftest import TINY
from programs import ROOT

import data.corpus as corpus_room
import train
from data import phrasebook
from data.batching import Batch, TokenBatches, group_by_length
from data.module import TranslationData
from data.phrasebook import HELD_OUT, Grammar, bare
from data.streaming import StreamedBatches
from data.tokenizer import Tokenizer, normalise
from errors import UserError, one_sentence

TEXT = [Grammar(seed).sentence()["fr"] for seed in range(400)]


def data(path: object, **settings: object) -> TranslationData:
    return TranslationData(**({"path": str(path), "vocab_size": 400, "batch_tokens": 300} | settings))  # type: ignore[arg-type]


def said(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> str:
    captured = capsys.readouterr()
    return caplog.text + captured.err + captured.out


# --- phrasebook


def rows(n: int, seed: int = 1) -> list[dict]:
    grammar = Grammar(seed)
    return [grammar.sentence() for _ in range(n)]


def test_the_same_seed_speaks_the_same_sentences() -> None:
    assert rows(200) == rows(200) != rows(200, seed=2)


def test_a_french_sentence_has_one_translation() -> None:
    english: dict[str, set[str]] = {}
    for row in rows(20_000):
        english.setdefault(row["fr"], set()).add(row["en"])
    assert all(len(found) == 1 for found in english.values())


def test_the_lexicon_is_large_enough() -> None:
    words = [phrasebook.NOUNS, phrasebook.ADJECTIVES, phrasebook.VERBS, phrasebook.NAMES, phrasebook.NUMBERS]
    words += [
        phrasebook.FREQUENCIES,
        phrasebook.PREPOSITIONS,
        phrasebook.STATES,
        phrasebook.WEATHER,
        phrasebook.PHRASES,
    ]
    words += phrasebook.TIMES.values()
    assert sum(map(len, words)) >= 400


def test_splits_share_no_sentence_and_never_hold_the_held_out_one() -> None:
    small = {split: [bare(r["fr"]) for r in islice(phrasebook.generate(1, split), 1000)] for split in phrasebook.SIZES}
    together = [sentence for split in small.values() for sentence in split]
    assert len(together) == len(set(together)) == 3000
    assert bare(HELD_OUT) not in together
    marks = Counter(r["fr"][-1] in ".?" for r in rows(1000))
    assert marks[True] > 600 and marks[False] > 100
    assert sum(phrasebook.SIZES.values()) > 100_000


def test_french_elides_and_contracts() -> None:
    def fr(*words: str) -> str:
        return " ".join(word for word, _ in phrasebook.french_words(tuple((w, i) for i, w in enumerate(words, 1))))

    assert fr("je", "aime", "le", "homme") == "j'aime l'homme"
    assert fr("je", "ne", "aime", "pas", "de", "œufs") == "je n'aime pas d'œufs"
    assert fr("à", "le", "marché", "à", "les", "gares", "à", "le", "hôtel") == "au marché aux gares à l'hôtel"
    assert fr("près", "de", "le", "parc") == "près du parc"
    assert fr("a", "-t-il", "mangé") == "a-t-il mangé"
    assert fr("de", "huit") == "de huit"
    text = " ".join(row["fr"].lower() for row in rows(5000))
    for wrong in (" je a", " le a", " la é", " de le ", " à les ", " ne a", " ce a", " ma é", " beau h", " si il "):
        assert wrong not in text


def test_alignments_name_words_that_exist_and_words_that_correspond() -> None:
    for row in rows(2000):
        fr, en = row["fr"].split(), row["en"].split()
        links = [tuple(map(int, link.split("-"))) for link in row["alignment"].split()]
        assert links and all(0 <= i < len(fr) and 0 <= j < len(en) for i, j in links)
        for i, word in enumerate(fr):
            if word in ("chat", "chat."):
                assert {en[j].strip(".?") for k, j in links if k == i} == {"cat"}


def test_a_linked_pronoun_agrees_with_its_antecedent() -> None:
    linked = [row for row in rows(5000) if row["pronoun_fr"] >= 0]
    assert len(linked) > 500
    english = Counter()
    genders = {noun.fr[0]: (noun.gender, noun.kind) for noun in phrasebook.NOUNS}
    for row in linked:
        fr, en = row["fr"].lower().split(), row["en"].lower().split()
        noun = fr[row["antecedent_fr"]].split("'")[-1]
        gender, kind = genders[noun]
        pronoun = en[row["pronoun_en"]].strip(".")
        assert fr[row["pronoun_fr"]].split("'")[-1] == ("elle" if gender == "f" else "il")
        assert pronoun == (("she" if gender == "f" else "he") if kind == "h" else "it")
        assert row["antecedent_fr"] in row["nouns_fr"]
        english[pronoun] += 1
    assert min(english[p] for p in ("he", "she", "it")) > 50


# --- tokenizer


def test_no_input_is_unknown_and_text_survives() -> None:
    tokenizer = Tokenizer.train(TEXT, 400)
    for text in ("Je suis heureux.", "日本語 🙂 ß", "a\u202fb", "œuvre"):
        ids = tokenizer.encode([text])
        assert 3 not in ids[0] and ids[0][-1] == 2
        assert tokenizer.decode(ids) == [normalise(text)]
    assert len(tokenizer) == 400
    assert Tokenizer(tokenizer.model).encode(TEXT[:9]) == tokenizer.encode(TEXT[:9])


def test_a_decoded_line_break_does_not_break_a_line() -> None:
    tokenizer = Tokenizer.train(TEXT, 400)
    ids = [tokenizer.processor.piece_to_id(piece) for piece in ("▁le", "<0x0A>", "<0x0A>", "▁le")]
    assert tokenizer.decode([ids]) == ["le le"]


def test_spaces_accents_and_apostrophes_are_written_in_one_way() -> None:
    assert normalise(" L’e\u0301te\u0301\u00a0 !\n") == "L'été !"


def test_a_vocabulary_too_large_for_the_text_is_refused() -> None:
    with pytest.raises(UserError, match="vocab_size 9000"):
        Tokenizer.train(TEXT[:50], 9000)


# --- corpora

PAIRS = list(dict.fromkeys((row["fr"], row["en"]) for row in rows(400, seed=8)))[:320]  # all different


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
        mark = "\t" if kind == "tsv" else ","
        path.write_text("".join(f"{a}{mark}{b}\n" for a, b in [("fr", "en"), *PAIRS]), encoding="utf-8")
    elif kind == "jsonl":
        path = path.with_suffix(".jsonl")
        path.write_text(
            "".join(json.dumps({"translation": {"en": b, "fr": a}}) + "\n" for a, b in PAIRS), encoding="utf-8"
        )
    elif kind == "parquet":
        path = path.with_suffix(".parquet")
        pa.parquet.write_table(pa.table({"fr": fr, "en": en}), path)
    else:  # as on the Hub, where other files lie beside
        (path / kind).parent.mkdir(parents=True)
        (path / "dataset_infos.json").write_text("{}")
        size = -(-len(fr) // 3)
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
    mark, lost = "\t" if kind == "tsv" else ",", ["None", "NA", "null", "nan", "N/A"]
    lines = [("fr", "en"), *((f"aucun {word}", word) for word in lost), *PAIRS]
    path = tmp_path / f"corpus.{kind}"
    path.write_text("".join(f"{fr}{mark}{en}\n" for fr, en in lines), encoding="utf-8")
    splits = data(path, max_ratio=100.0).load()
    assert set(lost) <= {text for split in splits.values() for text in split["tgt"]}


def test_other_code_does_not_get_what_the_cache_holds(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prints = []
    for stamp in ("yesterday's", "today's", "today's"):
        monkeypatch.setattr("data.corpus.code_stamp", lambda stamp=stamp: stamp)
        prints.append(data(corpus).load()["train"]._fingerprint)
    assert prints[0] != prints[1] == prints[2]


def test_every_validation_is_of_the_same_sentences(corpus: Path) -> None:
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


def test_garbage_is_left_alone_while_processes_share_our_memory(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = []

    def look(*args: Any) -> Any:
        frozen.append(gc.get_freeze_count())
        return corpus_room.clean(*args)

    monkeypatch.setattr("data.module.clean", look)
    data(corpus).load()
    assert frozen[0] > 0 and gc.get_freeze_count() == 0
    with pytest.raises(UserError):
        data(corpus / "missing").load()
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("streaming", [False, True])
def test_cleaning_counts_what_it_leaves_out(
    streaming: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    good = PAIRS[:280]
    bad = [("", "x"), ("un " * 300, "a " * 300), ("oui", "word " * 40), good[0], good[0], PAIRS[300]]
    for split, pairs in (("train", good + bad), ("val", PAIRS[300:310]), ("test", PAIRS[310:])):
        for side, lang in enumerate(("fr", "en")):
            (tmp_path / f"{split}.{lang}").write_text("".join(f"{p[side]}\n" for p in pairs), encoding="utf-8")
    with caplog.at_level("INFO"):
        module = data(tmp_path, streaming=streaming)
        module.load()
        loader = module.train_dataloader()
        said(capsys, caplog) if streaming else None  # what was said of the stream's beginning does not count
        ids = [(s, t) for batch in loader for s, t in zip(batch.src.tolist(), batch.tgt.tolist(), strict=True)]
    text = said(capsys, caplog)
    for count in ("1 empty side", "1 over-long", "1 wild length ratio", "1 also in val or test"):
        assert count in text
    distinct = {(normalise(a), normalise(b)) for a, b in good} - {(normalise(a), normalise(b)) for a, b in PAIRS[300:]}
    assert len(ids) == len(distinct)
    assert set(zip(*map(module.tokenizer.decode, zip(*ids, strict=True)), strict=True)) == distinct


def test_splits_that_a_stream_lacks_are_cut_from_its_beginning(tmp_path: Path) -> None:
    pairs = [*PAIRS, *((fr, f"{en} again") for fr, en in PAIRS)]
    for side, lang in enumerate(("fr", "en")):
        (tmp_path / f"train.{lang}").write_text("".join(f"{p[side]}\n" for p in pairs), encoding="utf-8")
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
        ({"train.fr": b"a\nb\n", "train.en": b"\n\n"}, ("the train split is empty", "2 empty side")),
        ({"train.fr": b"a\nb\n", "train.en": b"a\nb\n", "val.fr": b"\n", "val.en": b"\n"}, ("the val split is empty",)),
        (dict.fromkeys(SPLIT_FILES, b"a\nb\n"), ("the train split is empty", "2 also in val or test")),
        ({name: name[:2].encode() for name in SPLIT_FILES}, ("vocab_size",)),
        ({"corpus.csv": b"de,en\na,b\n"}, ("no column 'fr'", "de, en")),
        ({"corpus.csv": b"fr\na\n"}, ("no column 'en'",)),
        ({"corpus.csv": b"fr,en\na,b\na,b,c\n"}, ("corpus.csv", "line 3")),
        ({"corpus.csv": b"fr,en\n1,2\n"}, ("no text",)),
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


def test_the_phrasebook_speaks_two_languages() -> None:
    with pytest.raises(UserError, match="fr and en, not de and en"):
        data("phrasebook", source_lang="de").load()


@pytest.mark.parametrize("setting", ["vocab_size", "batch_tokens", "block_pairs", "max_words"])
def test_a_number_without_sense_is_refused_before_data_is_read(setting: str) -> None:
    with pytest.raises(UserError, match=f"data.{setting}"):
        data("/nowhere", **{setting: -1})


def test_the_program_refuses_a_bad_corpus_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train.fr").write_bytes(b"a\nb\n")
    (tmp_path / "train.en").write_bytes(b"a\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped, one_sentence():
        train.main(
            [
                f"--config={ROOT / 'configs' / 'multi30k.yaml'}",
                f"--data.path={tmp_path}",
                *TINY,
                "--trainer.max_steps=1",
            ]
        )
    assert stopped.value.code == 2 and "train.fr has 2 lines" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


# --- batches


def test_batches_hold_every_pair_once_within_the_budget_and_little_padding() -> None:
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
    """Small batches of the training split, in blocks of 80 where they are streamed."""
    module = copy.copy(prepared(corpus, seed=seed, batch_tokens=batch_tokens, streaming=kind == "streamed"))
    module.stream = copy.deepcopy(module.stream)  # which knows where it stands
    module.trainer = SimpleNamespace(global_rank=rank, world_size=world)  # type: ignore[assignment]
    batches = module.train_dataloader()
    if isinstance(batches, StreamedBatches):
        batches.ahead = False  # nobody looks ahead here
    return batches


def content(batch: Batch) -> Content:
    return batch.rows.tolist(), batch.src.tolist(), batch.tgt.tolist(), batch.n_tokens


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_share_the_same_batches_and_each_pair_is_seen_once(corpus: Path, kind: str, world: int) -> None:
    shares = [list(loader(corpus, kind, rank, world)) for rank in range(world)]
    whole = list(loader(corpus, kind))
    assert {len(share) for share in shares} == {len(whole)}
    for i, batch in enumerate(whole):
        parts = [share[i] for share in shares]
        assert sorted(row for p in parts for row in p.rows.tolist()) == sorted(batch.rows.tolist())
        assert {p.n_tokens for p in parts} == {batch.n_tokens} == {int((batch.tgt[:, 1:] != 0).sum())}
        assert sum(int((p.tgt[:, 1:] != 0).sum()) for p in parts) == batch.n_tokens
    module = prepared(corpus)
    seen = sorted(
        pair
        for batch in whole
        for pair in zip(*(module.tokenizer.decode(side.tolist()) for side in (batch.src, batch.tgt)), strict=True)
    )
    assert seen == sorted(zip(*module.texts("train"), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_batches_go_on_where_their_state_was_saved(corpus: Path, kind: str) -> None:
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
def test_the_order_is_drawn_from_the_seed(corpus: Path, kind: str) -> None:
    first, again, other = (list(map(content, loader(corpus, kind, seed=seed))) for seed in (1, 1, 2))
    assert first == again != other


def test_a_stream_is_shuffled_block_by_block(corpus: Path) -> None:
    rows = [row for batch in loader(corpus, "streamed") for row in batch.rows.tolist()]
    blocks = [row // 80 for row in rows]
    assert blocks == sorted(blocks) and len(set(blocks)) == 4
    assert rows != sorted(rows)


@pytest.mark.parametrize("kind", KINDS)
def test_lightning_goes_on_in_mid_epoch_without_losing_a_batch(corpus: Path, kind: str, tmp_path: Path) -> None:
    class Reader(L.LightningModule):
        """Reads, and learns nothing."""

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
        model, quiet = Reader(), {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
        trainer = L.Trainer(
            accelerator="cpu", max_steps=steps, limit_val_batches=0, enable_checkpointing=False, **quiet,
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
