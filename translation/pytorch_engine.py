"""The PyTorch engine: our search on our network."""

import copy
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import torch

from data.batching import pad
from errors import UserError
from model import Transformer
from translation.hypothesis import Hypothesis, SearchOptions
from translation.search import search_translations

PRECISIONS = ("32", "bf16")
CPU_BATCH_TOKENS = 4096  # source tokens of a batch on CPU: larger batches leave the processor's cache


def available_devices(device: str) -> list[str]:
    """Resolve `auto` to all GPUs, or to the CPU where there is none.

    Raises:
        UserError: PyTorch has no such device.
    """
    devices = [device]
    if device == "auto":
        devices = [f"cuda:{i}" for i in range(torch.cuda.device_count())] or ["cpu"]
    try:
        torch.empty(0, device=devices[0])
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {device}: {str(error).splitlines()[0]}") from None
    return devices


class PyTorchEngine:
    """Translates token ids by `search_translations`; several GPUs divide the batches among themselves."""

    def __init__(self, model: Transformer, precision: str, devices: Sequence[str]) -> None:
        """Copy the model to every device.

        Args:
            model: in float32, on the first device; it is left unchanged.
            precision: `32`, or `bf16` for weights and activations in bfloat16.
            devices: names of PyTorch devices.

        Raises:
            UserError: the precision is unknown.
        """
        if precision not in PRECISIONS:
            raise UserError(
                f"--precision {precision} is not one of {', '.join(PRECISIONS)}, as --engine pytorch has it"
            )
        if precision == "bf16":
            model = copy.deepcopy(model).bfloat16()
        others = [copy.deepcopy(model).to(device) for device in devices[1:]]
        self.models = [model, *others]

    def translate(
        self,
        sources: Sequence[Sequence[int]],
        options: SearchOptions,
        batch_size: int,
        target_prefix: Sequence[Sequence[int]] | None = None,
    ) -> list[list[Hypothesis]]:
        """Search the translations of sentences.

        Args:
            sources: ids of each sentence, EOS last.
            options: how to search.
            batch_size: most sentences translated at once.
            target_prefix: ids with which each translation begins; None for no prefix.

        Returns:
            The hypotheses of each sentence, in the order of the sources.

        Raises:
            UserError: a GPU has too little memory.
        """
        prefixes = target_prefix or [[]] * len(sources)
        idle: SimpleQueue[Transformer] = SimpleQueue()
        for model in self.models:
            idle.put(model)

        def translate_batch(rows: list[int]) -> list[list[Hypothesis]]:
            model = idle.get()
            try:
                src = pad([sources[i] for i in rows]).to(model.positions.device)
                return search_translations(model, src, options, [prefixes[i] for i in rows])
            finally:
                idle.put(model)

        batches = self.batches([len(ids) for ids in sources], batch_size)
        found: list[list[Hypothesis]] = [[] for _ in sources]
        try:
            with ThreadPoolExecutor(len(self.models)) as pool:
                for rows, results in zip(batches, pool.map(translate_batch, batches), strict=True):
                    for i, hypotheses in zip(rows, results, strict=True):
                        found[i] = hypotheses
        except torch.OutOfMemoryError as error:
            raise UserError(f"the GPU has too little memory: lower --batch_size {batch_size}") from error
        return found

    def batches(self, lengths: Sequence[int], batch_size: int) -> list[list[int]]:
        """Group sentences of similar length, longest first -> rows of each batch."""
        on_cpu = self.models[0].positions.device.type == "cpu"
        order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
        batches = []
        while order:
            size = batch_size
            if on_cpu:
                size = min(size, max(1, CPU_BATCH_TOKENS // lengths[order[0]]))
            batches.append(order[:size])
            order = order[size:]
        return batches
