"""The CTranslate2 engine: the same weights and the same search, in C++. Nothing here imports PyTorch."""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ctranslate2

from constants import BOS, EOS, PAD
from data.tokenizer import Tokenizer
from errors import UserError
from translation.hypothesis import Hypothesis, SearchOptions, max_length

COMPUTE_TYPES = {"32": "float32", "int8": "int8", "fp16": "float16", "bf16": "bfloat16"}  # by --precision
NO_PENALTY = 1e-9  # at exactly 0 CTranslate2 stops at the first finished hypothesis, which is another search
OUT_OF_MEMORY = "out of memory"  # in CTranslate2's message


class CTranslate2Engine:
    """Translates token ids by CTranslate2; all GPUs, or all cores, work on different batches at the same time."""

    def __init__(self, folder: Path, tokenizer: Tokenizer, precision: str = "32", device: str = "auto") -> None:
        """Load a converted model.

        Args:
            folder: what `translation.conversion.convert` wrote.
            tokenizer: of the model.
            precision: one of `COMPUTE_TYPES`.
            device: `auto` (all GPUs, or all cores where there is none), `cpu`, `cuda` or `cuda:1`.

        Raises:
            UserError: CTranslate2 has no such device, or the device no such precision, or too little memory.
        """
        n_gpus = ctranslate2.get_cuda_device_count()
        if device == "auto":
            device = "cuda" if n_gpus else "cpu"
        kind, _, number = device.partition(":")
        indices = [int(number)] if number.isdecimal() else list(range(n_gpus))
        if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
            raise UserError(f"--device {device}: --engine ctranslate2 has the devices cpu, cuda and cuda:NUMBER")
        if kind == "cuda" and not (indices and max(indices) < n_gpus):
            raise UserError(f"--device {device}: CTranslate2 finds {n_gpus} GPUs")
        if precision not in COMPUTE_TYPES:
            known = ", ".join(COMPUTE_TYPES)
            raise UserError(f"--precision {precision} is not one of {known}, as --engine ctranslate2 has it")
        supported = ctranslate2.get_supported_compute_types(kind)
        if COMPUTE_TYPES[precision] not in supported:
            known = ", ".join(name for name, compute_type in COMPUTE_TYPES.items() if compute_type in supported)
            raise UserError(f"--precision {precision}: this {kind} device supports {known}")
        settings: dict[str, object] = {"compute_type": COMPUTE_TYPES[precision], "device": kind}
        if kind == "cuda":
            settings["device_index"] = indices
        else:  # Batches side by side, one on each core, are faster than one batch on all cores.
            settings |= {"inter_threads": usable_threads(), "intra_threads": 1}
        try:
            self.translator = ctranslate2.Translator(str(folder), **settings)
        except RuntimeError as error:
            if OUT_OF_MEMORY in str(error):
                raise UserError(
                    f"--device {device}: the GPU has too little memory for the model: give another --device, or "
                    "--precision int8"
                ) from error
            raise
        self.vocabulary = tokenizer.tokens(range(len(tokenizer)))
        self.ids = {token: i for i, token in enumerate(self.vocabulary)}

    def translate(
        self,
        sources: Sequence[Sequence[int]],
        options: SearchOptions,
        batch_size: int,
        target_prefix: Sequence[Sequence[int]] | None = None,
    ) -> list[list[Hypothesis]]:
        """Search the translations of sentences; arguments and result are those of `PyTorchEngine.translate`.

        Raises:
            UserError: a GPU has too little memory.
        """
        prefixes = target_prefix or [[]] * len(sources)
        # CTranslate2 has one length limit for a call, ours depends on the sentence: one call for each limit. Sentences
        # of a call have the same length, so there is no padding either.
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for row, (ids, prefix) in enumerate(zip(sources, prefixes, strict=True)):
            groups[len(ids), len(prefix)].append(row)
        pending: list[tuple[int, Any]] = []
        for (source_length, prefix_length), rows in sorted(groups.items(), reverse=True):
            results = self.translator.translate_batch(
                [self.tokens(sources[row][:-1]) for row in rows],  # CTranslate2 adds EOS
                target_prefix=[self.tokens(prefixes[row]) for row in rows] if prefix_length else None,
                max_batch_size=batch_size,
                beam_size=options.beam_size,
                num_hypotheses=options.n_best,
                length_penalty=options.length_penalty or NO_PENALTY,
                no_repeat_ngram_size=options.no_repeat_ngram_size or 0,
                min_decoding_length=options.min_length,
                max_decoding_length=max_length(source_length, prefix_length),
                max_input_length=0,  # no truncation: the caller has split long sentences
                disable_unk=True,
                suppress_sequences=[[self.vocabulary[PAD]], [self.vocabulary[BOS]]],
                return_scores=True,
                return_end_token=True,  # EOS counts as a token of the length that divides the score
                asynchronous=True,
            )
            pending += zip(rows, results, strict=True)
        found: list[list[Hypothesis]] = [[] for _ in sources]
        for row, future in pending:
            try:
                result = future.result()
            except RuntimeError as error:
                if OUT_OF_MEMORY in str(error):
                    raise UserError(f"the GPU has too little memory: lower --batch_size {batch_size}") from error
                raise
            for tokens, score in zip(result.hypotheses, result.scores, strict=True):
                ids = [self.ids[token] for token in tokens]
                log_prob = score * len(ids) ** options.length_penalty
                found[row].append(Hypothesis(ids, log_prob, score, cut=ids[-1] != EOS))
        return found

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Return the tokens of ids, as CTranslate2 takes them."""
        return [self.vocabulary[i] for i in ids]


def usable_threads() -> int:
    """Return the number of threads that compute: one for each usable core, at most OMP_NUM_THREADS."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, int(limit)) if limit.isdecimal() and int(limit) else cores
