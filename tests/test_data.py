"""Claims about the tokenizer, the readers, cleaning and the batches."""

import bz2
import copy
import csv
import gc
import gzip
import io
import json
import logging
import lzma
import math
import random
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from xml.sax.saxutils import escape

import lightning as L
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import sentencepiece as spm
import torch
from conftest import TINY
from datasets import Dataset
from programs import ROOT

from constants import EOS, MAX_TOKENS, PAD, UNK
from data.batching import Batch, TokenBatches, group_by_length, pad
from data.cache import code_stamp
from data.cleaning import DESCRIPTIONS, DropReason, clean
from data.files import CorpusFile
from data.module import TranslationData
from data.parallel import pair_up, pairs_by_split
from data.streaming import StreamedBatches
from data.tables import load_from_hub
from data.tokenizer import Tokenizer, normalise
from data.variants import made_up_name, typed, with_made_up
from errors import UserError, one_sentence

SUBJECTS = {
    "le chat": "the cat", "l’école": "the school", "une élève": "a pupil", "mon frère": "my brother",
    "la reine": "the queen", "notre voisin": "our neighbour", "quelqu'un": "someone", "ce garçon": "this boy",
}  # fmt: skip
VERBS = {
    "voit": "sees", "n'aime pas": "does not like", "cherche": "is looking for", "a déjà": "already has",
    "vend": "sells", "a oublié": "forgot", "dessine": "draws", "voudrait": "would like", "protège": "protects",
}  # fmt: skip
OBJECTS = {
    "la gare": "the station", "un œuf": "an egg", "des cerises": "cherries", 'le "Nord"': 'the "North"',
    "son vélo": "his bicycle", "deux chapeaux": "two hats", "cette photo": "this picture", "les gâteaux": "the cakes",
}  # fmt: skip
TIMES = {
    "aujourd’hui": "today", "le matin, à huit heures": "in the morning, at eight", "souvent": "often",
    "hier": "yesterday", "chaque dimanche": "every Sunday", "en juin": "in June", "trop tard": "too late",
}  # fmt: skip


def make_pairs(n: int) -> list[tuple[str, str]]:
    """Return n different sentence pairs of one to three clauses."""
    draw = random.Random(1)
    pairs: dict[tuple[str, str], None] = {}
    while len(pairs) < n:
        clauses = [
            [draw.choice(list(words.items())) for words in (SUBJECTS, VERBS, OBJECTS, TIMES)[: draw.choice((3, 4))]]
            for _ in range(draw.choice((1, 1, 2, 3)))
        ]
        fr, en = (" - ".join(" ".join(word[side] for word in clause) for clause in clauses) for side in (0, 1))
        pairs[fr.capitalize() + ".", en.capitalize() + "."] = None
    return list(pairs)


PAIRS = make_pairs(320)
FR, EN = zip(*PAIRS, strict=True)


def data(path: object, **settings: object) -> TranslationData:
    return TranslationData(**({"path": str(path), "vocab_size": 360, "batch_tokens": 300} | settings))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of parallel files: distinct pairs, so that streams, which remove duplicates in blocks only, keep all."""
    folder = tmp_path_factory.mktemp("corpus")
    for split, pairs in (("train", PAIRS[:280]), ("val", PAIRS[280:300]), ("test", PAIRS[300:])):
        write_pairs(folder, split, pairs)
    return folder


def write_pairs(folder: Path, split: str, pairs: list[tuple[str, str]]) -> None:
    """Write SPLIT.fr and SPLIT.en."""
    for lang, side in zip(("fr", "en"), zip(*pairs, strict=True), strict=True):
        (folder / f"{split}.{lang}").write_text("".join(f"{line}\n" for line in side), encoding="utf-8")


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("data.tokenizer", {"torch", "lightning", "datasets", "pandas", "pyarrow", "numpy"}),
        pytest.param("data.batching", {"lightning", "datasets", "pandas", "pyarrow"}, marks=pytest.mark.slow),
    ],
)
def test_a_module_for_translation_is_imported_without_the_libraries_of_training(module: str, heavy: set[str]) -> None:
    script = f"import sys, data, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


# --- tokenizer


def test_no_input_is_unknown_and_decoding_restores_the_text() -> None:
    tokenizer = Tokenizer.train(FR, 330)
    for text in ("Je suis heureux.", "日本語 🙂 ß", "a\u202fb", "œuvre"):
        ids = tokenizer.encode([text])
        assert UNK not in ids[0] and ids[0][-1] == EOS
        assert tokenizer.decode(ids) == [normalise(text)]
    assert len(tokenizer) == 330
    assert Tokenizer(tokenizer.model).encode(FR[:9]) == tokenizer.encode(FR[:9])


def test_tokens_are_written_with_their_spaces() -> None:
    tokenizer = Tokenizer.train(FR, 330)
    ids = tokenizer.encode(["le chat"])[0]
    assert "".join(tokenizer.tokens(ids)) == "▁le▁chat</s>"


def test_a_model_with_other_special_ids_is_refused() -> None:
    model = io.BytesIO()
    options = {"vocab_size": 120, "hard_vocab_limit": False, "minloglevel": 2}
    spm.SentencePieceTrainer.train(sentence_iterator=iter(FR), model_writer=model, **options)
    with pytest.raises(UserError, match=r"special ids \(-1, 1, 2, 0\), expected \(0, 1, 2, 3\)"):
        Tokenizer(model.getvalue())
    with pytest.raises(UserError, match="cannot be read"):
        Tokenizer(b"not a model")


def test_a_decoded_line_break_becomes_a_space() -> None:
    tokenizer = Tokenizer.train(FR, 330)
    ids = [tokenizer.processor.piece_to_id(piece) for piece in ("▁le", "<0x0A>", "<0x0A>", "▁le")]
    assert tokenizer.decode([ids]) == ["le le"]


def test_spaces_accents_and_apostrophes_have_one_form() -> None:
    assert normalise("\ud83d\ude42") == "\ufffd\ufffd"
    assert normalise(" L’e\u0301te\u0301\u00a0 !\n") == "L'été !"


def test_a_vocabulary_too_large_for_the_text_is_refused() -> None:
    with pytest.raises(UserError, match="vocab_size 9000"):
        Tokenizer.train(FR[:50], 9000)


# --- readers


def compress(path: Path, ending: str) -> Path:
    """Replace a file by a compressed one, in two parts as `cat a.gz b.gz` leaves them, and return its path."""
    content = path.read_bytes()
    halves = content[: len(content) // 2], content[len(content) // 2 :]
    if ending == ".zst":
        packed = b""
        for half in halves:
            buffer = pa.BufferOutputStream()
            with pa.CompressedOutputStream(buffer, "zstd") as stream:
                stream.write(half)
            packed += buffer.getvalue().to_pybytes()
    else:
        packed = b"".join({".gz": gzip, ".bz2": bz2, ".xz": lzma}[ending].compress(half) for half in halves)
    path.unlink()
    path = path.with_name(path.name + ending)
    path.write_bytes(packed)
    return path


def write_zip(path: Path, contents: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def lines(texts: Iterable[str]) -> str:
    return "".join(f"{text}\n" for text in texts)


def tmx(pairs: Iterable[tuple[str, str]], fr: str = "fr", en: str = "en") -> str:
    units = (
        f'<tu><tuv xml:lang="{fr}"><seg>{escape(a)}</seg></tuv><tuv xml:lang="{en}"><seg>{escape(b)}</seg></tuv></tu>'
        for a, b in pairs
    )
    return f'<?xml version="1.0"?>\n<tmx version="1.4"><header/><body>\n{lines(units)}</body></tmx>\n'


SEPARATED = ("tsv", "txt", "csv")


def write_table(path: Path, rows: Iterable[Iterable[str]], encoding: str = "utf-8") -> None:
    """Write CSV with quotes where they are needed, or fields between tabs."""
    with path.open("w", encoding=encoding, newline="") as file:
        if path.suffix == ".csv":
            csv.writer(file).writerows(rows)
        else:
            file.write(lines("\t".join(row) for row in rows))


def write_corpus(folder: Path, form: str) -> Path:
    """Write `PAIRS` in a form, and return the path that a user would give."""
    path = folder / "corpus"
    nested = pa.table({"id": range(len(FR)), "translation": [{"fr": a, "en": b} for a, b in PAIRS]})
    if form in ("folder", "any stem", "prefix", "one side"):
        stem = {"folder": path / "train", "any stem": path / "Books.en-fr"}.get(form, path)
        stem.parent.mkdir(exist_ok=True)
        for lang, side in (("fr", FR), ("en", EN)):
            Path(f"{stem}.{lang}").write_text(lines(side), encoding="utf-8")
        return path.with_suffix(".en") if form == "one side" else path
    if form in SEPARATED:
        path = path.with_suffix(f".{form}")
        write_table(path, [("fr", "en"), *PAIRS])
    elif form == "jsonl":
        path = path.with_suffix(".jsonl")
        path.write_text(lines(json.dumps({"translation": {"en": b, "fr": a}}) for a, b in PAIRS), encoding="utf-8")
    elif form == "parquet":
        path = path.with_suffix(".parquet")
        pa.parquet.write_table(pa.table({"fr": FR, "en": EN}), path)
    elif form == "tmx":
        path = path.with_suffix(".tmx")
        path.write_text(tmx(PAIRS), encoding="utf-8")
    elif form == "zip of texts":  # as OPUS has them
        texts = {"Books.en-fr.fr": lines(FR), "Books.en-fr.en": lines(EN), "README": "x\n", "LICENSE": "x\n"}
        path = write_zip(path.with_suffix(".zip"), texts)
    elif form == "zip of a folder":  # as GitHub has them
        texts = {"master/train.fr": lines(FR), "master/train.en": lines(EN), "__MACOSX/master/._train.fr": "x"}
        path = write_zip(path.with_suffix(".zip"), texts)
    else:  # as on the Hub, where the folder has other files, too
        (path / form).parent.mkdir(parents=True)
        (path / "dataset_infos.json").write_text("{}")
        size = math.ceil(len(FR) / 3)
        for i in range(3):
            name = form.format(f"{i:05}-of-00003") + ".parquet"
            pa.parquet.write_table(nested.slice(i * size, size), path / name)
    return path


def pairs_of(module: TranslationData) -> set[tuple[str, str]]:
    return {pair for split in module.load() for pair in zip(*module.texts(split), strict=True)}


NORMALISED = {(normalise(fr), normalise(en)) for fr, en in PAIRS}
ONE_FILE = ["tsv", "csv", "txt", "jsonl", "parquet", "tmx"]


@pytest.mark.parametrize(
    ("form", "subset"),
    [(form, None) for form in ("folder", "any stem", "prefix", "one side", *ONE_FILE)]
    + [(form, None) for form in ("zip of texts", "zip of a folder", "data/train-{}", "en-fr/train-{}")]
    + [("en-fr/train-{}", "en-fr"), ("en-fr/train/{}", "en-fr")],
)
def test_every_form_of_corpus_gives_the_same_pairs(form: str, subset: str | None, tmp_path: Path) -> None:
    module = data(write_corpus(tmp_path, form), subset=subset, max_ratio=100.0)
    assert pairs_of(module) == NORMALISED
    train, val, test = (set(split["src"]) for split in module.load().values())
    assert val and not (train & val or train & test or val & test)


@pytest.mark.parametrize(
    ("form", "compression"),
    [
        *(("folder", ".gz"), ("prefix", ".xz"), ("one side", ".gz"), ("tsv", ".xz"), ("csv", ".bz2")),
        *(("txt", ".zst"), ("jsonl", ".gz"), ("parquet", ".zst"), ("tmx", ".bz2")),
    ],
)
def test_compressed_files_give_the_same_pairs(form: str, compression: str, tmp_path: Path) -> None:
    path = write_corpus(tmp_path, form)
    for file in [file for file in tmp_path.rglob("*") if file.is_file()]:
        compress(file, compression)
    if form in (*ONE_FILE, "one side"):
        path = path.with_name(path.name + compression)
    assert pairs_of(data(path, max_ratio=100.0)) == NORMALISED


@pytest.mark.parametrize("form", ["zip of texts", "tmx", "tsv"])
def test_a_stream_reads_every_form_of_corpus(form: str, tmp_path: Path) -> None:
    path = write_corpus(tmp_path, form)
    module = data(compress(path, ".gz") if form != "zip of texts" else path, max_ratio=100.0, streaming=True)
    held_out = pairs_of(module)
    decode = module.tokenizer.decode
    trained = [
        pair
        for batch in module.train_dataloader()
        for pair in zip(decode(batch.src.tolist()), decode(batch.tgt.tolist()), strict=True)
    ]
    assert held_out | set(trained) == NORMALISED and not held_out & set(trained)
    assert len(trained) == len(set(trained))


@pytest.mark.parametrize("ending", SEPARATED)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_flag_names_the_columns_of_a_table_without_header_and_others_are_ignored(
    ending: str, encoding: str, tmp_path: Path
) -> None:
    path = tmp_path / f"corpus.{ending}"
    write_table(path, [(str(i), en, fr, "CC-BY") for i, (fr, en) in enumerate(PAIRS)], encoding)
    assert pairs_of(data(path, columns="id, en, fr", max_ratio=100.0)) == NORMALISED


def test_the_zip_of_a_table_is_read_with_the_notes_beside_it(tmp_path: Path) -> None:
    table = lines(f"{en}\t{fr}\tCC-BY 2.0 (France) Attribution: tatoeba.org" for fr, en in PAIRS)
    notes = {"_about.txt": "notes\twith a tab\n", "readme.txt": "notes"}
    path = write_zip(tmp_path / "fra-eng.zip", notes | {"fra.txt": table})
    assert pairs_of(data(path, columns="en,fr", max_ratio=100.0)) == NORMALISED


def test_columns_that_repeat_the_header_do_not_make_a_pair_of_it(tmp_path: Path) -> None:
    path = write_corpus(tmp_path, "tsv")
    assert pairs_of(data(path, columns="fr,en", max_ratio=100.0)) == NORMALISED


@pytest.mark.parametrize("form", ["folder", "jsonl", "tmx", "zip of texts"])
def test_columns_are_refused_for_what_is_not_a_table(form: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--data.columns names the columns of a TSV or CSV table"):
        data(write_corpus(tmp_path, form), columns="fr,en").load()


def test_all_fields_of_a_table_are_text(tmp_path: Path) -> None:
    path = tmp_path / "corpus.csv"
    numbers = [(str(i), f"{i}.0") for i in range(100)]
    write_table(path, [("fr", "en"), *numbers, *PAIRS])
    assert pairs_of(data(path, max_ratio=100.0)) == NORMALISED | set(numbers)


@pytest.mark.parametrize(
    ("stems", "expected"),
    [
        (["train", "val", "test"], {"train": ["train"], "val": ["val"], "test": ["test"]}),
        (
            ["train", "valid", "newstest2014-fren"],
            {"train": ["train"], "val": ["valid"], "test": ["newstest2014-fren"]},
        ),
        (["train", "dev", "test_2016_flickr"], {"train": ["train"], "val": ["dev"], "test": ["test_2016_flickr"]}),
        (["train", "train.lower", "validation"], {"train": ["train"], "val": ["validation"]}),
        (
            ["europarl-v7.fr-en", "commoncrawl.fr-en", "newstest2013", "newstest2014", "newsdev2014"],
            {
                "train": ["commoncrawl.fr-en", "europarl-v7.fr-en"],
                "val": ["newsdev2014"],
                "test": ["newstest2013", "newstest2014"],
            },
        ),
        (["train", "vocab.50K", "latest"], {"train": ["train"]}),
        (["Books.en-fr"], {"train": ["Books.en-fr"]}),
    ],
)
def test_the_split_of_parallel_files_is_taken_from_their_names(
    stems: list[str], expected: dict[str, list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    files = [CorpusFile(Path(f"{stem}.{lang}"), f"{stem}.{lang}") for stem in stems for lang in ("fr", "en", "de")]
    with caplog.at_level("INFO"):
        by_split = pairs_by_split(pair_up(files, "fr", "en")[0])
    assert {split: [pair.stem for pair in pairs] for split, pairs in by_split.items()} == expected
    used = {stem for stems in expected.values() for stem in stems}
    for stem in stems:
        unlike_split = stem not in ("train", "val", "test")
        assert (f"{stem}.fr" in caplog.text) == unlike_split, caplog.text
    assert ("not read: " in caplog.text) == (used != set(stems))


def test_several_files_of_a_split_are_read_one_after_the_other(tmp_path: Path) -> None:
    for i, stem in enumerate(("commoncrawl.fr-en", "europarl-v7.fr-en", "newsdev2014", "newstest2014-fren")):
        write_pairs(tmp_path, stem, PAIRS[80 * i : 80 * (i + 1)])
    module = data(tmp_path, max_ratio=100.0, vocab_size=330)
    assert pairs_of(module) == NORMALISED
    assert set(module.texts("val")[0]) == {normalise(fr) for fr, _ in PAIRS[160:240]}
    assert set(module.texts("test")[0]) == {normalise(fr) for fr, _ in PAIRS[240:]}


def test_a_unit_of_tmx_is_read_without_codes_in_any_variant_of_a_language(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "corpus.tmx"
    extra = """<tu><tuv xml:lang="de"><seg>nein</seg></tuv><tuv xml:lang="EN-us"><seg>no</seg></tuv></tu>
        <tu><tuv lang="FR_ca"><seg>Un <bpt i="1">&lt;b></bpt>chat<ept i="1">&lt;/b></ept> <hi>noir &amp; blanc</hi>
        dort<ph>{0}</ph>.</seg></tuv><tuv xml:lang="EN-us"><seg>A cat sleeps.</seg></tuv>
        <tuv xml:lang="EN-gb"><seg>unused</seg></tuv></tu>"""
    path.write_text(tmx(PAIRS, "FR", "en-GB").replace("</body>", extra + "</body>"), encoding="utf-8")
    with caplog.at_level("INFO"):
        pairs = pairs_of(data(path, max_ratio=100.0))
    assert pairs - NORMALISED == {("Un chat noir & blanc dort.", "A cat sleeps.")} and len(pairs) == len(NORMALISED) + 1
    assert "1 with an empty side" in caplog.text


def test_a_file_that_the_path_names_is_train_and_so_is_the_one_file_of_a_folder_called_test(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    for name in ("test.tsv", "corpus.tsv"):
        table = "".join(f"{fr}\t{en}\n" for fr, en in [("fr", "en"), *PAIRS])
        (tmp_path / "test" / name).write_text(table, encoding="utf-8")
        path = tmp_path / "test" / name if name == "test.tsv" else tmp_path / "test"
        assert len(data(path).load()["train"]) == len(PAIRS) * 9 // 10
        (tmp_path / "test" / name).unlink()


def test_splits_of_the_hub_that_are_not_read_are_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = {name: Dataset.from_dict({"split": [name]}) for name in ("train", "validation", "dev", "extra")}
    monkeypatch.setattr("data.tables.load_dataset", lambda *_, **__: found)
    with caplog.at_level("INFO"):
        splits = load_from_hub("org/name", None, streaming=False)
    assert {split: list(ds["split"]) for split, ds in splits.items()} == {"train": ["train"], "val": ["validation"]}
    assert "org/name: not read: dev, extra" in caplog.text


@pytest.mark.parametrize("kind", ["tsv", "csv"])
def test_words_that_a_table_may_take_for_a_missing_value_are_text(kind: str, tmp_path: Path) -> None:
    words = ["None", "NA", "null", "nan", "N/A"]
    path = tmp_path / f"corpus.{kind}"
    write_table(path, [("fr", "en"), *((f"aucun {word}", word) for word in words), *PAIRS])
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


@pytest.mark.parametrize("form", ["folder", "folder.gz", "zip", "tsv", "tmx"])
def test_a_changed_file_is_read_again(form: str, tmp_path: Path) -> None:
    for pairs in (PAIRS[:300], PAIRS[20:]):
        path = tmp_path / f"corpus.{form}"
        if form == "zip":
            write_zip(path, {"x.fr": lines(fr for fr, _ in pairs), "x.en": lines(en for _, en in pairs)})
        elif form == "tsv":
            write_table(path, [("fr", "en"), *pairs])
        elif form == "tmx":
            path.write_text(tmx(pairs), encoding="utf-8")
        else:
            path.mkdir(exist_ok=True)
            write_pairs(path, "train", pairs)
            for lang in ("fr", "en") if form == "folder.gz" else ():
                compress(path / f"train.{lang}", ".gz")
        assert pairs_of(data(path, max_ratio=100.0)) == {(normalise(fr), normalise(en)) for fr, en in pairs}


def test_every_validation_has_the_same_sentences(corpus: Path) -> None:
    batches = data(corpus, batch_tokens=300).val_dataloader()
    whole = [batch.rows.tolist() for batch in batches]
    assert len(whole) > 2
    for n in (1, 2):  # as `limit_val_batches` has it
        assert [batch.rows.tolist() for batch in islice(batches, n)] == whole[:n]


def test_the_fingerprint_is_that_of_the_training_pairs_and_their_order(corpus: Path, tmp_path: Path) -> None:
    whole = data(corpus).fingerprint
    assert whole and data(corpus, batch_tokens=200, vocab_size=370).fingerprint == whole
    assert data(corpus, streaming=True).fingerprint is None
    for name, pairs in (("fewer", PAIRS[:279]), ("turned", PAIRS[279::-1])):
        folder = Path(shutil.copytree(corpus, tmp_path / name))
        write_pairs(folder, "train", pairs)
        assert data(folder).fingerprint != whole


def test_the_other_direction_swaps_the_sides(corpus: Path) -> None:
    forth, back = data(corpus), data(corpus, source_lang="en", target_lang="fr")
    assert forth.texts("test") == back.texts("test")[::-1]


@pytest.mark.slow
@pytest.mark.usefixtures("small_phrasebook")
def test_the_phrasebook_is_read_in_both_directions_and_as_a_stream() -> None:
    forth = data("phrasebook", vocab_size=1000)
    back = data("phrasebook", vocab_size=1000, source_lang="en", target_lang="fr", streaming=True)
    assert forth.texts("test") == back.texts("test")[::-1]
    for module in (forth, back):
        assert sum(len(batch.rows) for batch in module.train_dataloader()) > 900


def test_garbage_collection_skips_existing_objects_only_while_a_corpus_is_prepared(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = []

    def record(*args: Any, **kwargs: Any) -> Any:
        frozen.append(gc.get_freeze_count())
        return clean(*args, **kwargs)

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
        ({"corpus.csv": b"de,en\na,b\n"}, ("no column 'fr'", "de | en", "--data.columns fr,en")),
        ({"corpus.csv": b"fr,fr,en\na,b,c\n"}, ("more than one column 'fr'", "fr | fr | en")),
        ({"fra.txt": b"Go.\tVa !\tCC-BY\n" * 9}, ("fra.txt has no column 'fr'", "Go. | Va ! | CC-BY", "--data.col")),
        ({"fra.txt": b"x" * 999 + b"\tVa !\n"}, ("xxx...; if",)),
        ({"corpus.csv": b"fr\na\n"}, ("no column 'en'",)),
        ({"corpus.csv": b"fr,en\na,b\na,b,c\n"}, ("corpus.csv", "line 3")),
        ({"corpus.csv": b"fr,en\na,b,c\na,b,c\n"}, ("corpus.csv", "line 2")),
        ({"corpus.csv": b"fr,en\n"}, ("corpus.csv has no rows",)),
        ({"corpus.csv": b""}, ("corpus.csv has no rows",)),
        ({"corpus.jsonl": b'{"fr": 1, "en": 2}\n'}, ("is 1, which is not text",)),
        ({"corpus.tsv": b"fr\ten\n\xe9t\xe9\tb\n"}, ("corpus.tsv, line 2", "UTF-8")),
        ({"corpus.jsonl": b'{"fr": "a", "en": "b"}\n{"fr": "a"\n'}, ("corpus.jsonl, line 2", "not JSON")),
        ({"corpus.jsonl": b'{"translation": {"de": "a", "en": "b"}}\n'}, ("no column 'fr'", "de, en")),
        ({"corpus.parquet": b"PAR1"}, ("cannot be read",)),
        ({"test.tsv": b"fr\ten\na\tb\n"}, ("has no train split, only", "test.tsv")),
        ({"val/corpus.jsonl": b'{"fr": "a", "en": "b"}\n'}, ("has no train split, only", "val/corpus.jsonl")),
        ({"en-fr/train.csv": b"fr,en\na,b\n", "en-de/train.csv": b"de,en\na,b\n"}, ("data.subset",)),
        ({"notes.txt": b"a"}, ("holds no corpus", "train.fr + train.en")),
        ({"a.csv": b"fr,en\na,b\n", "b.tsv": b"fr\ten\na\tb\n"}, ("several kinds (.csv, .tsv)",)),
        ({"a.csv": b"fr,en\na,b\n", "b.csv": b"fr,en\na,b\n"}, ("a.csv: the name of a file must contain its split",)),
        ({"train.fr.gz": b"a\n", "train.en": b"a\n"}, ("train.fr.gz cannot be decompressed: Not a gzipped file",)),
        ({"train.fr": b"a\n", "train.en.gz": gzip.compress(b"a\n")[:-6]}, ("train.en.gz cannot be decompressed",)),
        ({"train.fr": b"a\n", "train.en.bz2": b"a\n"}, ("train.en.bz2 cannot be decompressed: Invalid data stream",)),
        ({"train.fr": b"a\n", "train.en.xz": b"a\n"}, ("train.en.xz cannot be decompressed: Input format",)),
        ({"train.fr": b"a\n", "train.en.zst": b"a\n"}, ("train.en.zst cannot be decompressed: ZSTD",)),
        ({"train.fr.gz": gzip.compress(b"a\n\xff\n"), "train.en": b"a\nb\n"}, ("train.fr.gz, line 2: not UTF-8",)),
        ({"newstest.fr": b"a\n"}, ("newstest.fr has no counterpart", "newstest.en is missing")),
        ({"corpus.tmx": tmx([("a", "b")], fr="de").encode()}, ("corpus.tmx has no", "in fr and en, only de, en")),
        ({"corpus.tmx": tmx([]).encode()}, ("corpus.tmx has no", "only no languages")),
        ({"corpus.tmx": tmx([("a", "b")]).encode()[:-9]}, ("corpus.tmx, line 4: not XML",)),
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


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK", "corpus.zip cannot be unpacked: File is not a zip file"),
        ({"notes": "x"}, "corpus.zip holds no corpus"),
        ({}, "corpus.zip holds no corpus"),
        ({"a/train.fr": "a\n", "a/train.en": "a\nb\n"}, "corpus.zip/train.fr has 1 lines but"),
        ({"fra.txt": "Go.\tVa !\n"}, "corpus.zip/fra.txt has no column 'fr'"),
        ({"train.jsonl": '{"fr": "a", "en": "b"}\n{"fr": "a"\n'}, "corpus.zip/train.jsonl, line 2: not JSON"),
    ],
)
def test_a_bad_zip_is_named_in_one_sentence(content: bytes | dict[str, str], words: str, tmp_path: Path) -> None:
    path = tmp_path / "corpus.zip"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        write_zip(path, content)
    with pytest.raises(UserError, match=re.escape(words)):
        data(path).load()


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "corpus.zip", {"train.fr": "a\n", "train.en": "a\n"})
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # offset of the flags after each header's signature
        start = -1
        while (start := content.find(signature, start + 1)) >= 0:
            content[start + flags] |= 1  # bit 0: encrypted
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"corpus.zip cannot be unpacked: .*encrypted"):
        data(path).load()


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("en,de", "--data.columns en,de must name the column 'fr' once"),
        ("fr,fr", "--data.columns fr,fr must name the column 'fr' once"),
        ("id,en,fr", "names 3 columns, but the first row of .*fra.txt is: Go. | Va !"),
    ],
)
def test_wrong_columns_are_refused_in_one_sentence(columns: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "fra.txt"
    path.write_text("Go.\tVa !\n" * 2, encoding="utf-8")
    with pytest.raises(UserError, match=words.replace("|", r"\|")):
        data(path, columns=columns).load()


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

    _, whole = read(100)
    epoch = len(list(loader(corpus, kind, batch_tokens=300)))
    assert 2 * epoch < len(whole) == 100
    for stop in (5, epoch - 1, epoch, epoch + 3):
        trainer, first = read(stop)
        trainer.save_checkpoint(tmp_path / "stopped.ckpt")
        assert first + read(100, tmp_path / "stopped.ckpt")[1] == whole, stop


# --- several corpora


def two_corpora(tmp_path: Path) -> list[str]:
    """Two folders; the second holds in train two pairs that the first holds out, and the first one of the second's."""
    for name, (train, val, test) in {
        "first": ([*PAIRS[:200], PAIRS[315]], PAIRS[290:300], PAIRS[300:310]),
        "second": ([*PAIRS[200:280], PAIRS[290], PAIRS[305]], PAIRS[280:285], PAIRS[310:320]),
    }.items():
        (tmp_path / name).mkdir()
        for split, pairs in (("train", train), ("val", val), ("test", test)):
            write_pairs(tmp_path / name, split, pairs)
    return [str(tmp_path / name) for name in ("first", "second")]


def test_an_epoch_holds_each_pair_as_often_as_the_weight_of_its_corpus(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    module = TranslationData(path=two_corpora(tmp_path), weights=[1, 3], vocab_size=360, batch_tokens=300)
    with caplog.at_level(logging.INFO):
        module.load()
    assert "first: 1 of 201 training pairs left out, in val or test of another corpus" in caplog.messages
    assert "second: 2 of 82 training pairs left out, in val or test of another corpus" in caplog.messages
    decode = module.tokenizer.decode
    seen = Counter(
        pair
        for batch in module.train_dataloader()
        for pair in zip(decode(batch.src.tolist()), decode(batch.tgt.tolist()), strict=True)
    )
    expected = PAIRS[:200] + PAIRS[200:280] * 3
    assert seen == Counter((normalise(fr), normalise(en)) for fr, en in expected)
    sources, _ = module.texts("val")
    for name, pairs in (("first", PAIRS[290:300]), ("second", PAIRS[280:285])):
        assert [sources[i] for i in module.rows_by_corpus("val")[name]] == [normalise(fr) for fr, _ in pairs]


def test_the_phrasebook_beside_a_corpus_keeps_its_alignments(small_phrasebook: None, tmp_path: Path) -> None:
    first, _ = two_corpora(tmp_path)
    module = TranslationData(path=[first, "phrasebook"], vocab_size=1000)
    module.load()
    assert list(module.rows_by_corpus("test")) == ["first", "phrasebook"]
    alone = data("phrasebook", vocab_size=1000).load()["val"]
    assert module.corpora["phrasebook"]["val"]["alignment"] == alone["alignment"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"path": ["a/corpus", "b/corpus"]}, "two corpora are called 'corpus'"),
        ({"path": ["a", "b"], "weights": [1]}, "data.weights must be 2 numbers"),
        ({"path": ["a", "b"], "weights": [1, 0]}, "data.weights must be 2 numbers"),
        ({"path": ["a", "b"], "streaming": True}, "data.streaming reads one corpus"),
        ({"path": "a", "variants": 0.1, "streaming": True}, "data.streaming reads one corpus"),
        ({"path": "a", "made_up": 0.1, "streaming": True}, "data.streaming reads one corpus"),
        ({"path": "a", "variants": 1.1}, "data.variants must be from 0 to 1"),
        ({"path": "a", "made_up": -0.1}, "data.made_up must be from 0 to 1"),
    ],
)
def test_settings_of_several_corpora_are_checked(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        TranslationData(**settings)


# --- variants


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        (0, ("LA-BAS, C'EST L'ETE !", "IT'S SUMMER THERE!")),
        (1, ("LÀ-BAS, C'EST L'ÉTÉ !", "IT'S SUMMER THERE!")),
        (2, ("La-bas, c'est l'ete !", "It's summer there!")),
        (3, ("Là-bas, c'est l'été", "It's summer there")),
        (4, ("là-bas, c'est l'été", "It's summer there")),
        (5, ("la-bas, c'est l'ete", "It's summer there")),
    ],
)
def test_a_pair_is_written_as_people_type_it(way: int, expected: tuple[str, str]) -> None:
    assert typed("Là-bas, c'est l'été !", "It's summer there!", 6 + way) == expected
    assert typed("?", "?", way) == ("?", "?")


def test_made_up_names_and_numbers_are_the_same_on_both_sides() -> None:
    src, tgt = with_made_up("Zoé a 12 chats et 3 chiens à Paris.", "Zoé has 12 cats and 4 dogs in Paris.", Random(1))
    found = re.fullmatch(r"([\w-]+) a (\d+) chats et 3 chiens à ([\w-]+)\.", src)
    assert found and tgt == f"{found[1]} has {found[2]} cats and 4 dogs in {found[3]}."
    assert "Zoé" not in src and "Paris" not in src and found[1] != found[3]
    assert with_made_up("Le chat dort.", "The cat sleeps.", Random(1)) == ("Le chat dort.", "The cat sleeps.")
    names = {made_up_name(Random(seed)) for seed in range(200)}
    assert len(names) > 190 and all(name[0].isupper() and len(name) >= 2 for name in names)


def test_a_share_of_the_training_pairs_is_written_as_people_type(corpus: Path) -> None:
    plain, changed = data(corpus), data(corpus, variants=0.3)
    n_changed = sum(a != b for a, b in zip(plain.load()["train"]["src"], changed.load()["train"]["src"], strict=True))
    assert 0.2 * 280 < n_changed < 0.4 * 280
    assert plain.texts("val") == changed.texts("val") and plain.texts("test") == changed.texts("test")
    assert data(corpus, variants=0.3).load()["train"]["tgt"] == changed.load()["train"]["tgt"]
