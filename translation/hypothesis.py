"""What a search returns and what it can be told; both engines share these types."""

from dataclasses import dataclass
from typing import NamedTuple

from constants import MAX_TOKENS
from errors import UserError

LENGTH_PENALTY = 1.2  # best mean BLEU on validation sets among 0.8, 1, 1.2, 1.5, 2; see docs/translation.md
MAX_LENGTH_PENALTY = 10  # MAX_TOKENS to this power is far below the largest float


class Hypothesis(NamedTuple):
    """One translation that a search has found.

    tokens: ids without BOS. EOS is the last one, unless `cut`.
    log_prob: natural logarithm of its probability, EOS included. Tokens of a given prefix count as certain, and where
        a repetition is forbidden, its probability counts for the other tokens.
    score: log_prob / length^alpha (`SearchOptions.length_penalty`), by which hypotheses of one sentence are ranked.
    cut: whether the length limit, not the model, ended it.
    """

    tokens: list[int]
    log_prob: float
    score: float
    cut: bool


@dataclass(frozen=True)
class SearchOptions:
    """How to search for translations; each option has the same meaning in both engines.

    Args:
        beam_size: K, hypotheses kept at every step; 1 is greedy search.
        n_best: hypotheses returned for each sentence, at most beam_size.
        length_penalty: alpha in score = log_prob / length^alpha, where length counts the tokens, EOS included. A sum of
            log-probabilities falls with every token; a larger alpha favours longer translations. From 0 to 10.
        no_repeat_ngram_size: no sequence of so many tokens occurs twice in a translation; 0 sets no such rule. None
            sets it only for a translation that runs in a loop, which is then searched again (`Translator.search`).
        min_length: least number of tokens before EOS.

    Raises:
        UserError: a number is out of range.
    """

    beam_size: int = 4
    n_best: int = 1
    length_penalty: float = LENGTH_PENALTY
    no_repeat_ngram_size: int | None = None
    min_length: int = 1

    def __post_init__(self) -> None:
        for name, least in (("beam_size", 1), ("n_best", 1), ("no_repeat_ngram_size", 0), ("min_length", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UserError(f"--{name} must be at least {least}, not {value}")
        if not 0 <= self.length_penalty <= MAX_LENGTH_PENALTY:
            raise UserError(f"--length_penalty must be from 0 to {MAX_LENGTH_PENALTY}, not {self.length_penalty}")
        if self.n_best > self.beam_size:
            raise UserError(f"--n_best {self.n_best} must not be larger than --beam_size {self.beam_size}")


def max_length(source_length: int, prefix_length: int = 0) -> int:
    """Return the most tokens of a translation: 2 for each source token and 10 more, but at most MAX_TOKENS."""
    return min(MAX_TOKENS, 2 * source_length + 10 + prefix_length)
