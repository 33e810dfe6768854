"""CTranslate2 as a peer: our own weights in its engine. Imports nothing of ours that imports PyTorch."""

import unicodedata
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import ctranslate2
import sentencepiece as spm


class Settings(NamedTuple):
    """What makes CTranslate2 faster or slower at the same work: threads, and source tokens in a batch."""

    translators: int
    threads: int
    batch_tokens: int

    @classmethod
    def whole_machine(cls, cores: int) -> "Settings":
        """One translator on all cores, the ordinary way."""
        return cls(1, cores, 1024)

    @classmethod
    def worth_a_try(cls, cores: int) -> "list[Settings]":
        """All cores on one batch or a batch on each core, small batches or large ones."""
        return [cls(n, cores // n, size) for n in sorted({1, cores}) for size in (1024, 4096)]


class CTranslate:
    """Text in, text out, as a user of CTranslate2 would write it."""

    def __init__(self, model: Path, precision: str, device: str = "cpu") -> None:
        """Args: model, a folder that `convert` made; precision, one of its compute types; device."""
        self.processor = spm.SentencePieceProcessor(model_file=str(model / "sentencepiece.model"))
        self.open = partial(ctranslate2.Translator, str(model), device=device, compute_type=precision)
        self.engines: dict[Settings, Any] = {}  # all that were asked for

    def translate(self, texts: Sequence[str], settings: Settings, beam_size: int, length_penalty: float) -> list[str]:
        """Translate sentences; it sorts them by length itself."""
        if settings not in self.engines:
            self.engines[settings] = self.open(inter_threads=settings.translators, intra_threads=settings.threads)
        normal = [" ".join(unicodedata.normalize("NFC", text).replace("’", "'").split()) for text in texts]
        results = self.engines[settings].translate_batch(
            self.processor.encode(normal, out_type=str),
            max_batch_size=settings.batch_tokens,
            batch_type="tokens",
            beam_size=beam_size,
            length_penalty=length_penalty,
        )
        return self.processor.decode([result.hypotheses[0] for result in results])
