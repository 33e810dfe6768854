"""The corpus of the phrasebook: train, val and test, generated from a seed."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

from data.phrasebook.grammar import SET_PHRASES, Grammar

SIZES = {"val": 1000, "test": 1000, "train": 110_000}
HELD_OUT = "Je suis heureux"  # in no split, however it is typed: the sentence of the lessons
EVERYDAY = Path(__file__).parent / "everyday.tsv"  # sentences to judge by, in no split unless they are set phrases
BUCKETS = 16  # one of them is val, one is test


def bare(text: str) -> str:
    """Return a sentence without case and final mark, by which splits are told apart."""
    return text.rstrip(" .?!").lower()


def everyday() -> list[tuple[str, list[str]]]:
    """Return the French sentences of `everyday.tsv`, each with its acceptable translations."""
    rows = (line.split("\t") for line in EVERYDAY.read_text(encoding="utf-8").splitlines())
    return [(french, english.split("|")) for french, english in rows]


def split_of(french: str, seed: int) -> str:
    """Return the split of a French sentence: a hash of its bare text chooses one of 16 buckets."""
    digest = hashlib.blake2b(f"{seed} {bare(french)}".encode(), digest_size=4).digest()
    return {0: "val", 1: "test"}.get(int.from_bytes(digest) % BUCKETS, "train")


def generate(seed: int, split: str, stamp: str = "") -> Iterator[dict[str, Any]]:
    """Yield the pairs of one split; `stamp` only changes the name under which `datasets` caches them.

    No sentence is in two splits, whatever its case and mark. In val and test each occurs once. In train a sentence
    occurs as often as the grammar draws it, which is how often people say it. Set phrases and single words are in train
    only, because none of them can be inferred from the others.
    """
    grammar = Grammar(seed if split == "train" else f"{seed} {split}")
    held_out = {bare(HELD_OUT), *(bare(french) for french, _ in everyday())}
    set_phrases = {bare(french) for french in SET_PHRASES}
    seen: set[str] = set()
    n = 0
    while n < SIZES[split]:
        row = grammar.sentence()
        if row["set_phrase"]:
            wanted = split == "train"
        else:
            text = bare(row["fr"])
            fixed = text in set_phrases  # which a rule may generate, too
            wanted = text not in held_out and split == ("train" if fixed else split_of(text, seed)) and text not in seen
            if split != "train":
                seen.add(text)
        if wanted:
            n += 1
            yield row


def load(source_lang: str, target_lang: str, seed: int) -> DatasetDict:
    """Return train, val and test in the given direction, with alignment and pronoun links beside each pair."""
    files = sorted(Path(__file__).parent.glob("*.*"))
    # The cache key holds a hash of the package, so that a changed word or rule invalidates the cache.
    stamp = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    splits = {
        name: Dataset.from_generator(generate, gen_kwargs={"seed": seed, "split": name, "stamp": stamp})
        for name in SIZES
    }
    return DatasetDict(splits).rename_columns({source_lang: "src", target_lang: "tgt"})
