"""Translate: `python translate.py "Je suis heureux"`, or `python translate.py --input FILE --output FILE`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from data import Tokenizer
from errors import UserError
from model import Hypothesis, Transformer, search
from model.search import max_length, translation_step
from data.batching import pad


class Translator:
    def __init__(self, model: Transformer, tokenizer: Tokenizer, data: dict[str, Any]) -> None:
        self.model, self.tokenizer, self.data = model.eval(), tokenizer, data
        self.source_lang = data["source_lang"]

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> "Translator":
        ckpt = torch.load(path, map_location=device, weights_only=True)
        h = ckpt["hyper_parameters"]
        sizes = ("vocab_size", "d_model", "n_heads", "n_encoder_layers", "n_decoder_layers", "d_ff", "dropout", "norm")
        model = Transformer(**{k: h[k] for k in sizes})
        model.load_state_dict({k.removeprefix("model."): v for k, v in ckpt["state_dict"].items()})
        return cls(model.to(device), Tokenizer(bytes(ckpt["sentencepiece"].tolist())), ckpt["datamodule_hyper_parameters"])

    @torch.inference_mode()
    def translate(self, texts: Sequence[str], beam_size: int = 4) -> list[str]:
        ids = self.tokenizer.encode(texts)
        out: list[str] = [""] * len(texts)
        order = sorted(range(len(texts)), key=lambda i: len(ids[i]))
        for a in range(0, len(order), 64):
            rows = order[a : a + 64]
            found = search(
                translation_step(self.model, pad([ids[i] for i in rows])),
                torch.tensor([max_length(len(ids[i])) for i in rows]),
                beam_size,
            )
            for i, text in zip(rows, self.tokenizer.decode([h[0].tokens for h in found]), strict=True):
                out[i] = text
        return out
