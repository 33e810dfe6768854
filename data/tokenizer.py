"""Conversion between text and token ids by a SentencePiece model, which is stored in the checkpoint."""

import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import sentencepiece as spm

from constants import BOS, EOS, PAD, UNK
from errors import UserError


def normalise(text: str) -> str:
    """Return the text in Unicode NFC, with single plain spaces between words and straight apostrophes.

    Surrogates (U+D800 to U+DFFF), which a Python string may hold but UTF-8 cannot encode, become U+FFFD.
    """
    text = re.sub("[\ud800-\udfff]", "\ufffd", text)
    return " ".join(unicodedata.normalize("NFC", text).replace("’", "'").split())


def with_marks(sentences: Iterable[str]) -> Iterator[str]:
    """Yield sentences, and then each word with two different marks, a twentieth as often as it occurs.

    SentencePiece starts from substrings that are followed by at least two different characters. A word that a space
    follows everywhere, such as "are" or "une", is none of them, and would be split however frequent it is.
    """
    counts: Counter[str] = Counter()
    for sentence in sentences:
        counts.update(sentence.split())
        yield sentence
    for word, n in counts.items():
        if word[-1].isalpha():
            yield from [f"{word}.", f"{word},"] * (n // 20)


class Tokenizer:
    """A trained SentencePiece model.

    Characters that the training text lacks are encoded as UTF-8 bytes, one token each, so that no input is unknown.
    """

    def __init__(self, model: bytes) -> None:
        """Load a serialised SentencePiece model.

        Raises:
            UserError: if `model` is not a SentencePiece model or has other special ids than `constants`.
        """
        self.model = model
        try:
            self.processor = spm.SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise UserError("the SentencePiece model cannot be read; train the checkpoint anew") from error
        found = tuple(getattr(self.processor, f"{name}_id")() for name in ("pad", "bos", "eos", "unk"))
        expected = (PAD, BOS, EOS, UNK)
        if found != expected:
            raise UserError(f"the SentencePiece model has special ids {found}, expected {expected}")

    @classmethod
    def train(cls, sentences: Iterable[str], vocab_size: int) -> "Tokenizer":
        """Return a tokenizer trained on normalised sentences of both languages.

        Source: Kudo 2018, "Subword Regularization" (the unigram model).

        Args:
            sentences: training text, normalised by `normalise`.
            vocab_size: number of tokens, special tokens and 256 bytes included.

        Raises:
            UserError: if the text is too small for so many tokens.
        """
        model = io.BytesIO()
        try:
            spm.SentencePieceTrainer.train(
                sentence_iterator=with_marks(sentences),
                model_writer=model,
                vocab_size=vocab_size,
                model_type="unigram",
                normalization_rule_name="identity",  # `normalise` keeps differences that SentencePiece's NFKC removes
                byte_fallback=True,
                character_coverage=1.0,
                input_sentence_size=1_000_000,
                pad_id=PAD,
                bos_id=BOS,
                eos_id=EOS,
                unk_id=UNK,
                minloglevel=2,
            )
        except RuntimeError as error:
            detail = str(error).split("] ")[-1]  # the text after the condition that failed
            raise UserError(
                f"the training text is too small for data.vocab_size {vocab_size}: lower it, or give more text "
                f"({detail})"
            ) from error
        return cls(model.getvalue())

    def __len__(self) -> int:
        """Return V, the size of the vocabulary."""
        return self.processor.vocab_size()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, EOS last."""
        # SentencePiece starts threads for a list of texts, which takes 10x longer than the encoding of one sentence.
        return [self.processor.encode(normalise(text), add_eos=True) for text in texts]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Return the text of each row of ids, without special tokens.

        Each text is one line: a byte token may be a line break, which becomes a space.
        """
        return [" ".join(self.processor.decode([i for i in row if i > UNK]).split()) for row in ids]

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Return the tokens as SentencePiece writes them, with `▁` for the space before a word."""
        return [self.processor.id_to_piece(i) for i in ids]
