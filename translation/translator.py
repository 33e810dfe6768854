"""Text in, text out: lines are split into sentences, translated by an engine, and joined again."""

import math
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from sentence_splitter import SentenceSplitter, SentenceSplitterException

from constants import EOS, MAX_TOKENS
from errors import UserError
from translation.files import warn
from translation.hypothesis import Hypothesis, SearchOptions

if TYPE_CHECKING:
    import torch

    from data.module import TranslationData
    from model import Transformer

EngineName = Literal["pytorch", "ctranslate2"]
MAX_SOURCE_TOKENS = 200  # longer sentences are translated in parts; training saw few as long
BATCH_SIZE = 64  # sentences translated at once
MAX_ABBREVIATION = 4  # letters of a word in capitals that may be an abbreviation
SENTENCE_END = re.compile(r"[.?!]")


def in_capitals(sentence: str) -> bool:
    """Return whether a sentence is written in capitals; one word of up to four letters may be an abbreviation."""
    words = re.findall(r"[^\W\d_]+", sentence)
    # A capital such as 🅰 is a symbol, and no letter, so there may be no word.
    return sentence.isupper() and (len(words) > 1 or len("".join(words)) > MAX_ABBREVIATION)


class Engine(Protocol):
    """Translates token ids; see `PyTorchEngine.translate` for arguments and result."""

    def translate(
        self,
        sources: Sequence[Sequence[int]],
        options: SearchOptions,
        batch_size: int,
        target_prefix: Sequence[Sequence[int]] | None = None,
    ) -> list[list[Hypothesis]]: ...


class Sentence(NamedTuple):
    """One sentence, or a part of an over-long one.

    line: index of its line.
    ids: its tokens, EOS last.
    hypotheses: its translations, best first.
    capitals: whether its translation is written in capitals, as the sentence was.
    """

    line: int
    ids: list[int]
    hypotheses: list[Hypothesis]
    capitals: bool


class Translation(NamedTuple):
    """A translated line.

    text: its sentences, joined by spaces.
    log_prob, score: sums over its sentences.
    confidence: geometric mean of the probabilities of its tokens, EOS included, from 0 to 1.
    """

    text: str
    log_prob: float
    score: float
    confidence: float


class Translator:
    """A trained model with its tokenizer: text in, text out.

    Attributes:
        tokenizer: the SentencePiece model of the checkpoint.
        data: settings of the corpus that the model was trained on.
        source_lang, target_lang: language codes.
        alignment: which cross-attention aligns words best; None if that was not measured.
    """

    def __init__(self, path: Path, engine: EngineName, precision: str, device: str) -> None:
        """Load a checkpoint; see `load`."""
        self.arguments = path, engine, precision, device
        self.engine: Engine
        if engine == "pytorch":
            from translation.checkpoint import read_checkpoint
            from translation.pytorch_engine import PyTorchEngine, available_devices

            devices = available_devices(device)
            content = read_checkpoint(path)
            self.tokenizer, self.data, self.alignment = content.tokenizer, content.data, content.alignment
            try:
                self.model = content.model.to(devices[0])
                self.engine = PyTorchEngine(self.model, precision, devices)
            except RuntimeError as error:  # too little memory, or a GPU that PyTorch was not built for
                raise UserError(f"--device {device}: {str(error).splitlines()[0]}") from error
        elif engine == "ctranslate2":
            from translation.converted import open_converted
            from translation.ctranslate2_engine import CTranslate2Engine

            converted = open_converted(path)
            self.tokenizer, self.data, self.alignment = converted.tokenizer, converted.data, converted.alignment
            self.engine = CTranslate2Engine(converted.folder, self.tokenizer, precision, device)
        else:
            raise UserError(f"--engine must be pytorch or ctranslate2, not {engine}")
        self.source_lang, self.target_lang = self.data["source_lang"], self.data["target_lang"]
        try:
            self.splitter: SentenceSplitter | None = SentenceSplitter(language=self.source_lang)
        except SentenceSplitterException:  # no rules for this language: a line is a sentence
            self.splitter = None

    @classmethod
    def load(
        cls, path: str | Path, engine: EngineName = "pytorch", precision: str = "32", device: str = "auto"
    ) -> "Translator":
        """Read a checkpoint, which is one file with weights, sizes and tokenizer; no code in it is run.

        Args:
            path: a file that `train.py` has written.
            engine: `pytorch`, our own search on our own network, or `ctranslate2`, the same search in C++.
            precision: of the search: `32`, or `bf16` (both engines), `int8`, `fp16` (ctranslate2).
            device: `auto` (all GPUs, or the CPU where there is none), `cpu`, `cuda:1`, ...

        Raises:
            UserError: the file is missing, corrupt or not a checkpoint of this project, its weights are not finite, or
                the engine has no such device or precision.
        """
        return cls(Path(path).absolute(), engine, precision, device)

    def __reduce__(self) -> tuple[type["Translator"], tuple[Any, ...]]:
        """Pickle a translator as the arguments that load it again."""
        return Translator, self.arguments

    @cached_property
    def model(self) -> "Transformer":
        """The network in eval mode, float32, to look into; the ctranslate2 engine reads it on first use."""
        from translation.checkpoint import read_checkpoint

        return read_checkpoint(self.arguments[0]).model

    @property
    def device(self) -> "torch.device":
        """Where `model` is."""
        return self.model.positions.device

    def translate(
        self, texts: Sequence[str], options: SearchOptions | None = None, batch_size: int = BATCH_SIZE
    ) -> list[str]:
        """Translate lines of text: one string for each, in order; a blank line stays blank."""
        sentences = self.search(texts, options, batch_size)
        return [translations[0].text for translations in self.join(sentences, len(texts))]

    def search(
        self,
        texts: Sequence[str],
        options: SearchOptions | None = None,
        batch_size: int = BATCH_SIZE,
        first_line: int = 1,
        target_prefix: str = "",
    ) -> list[Sentence]:
        """Search the translations of every sentence in lines of text.

        A sentence of more than MAX_SOURCE_TOKENS tokens is translated in parts, with a warning. A translation that the
        length limit ended is reported in a warning, too. A sentence in capitals is translated in lower case, because
        models see few capitals in training, and `join` writes its translation in capitals.

        Args:
            texts: lines; each may hold several sentences, or none.
            options: how to search; None takes the defaults.
            batch_size: most sentences translated at once.
            first_line: number of the first line, for warnings.
            target_prefix: text with which the translation of every line begins.

        Returns:
            The sentences in the order of the text.

        Raises:
            UserError: a GPU has too little memory.
        """
        lines: list[int] = []  # of each sentence
        sources: list[list[int]] = []
        capitals: list[bool] = []
        for line, text in enumerate(texts):
            sentences = self.split_sentences(text)
            written_so = [in_capitals(sentence) for sentence in sentences]
            encoded = self.tokenizer.encode(
                [s.capitalize() if upper else s for s, upper in zip(sentences, written_so, strict=True)]
            )
            if any(len(ids) > MAX_SOURCE_TOKENS for ids in encoded):
                warn(f"line {first_line + line}: a sentence of over {MAX_SOURCE_TOKENS} tokens is translated in parts")
            for ids, upper in zip(encoded, written_so, strict=True):
                for part in self.split_tokens(ids):
                    lines.append(line)
                    sources.append(part)
                    capitals.append(upper)
        prefixes = None
        if target_prefix:
            (ids,) = self.tokenizer.encode([target_prefix])
            is_first = [i == 0 or lines[i] != lines[i - 1] for i in range(len(lines))]
            prefixes = [ids[:-1] if first else [] for first in is_first]
        found = self.engine.translate(sources, options or SearchOptions(), batch_size, prefixes)
        for line, hypotheses in zip(lines, found, strict=True):
            if hypotheses[0].cut:
                warn(f"line {first_line + line}: the translation was ended at {len(hypotheses[0].tokens)} tokens")
        return [Sentence(*each) for each in zip(lines, sources, found, capitals, strict=True)]

    def join(self, sentences: Sequence[Sentence], n_lines: int, n_best: int = 1) -> list[list[Translation]]:
        """Join sentences to lines: the i-th translation of a line joins the i-th of each of its sentences.

        Args:
            sentences: what `search` found.
            n_lines: number of lines that were searched; a line without a sentence is blank, and stays blank.
            n_best: most translations of each line.
        """
        by_line: list[list[Sentence]] = [[] for _ in range(n_lines)]
        for sentence in sentences:
            by_line[sentence.line].append(sentence)
        joined = []
        for parts in by_line:
            n_ranks = min((len(part.hypotheses) for part in parts), default=1)
            joined.append([self.join_hypotheses(parts, rank) for rank in range(min(n_best, n_ranks))])
        return joined

    def join_hypotheses(self, sentences: Sequence[Sentence], rank: int) -> Translation:
        """Join the hypothesis of one rank of each sentence of a line."""
        hypotheses = [sentence.hypotheses[rank] for sentence in sentences]
        texts = self.tokenizer.decode([hypothesis.tokens for hypothesis in hypotheses])
        text = " ".join(t.upper() if s.capitals else t for t, s in zip(texts, sentences, strict=True))
        log_prob = sum((hypothesis.log_prob for hypothesis in hypotheses), 0.0)
        score = sum((hypothesis.score for hypothesis in hypotheses), 0.0)
        n_tokens = sum(len(hypothesis.tokens) for hypothesis in hypotheses)
        return Translation(text, log_prob, score, math.exp(log_prob / max(1, n_tokens)))

    def split_sentences(self, text: str) -> list[str]:
        """Split a line into sentences; a blank line has none."""
        text = " ".join(text.split())
        if not text:
            return []
        # The splitter takes a tenth of the time of a greedy search, so it is called only where it has a choice: where
        # a sentence could end before the last space.
        if self.splitter is None or not SENTENCE_END.search(text, 0, max(0, text.rfind(" "))):
            return [text]
        return self.splitter.split(text)

    def split_tokens(self, ids: list[int]) -> Iterator[list[int]]:
        """Split an over-long sentence, before a word where that is possible."""
        while len(ids) > MAX_SOURCE_TOKENS:
            tokens = self.tokenizer.tokens(ids[:MAX_SOURCE_TOKENS])
            word_starts = [i for i in range(MAX_SOURCE_TOKENS // 2 + 1, MAX_SOURCE_TOKENS) if tokens[i].startswith("▁")]
            cut = word_starts[-1] if word_starts else MAX_SOURCE_TOKENS - 1
            yield [*ids[:cut], EOS]
            ids = ids[cut:]
        yield ids

    def log_probs(self, sources: Sequence[str], targets: Sequence[str], batch_size: int = BATCH_SIZE) -> list[float]:
        """Return the log-probability of each given translation, EOS included, by PyTorch in float32.

        A pair is taken as one sentence, as in training.

        Raises:
            UserError: a line has more tokens than the network has positions.
        """
        from translation.scoring import log_probs_of_pairs

        source_ids, target_ids = self.tokenizer.encode(sources), self.tokenizer.encode(targets)
        for line, pair in enumerate(zip(source_ids, target_ids, strict=True), 1):
            if (longest := max(map(len, pair))) > MAX_TOKENS:
                raise UserError(f"line {line} has {longest:,} tokens, more than the {MAX_TOKENS:,} of the network")
        return log_probs_of_pairs(self.model, source_ids, target_ids, batch_size)

    def corpus(self) -> "TranslationData":
        """Return the corpus that the model was trained on, with the tokenizer of the model.

        Raises:
            UserError: the checkpoint names no corpus, or describes it as another version of this program did.
        """
        from data.module import TranslationData  # imports Lightning, which takes seconds

        if not self.data.get("path"):
            raise UserError("the checkpoint names no corpus of its own: give --source and --reference")
        try:
            data = TranslationData(**self.data)
        except TypeError as error:
            raise UserError(
                f"the checkpoint describes its corpus as another version did ({error}): for a score, "
                "give --source and --reference"
            ) from error
        data.given_tokenizer = self.tokenizer
        return data
