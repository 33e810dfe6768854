"""Text <-> ids, by a SentencePiece model that travels inside the checkpoint."""

import io
import re
import unicodedata
from collections.abc import Iterable, Sequence

import sentencepiece as spm
import torch
from torch import Tensor

from errors import UserError

PAD, BOS, EOS, UNK = 0, 1, 2, 3


def normalise(text: str) -> str:
    """Write the same text in the same way: Unicode NFC, one plain space between words, one kind of apostrophe.

    Halves of UTF-16 pairs, which a Python string may hold but no text can, become U+FFFD.
    """
    text = re.sub("[\ud800-\udfff]", "\ufffd", text)
    return " ".join(unicodedata.normalize("NFC", text).replace("’", "'").split())


class Tokenizer:
    """A trained SentencePiece model.

    Bytes stand in for characters that were never seen, so that no input is unknown.
    """

    def __init__(self, model: bytes) -> None:
        """Args: model, a serialised SentencePiece model.  Raises UserError if it is none, or has other special ids."""
        self.model = model
        try:
            self.processor = spm.SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise UserError("the SentencePiece model cannot be read; train the checkpoint anew") from error
        ids = tuple(getattr(self.processor, f"{name}_id")() for name in ("pad", "bos", "eos", "unk"))
        if ids != (PAD, BOS, EOS, UNK):
            raise UserError(f"the SentencePiece model has special ids {ids}, expected {(PAD, BOS, EOS, UNK)}")

    @classmethod
    def train(cls, sentences: Iterable[str], vocab_size: int) -> "Tokenizer":
        """Learn `vocab_size` pieces, special ids and 256 bytes included, from normalised sentences of both languages.

        Raises UserError where the text is too small for so many pieces.

        Source: Kudo 2018, "Subword Regularization" (the unigram model).
        """
        model = io.BytesIO()
        try:
            spm.SentencePieceTrainer.train(
                sentence_iterator=iter(sentences),
                model_writer=model,
                vocab_size=vocab_size,
                model_type="unigram",
                normalization_rule_name="identity",  # `normalise` has done it, and loses nothing
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
            raise UserError(
                f"the training text is too small for data.vocab_size {vocab_size}: lower it, or give more text "
                f"({str(error).split(') ')[-1]})"
            ) from error
        return cls(model.getvalue())

    def __len__(self) -> int:
        """Return V."""
        return self.processor.vocab_size()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Texts -> ids, the end mark last."""
        # One by one: for a list SentencePiece starts threads, which takes ten times longer than a sentence.
        return [self.processor.encode(normalise(text), add_eos=True) for text in texts]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Ids -> texts of one line each; special ids vanish.

        A byte piece may be a line break, which must not break the rule of one output line for each input line.
        """
        return [" ".join(self.processor.decode([i for i in row if i > UNK]).split()) for row in ids]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Ids -> pieces as SentencePiece writes them, `▁` before a word."""
        return [self.processor.id_to_piece(i) for i in ids]


def pad(rows: Sequence[Sequence[int]]) -> Tensor:
    """Stack id lists to a rectangle, padded on the right."""
    width = max(map(len, rows), default=1)
    return torch.tensor([[*row, *[PAD] * (width - len(row))] for row in rows], dtype=torch.long).view(len(rows), width)
