"""Training speed beside Hugging Face MarianMT: `python -m benchmarks.training --data DIR --json FILE`."""

import argparse
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger
from sacrebleu.metrics import BLEU

sys.path.insert(0, str(Path(__file__).parent.parent))  # so that `python benchmarks/training.py` works too

from benchmarks.apart import Apart
from benchmarks.huggingface import MarianTraining, fastest_attention, generate
from benchmarks.machine import Turn, forward_flops, has_products, now, product_rates, ratio, report, row
from benchmarks.trainer import bare_trainer
from data.module import TranslationData
from errors import UserError, one_sentence
from model.module import TranslationModule
from model.sampling import sample_pieces
from model.transformer import PAD, Transformer
from translate import Translator

OURS = "this project"


class Peer(MarianTraining):
    """MarianMT in training, in a process of its own."""

    def __init__(self, like: Transformer, data: TranslationData, precision: str, seconds: float) -> None:
        """Choose the faster attention.

        Args:
            like: gives the sizes.
            data: gives the batches.
            precision: `float32` or `bfloat16` products.
            seconds: for a trial of each attention.
        """
        attention = fastest_attention(like, data.train_dataloader(), precision, seconds)
        super().__init__(like, data.train_dataloader(), precision, attention)
        self.data, self.attention = data, attention

    def description(self) -> str:
        """Say what was chosen."""
        return f"HF Marian, {self.attention}"

    def translate(self, sources: Sequence[str]) -> list[str]:
        """Translate with what was learned."""
        batch_tokens = self.data.hparams["batch_tokens"]
        return generate(self.model.eval(), self.data.tokenizer, sources, 1, 0.0, batch_tokens)


class Turns(Callback):
    """Our own run is the host: after each of its turns the peers take theirs, so that all meet the same machine."""

    def __init__(self, peers: dict[str, Callable[[float], int]], seconds: float, rounds: int) -> None:
        """Args: peers, each trains for the seconds given and returns its target tokens; seconds; rounds after one."""
        self.peers, self.seconds, self.rounds = peers, seconds, rounds
        self.turns: dict[str, list[Turn]] = {name: [] for name in (OURS, *peers)}
        self.tokens, self.start = 0, 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin the first turn, which warms up."""
        self.begin()

    def begin(self) -> None:
        """Begin a turn of ours."""
        self.rates, self.tokens, self.start = product_rates(), 0, now()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count; at the end of a turn, let the others work."""
        self.tokens += batch.n_tokens
        passed = now() - self.start
        if passed < self.seconds:
            return
        self.turns[OURS].append(Turn(self.tokens, passed, self.rates))
        for name, train in self.peers.items():
            rates, start = product_rates(), now()
            tokens = train(self.seconds)
            self.turns[name].append(Turn(tokens, now() - start, rates))
        if len(self.turns[OURS]) > self.rounds:
            trainer.should_stop = True
        self.begin()

    def warm(self, name: str) -> list[Turn]:
        """Return the turns of a contestant but the first."""
        return self.turns[name][1:]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train everybody in turn, then translate the test set with what each has learned."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train, val and test in fr and en")
    parser.add_argument("--json", type=Path, help="file for rows and ratios")
    parser.add_argument("--seconds", type=float, default=10, help="of one turn")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each after one to warm up")
    parser.add_argument("--d_model", type=int, default=256, help="C, width of all models")
    parser.add_argument("--n_heads", type=int, default=4, help="H, heads of each attention")
    parser.add_argument("--n_layers", type=int, default=3, help="layers that read, and as many that write")
    parser.add_argument("--d_ff", type=int, default=1024, help="inner width of the feed-forward layers")
    parser.add_argument("--vocab_size", type=int, default=8000, help="pieces of the joint vocabulary")
    parser.add_argument("--batch_tokens", type=int, default=5300, help="most padded tokens on a batch's longer side")
    flags = parser.parse_args(arguments)
    if flags.seconds <= 0 or flags.rounds < 1:
        raise UserError("--seconds must be above 0 and --rounds at least 1")

    data = TranslationData(str(flags.data), vocab_size=flags.vocab_size, batch_tokens=flags.batch_tokens)
    data.load()
    layers = {"n_encoder_layers": flags.n_layers, "n_decoder_layers": flags.n_layers}
    module = TranslationModule(flags.vocab_size, flags.d_model, flags.n_heads, d_ff=flags.d_ff, **layers)
    settings = {
        "hf_marian_float32": ("float32", True),
        "hf_marian_bf16": ("bfloat16", True),
        "hf_marian_float32_plain": ("float32", False),
        "hf_marian_bf16_plain": ("bfloat16", False),
    }
    settings = {name: how for name, how in settings.items() if has_products(how[0])}
    peers = {
        name: Apart(Peer, module.model, data, precision, flags.seconds / 2, keeps_memory=keeps_memory)
        for name, (precision, keeps_memory) in settings.items()
    }
    turns = Turns({name: partial(peer.do, "train") for name, peer in peers.items()}, flags.seconds, flags.rounds)
    precision = train_ours(module, data, turns)

    source, target = (list(data.load()["train"][f"{side}_length"]) for side in ("src", "tgt"))
    flops = 3 * forward_flops(module.model, source, target) / sum(target)
    our_flops = flops - 6 * flags.d_model * (flags.vocab_size - compared_pieces(module, data))
    sources, references = data.texts("test")
    translations = {OURS: Translator(module.model, data.tokenizer, dict(data.hparams)).translate(sources, beam_size=1)}
    for name, peer in peers.items():
        translations[name] = peer.do("translate", sources)
    bleu = {name: BLEU().corpus_score(texts, [references]).score for name, texts in translations.items()}

    rows = [row(OURS, "training", precision, turns.warm(OURS), our_flops, bleu[OURS])]
    for name, peer in peers.items():
        their_precision, keeps_memory = settings[name]
        system = f"{peer.do('description')}, {'memory kept' if keeps_memory else 'plain'}"
        rows.append(row(system, "training", their_precision, turns.warm(name), flops, bleu[name]))
    ratios = {f"training/{name}": ratio(turns.warm(OURS), turns.warm(name)) for name in peers}
    trained = (flags.rounds + 1) * flags.seconds
    report(f"Training, target tokens; greedy test BLEU after {trained:.0f} s of it", rows, ratios, flags.json)


def compared_pieces(module: TranslationModule, data: TranslationData, n_batches: int = 20) -> float:
    """Return with how many pieces of the vocabulary each target token of a training batch is compared, in the mean."""
    n_pieces, sampled_after = module.hparams["vocab_size"], module.hparams["sampled_after"]
    shares = [share for batch in islice(data.train_dataloader(), n_batches) for share in module.shard(batch)]
    return fmean(len(sample_pieces(share.tgt[share.tgt != PAD], n_pieces, sampled_after)[0]) for share in shares)


def train_ours(module: TranslationModule, data: TranslationData, turns: Turns) -> str:
    """Train as `train.py` does, validation and checkpoints left out; return the precision of the products."""
    warnings.filterwarnings("ignore", module="lightning")
    with tempfile.TemporaryDirectory() as folder:
        # What is logged is part of what users get.
        trainer = bare_trainer(turns, logger=CSVLogger(folder), log_every_n_steps=10)
        trainer.fit(module, train_dataloaders=data.train_dataloader())
        return "bfloat16" if "bf16" in str(trainer.precision) else "float32"


if __name__ == "__main__":
    with one_sentence():
        main()
