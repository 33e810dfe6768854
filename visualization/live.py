"""The live page: one HTML file that holds a trained model and translates in the browser, without a network."""

import base64
import copy
import gzip
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from constants import MAX_TOKENS
from data.tokenizer import Tokenizer
from errors import UserError
from model import Transformer
from translation.hypothesis import LENGTH_PENALTY
from translation.translator import MAX_SOURCE_TOKENS, Translator
from visualization.template import fill

WeightFormat = Literal["int8", "float16"]
WEIGHT_FORMATS: tuple[WeightFormat, ...] = get_args(WeightFormat)
MAX_PARAMETERS = 40_000_000  # about 55 MB of HTML in int8; browsers open larger files slowly or not at all
INT8_MAX = 127
EXAMPLES = {
    "fr": (
        "Le robot a pris la balle parce qu'elle était rouge.",
        "Le robot a pris la balle parce qu'il était rouge.",
        "La fille est petite mais elle court.",
        "Je suis heureux.",
    ),
    "en": (
        "The robot took the ball because it was red.",
        "The girl is small but she is running.",
        "I am happy.",
    ),
}
PAIRS = {"fr": EXAMPLES["fr"][:2]}  # two sentences that differ in one word, to patch heads of one with the other


def live(translator: Translator, weights: WeightFormat = "int8", start: str = "") -> str:
    """Return an HTML page that holds the model of a translator and runs it.

    Args:
        translator: its model is not changed.
        weights: how the page stores matrices: `int8` with one scale per row, or `float16`.
        start: fragment for a page that is opened without one, such as `t=Il dort.&b=4`.

    Returns:
        HTML of about 1.35 bytes (int8) or 2.5 bytes (float16) for each parameter, and 0.4 MB for code and tokenizer.

    Raises:
        UserError: the model has more than MAX_PARAMETERS parameters, or the format is unknown.
    """
    check_size(translator.model)
    config = translator.model.config
    data = {
        "start": start,
        "sourceLang": translator.source_lang,
        "targetLang": translator.target_lang,
        "examples": EXAMPLES.get(translator.source_lang, ()),
        "pair": PAIRS.get(translator.source_lang, ()),
        "maxSourceTokens": MAX_SOURCE_TOKENS,
        "lengthPenalty": LENGTH_PENALTY,
        "config": {
            "vocabSize": config.vocab_size,
            "dModel": config.d_model,
            "nHeads": config.n_heads,
            "nEncoderLayers": config.n_encoder_layers,
            "nDecoderLayers": config.n_decoder_layers,
            "dFf": config.d_ff,
            "norm": config.norm,
            "maxTokens": MAX_TOKENS,
        },
        "parameters": count_parameters(translator.model),
        "tokenizer": describe_tokenizer(translator.tokenizer),
        "weights": describe_weights(translator.model, weights),
    }
    return fill("live.html", data)


def count_parameters(model: Transformer) -> int:
    """Return the number of trained weights."""
    return sum(parameter.numel() for parameter in model.parameters())


def check_size(model: Transformer) -> None:
    """Raise UserError if the model is too large for a page."""
    n_parameters = count_parameters(model)
    if n_parameters > MAX_PARAMETERS:
        raise UserError(
            f"the model has {n_parameters / 1e6:.0f} million parameters, but a page holds at most "
            f"{MAX_PARAMETERS / 1e6:.0f} million: give a smaller --checkpoint, or write single sentences with "
            "`visualize.py export` and `visualize.py lesson`"
        )


def describe_tokenizer(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return what live_tokenizer.js needs of a SentencePiece model.

    pieces: every token by id. scores: float32 in base64. reserved: ids that no text matches: special tokens, bytes and
    unused tokens. bytes: ids of the bytes 0 to 255.
    """
    processor = tokenizer.processor
    ids = range(len(tokenizer))
    never_matched = (processor.is_control, processor.is_unknown, processor.is_byte, processor.is_unused)
    scores = np.array([processor.get_score(i) for i in ids], dtype="<f4")
    return {
        "pieces": [processor.id_to_piece(i) for i in ids],
        "scores": to_base64(scores.tobytes()),
        "reserved": [i for i in ids if any(test(i) for test in never_matched)],
        "bytes": [processor.piece_to_id(f"<0x{byte:02X}>") for byte in range(256)],
    }


def quantise(matrix: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Round a matrix (rows, columns) to int8 with one scale per row.

    A row is divided by its scale, the largest absolute value divided by 127, and rounded to the nearest integer. The
    error of an entry is at most half a scale.

    Returns:
        The scales (rows,), float32, and the integers (rows, columns), int8.
    """
    values = matrix.detach().float().cpu().numpy()
    scales = np.abs(values).max(axis=1) / np.float32(INT8_MAX)  # (rows,)
    divisors = np.where(scales == 0, np.float32(1), scales)[:, None]  # a row of zeros stays a row of zeros
    return scales, np.rint(values / divisors).astype(np.int8)


def dequantise(scales: np.ndarray, integers: np.ndarray) -> Tensor:
    """Return the matrix that int8 stands for, in float32, as live_weights.js computes it."""
    return torch.from_numpy(integers.astype(np.float32) * scales[:, None])


def round_weights(model: Transformer, weights: WeightFormat) -> Transformer:
    """Return a copy of a model with exactly the weights that a page of this format computes with."""
    rounded = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in rounded.parameters():
            if parameter.dim() == 1:
                continue
            parameter.copy_(dequantise(*quantise(parameter)) if weights == "int8" else parameter.half().float())
    return rounded


def describe_weights(model: Transformer, weights: WeightFormat) -> dict[str, Any]:
    """Return all parameters as JSON: names and shapes, and their bytes, compressed, in base64.

    The bytes of the parameters follow each other in the order of `shapes`, little-endian. Biases and layer norms are
    float32. A matrix is float16, or int8 after the float32 scales of its rows.

    Raises:
        UserError: the format is unknown.
    """
    if weights not in WEIGHT_FORMATS:
        raise UserError(f"--weights must be one of {', '.join(WEIGHT_FORMATS)}, not {weights}")
    shapes: dict[str, list[int]] = {}
    content = bytearray()
    for name, parameter in model.named_parameters():
        shapes[name] = list(parameter.shape)
        if parameter.dim() == 1:
            content += parameter.detach().float().cpu().numpy().astype("<f4").tobytes()
        elif weights == "float16":
            content += parameter.detach().half().cpu().numpy().astype("<f2").tobytes()
        else:
            scales, integers = quantise(parameter)
            content += scales.astype("<f4").tobytes() + integers.tobytes()
    # Without a time stamp, so that the same model gives the same page.
    return {"format": weights, "shapes": shapes, "gzip": to_base64(gzip.compress(bytes(content), 9, mtime=0))}


def to_base64(content: bytes) -> str:
    """Return bytes as base64 text."""
    return base64.b64encode(content).decode()
