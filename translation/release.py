"""A checkpoint to be handed on: small, and without anything of the machine that it was trained on."""

import io
from dataclasses import asdict
from pathlib import Path

import torch

from files import write_atomically
from translation.checkpoint import Checkpoint


def write_release(checkpoint: Checkpoint, output: Path) -> None:
    """Write weights in half precision, sizes, tokenizer, languages and the head to align by; complete or not at all.

    Optimizer state and training settings are left out, and so are paths of corpora on the machine of the training. The
    phrasebook keeps its name: everybody can generate it.

    Raises:
        OSError: the file cannot be written.
    """
    kept = ("source_lang", "target_lang", "seed")
    data: dict[str, object] = {name: checkpoint.data[name] for name in kept if name in checkpoint.data}
    paths = checkpoint.data.get("path")
    data["path"] = "phrasebook" if "phrasebook" in ([paths] if isinstance(paths, str) else paths or []) else None
    content = {
        "hyper_parameters": {"model": asdict(checkpoint.model.config)},
        "datamodule_hyper_parameters": data,
        "state_dict": {f"model.{name}": weight.half() for name, weight in checkpoint.model.state_dict().items()},
        "sentencepiece": torch.frombuffer(bytearray(checkpoint.tokenizer.model), dtype=torch.uint8),
        "alignment": checkpoint.alignment,
    }
    buffer = io.BytesIO()  # torch.save to a file would replace an OSError by an error that does not name the reason
    torch.save(content, buffer)
    write_atomically(output, buffer.getbuffer())
