"""Reading of checkpoints, which may come from anywhere: no code in them is run, and nothing in them is trusted."""

import pickle
from pathlib import Path
from typing import Any, NamedTuple

import torch

from data.tokenizer import Tokenizer
from errors import UserError
from model import Transformer, TransformerConfig


class Checkpoint(NamedTuple):
    """What a checkpoint holds for translation.

    model: the network, in eval mode, on the CPU.
    tokenizer: the SentencePiece model with which it was trained.
    data: settings of the corpus (`data.module.TranslationData`).
    alignment: which cross-attention aligns words best (`visualization.align.Reading`), None if that was not measured.
    """

    model: Transformer
    tokenizer: Tokenizer
    data: dict[str, Any]
    alignment: dict[str, Any] | None


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint that `train.py` has written.

    Raises:
        UserError: the file is missing, corrupt, not a checkpoint of this project, or its weights are not finite.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        config = TransformerConfig(**content["hyper_parameters"]["model"])
        tokenizer = Tokenizer(content["sentencepiece"].numpy().tobytes())
        weights = {name.removeprefix("model."): weight for name, weight in content["state_dict"].items()}
        settings = content["datamodule_hyper_parameters"]
        data = {name: value for name, value in settings.items() if not name.startswith("_")}  # the rest is Lightning's
        if not all(isinstance(data[name], str) for name in ("source_lang", "target_lang")):
            raise TypeError("a language code must be a string")
        alignment = content.get("alignment")
        model = Transformer(config)
        model.load_state_dict(weights)
        finite = all(weight.isfinite().all() for weight in weights.values())
    except FileNotFoundError:
        raise UserError(f"checkpoint {path} is missing") from None
    except UserError as error:
        raise UserError(f"checkpoint {path} cannot be used: {error}") from error
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise UserError(f"checkpoint {path} is corrupt or not a checkpoint: {str(error).splitlines()[0]}") from error
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, ArithmeticError) as error:
        raise UserError(f"checkpoint {path} is not one that this version can read: {error!r}") from error
    if not finite:
        raise UserError(f"checkpoint {path} holds weights that are not finite: its training has failed")
    if len(tokenizer) != config.vocab_size:
        sizes = f"its tokenizer has {len(tokenizer)} tokens, its network {config.vocab_size}"
        raise UserError(f"checkpoint {path} contradicts itself: {sizes}")
    return Checkpoint(model.eval(), tokenizer, data, alignment)
