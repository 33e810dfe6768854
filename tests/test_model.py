"""Claims about attention, the layers and the network."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from constants import MAX_TOKENS, PAD
from errors import UserError
from model import LayerCache, MultiHeadAttention, Transformer, TransformerConfig, attention, attention_maps
from model.transformer import sinusoids

V = 50


def small(seed: int = 0, **sizes: object) -> Transformer:
    """A random model in eval mode."""
    torch.manual_seed(seed)
    defaults = {"d_model": 32, "n_heads": 4, "n_encoder_layers": 2, "n_decoder_layers": 3, "d_ff": 64, "dropout": 0.0}
    return Transformer(TransformerConfig(V, **(defaults | sizes))).eval()  # type: ignore[arg-type]


def sentences(rows: int, length: int, seed: int = 1) -> Tensor:
    return torch.randint(4, V, (rows, length), generator=torch.Generator().manual_seed(seed))


# --- attention


def test_attention_equals_pytorchs_fused_call() -> None:
    q, k, v = (torch.randn(2, 4, length, 8) for length in (5, 7, 7))
    mask = torch.rand(2, 1, 5, 7) > 0.3
    mask[..., 0] = True
    for seen in (mask, None):
        fused = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        torch.testing.assert_close(attention(q, k, v, seen)[0], fused, atol=1e-5, rtol=0)


def test_multi_head_attention_equals_pytorchs() -> None:
    layer = MultiHeadAttention(32, 4)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3)
    x, context = torch.randn(3, 5, 32), torch.randn(3, 7, 32)
    padding = torch.zeros(3, 7, dtype=torch.bool)
    padding[1, 4:] = True
    maps = (layer.w_q, layer.w_k, layer.w_v)
    expected, _ = F.multi_head_attention_forward(
        x.transpose(0, 1), context.transpose(0, 1), context.transpose(0, 1), 32, 4,
        torch.cat([m.weight for m in maps]), torch.cat([m.bias for m in maps]), None, None, False, 0.0,
        layer.w_o.weight, layer.w_o.bias, key_padding_mask=padding,
    )  # fmt: skip
    ours = layer(x, context, ~padding[:, None, None, :])
    torch.testing.assert_close(ours, expected.transpose(0, 1), atol=1e-5, rtol=0)


def test_attention_weights_are_what_identity_values_reveal() -> None:
    q, k = torch.randn(1, 2, 4, 8), torch.randn(1, 2, 6, 8)
    values, weights = attention(q, k, torch.eye(6).expand(1, 2, 6, 6))
    torch.testing.assert_close(values, weights, atol=1e-6, rtol=0)
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 2, 4))


def test_the_recorded_weights_are_those_that_were_used(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = MultiHeadAttention(16, 2), torch.randn(2, 5, 16)
    with attention_maps(nn.Sequential(layer)) as maps:
        out = layer(x)
    _, v = layer.keys_values(x)
    torch.testing.assert_close(layer.w_o((maps["0"] @ v).transpose(1, 2).flatten(2)), out)


def test_maps_record_every_layer_and_leave_nothing_behind() -> None:
    model = small()
    src, tgt = sentences(2, 6), sentences(2, 5)
    src[1, 4:] = PAD
    before = model(src, tgt)
    with attention_maps(model) as maps:
        inside = model(src, tgt)
    kept = dict(maps)
    after = model(src, tgt)
    torch.testing.assert_close(inside, before, atol=1e-5, rtol=0)
    assert torch.equal(before, after) and maps == kept
    assert {name.split(".")[-1] for name in maps} == {"self_attention", "cross_attention"}
    assert len(maps) == 2 + 3 + 3
    for name, weights in maps.items():
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights.sum(-1)))
        if "cross" in name or "encoder" in name:
            assert not weights[1, ..., 4:].any()  # no weight on padding
        else:
            assert not weights.triu(1).any()  # none on the future
    layers = [module for module in model.modules() if isinstance(module, MultiHeadAttention)]
    assert len(layers) == 8 and all(layer.recorder is None for layer in layers)


# --- the network


def copy_layer(ours: nn.Module, theirs: nn.Module) -> None:
    """Load PyTorch's layer with the weights of ours."""
    parts = [("self_attention", "self_attn"), ("cross_attention", "multihead_attn")]
    for mine, other in parts:
        if hasattr(ours, mine):
            a, b = getattr(ours, mine), getattr(theirs, other)
            b.in_proj_weight.data = torch.cat([a.w_q.weight, a.w_k.weight, a.w_v.weight])
            b.in_proj_bias.data = torch.cat([a.w_q.bias, a.w_k.bias, a.w_v.bias])
            b.out_proj.load_state_dict(a.w_o.state_dict())
    theirs.linear1.load_state_dict(ours.feed_forward.expand.state_dict())  # type: ignore[union-attr,operator]
    theirs.linear2.load_state_dict(ours.feed_forward.contract.state_dict())  # type: ignore[union-attr,operator]
    for i, residual in enumerate(ours.residuals, 1):  # type: ignore[arg-type]
        getattr(theirs, f"norm{i}").load_state_dict(residual.norm.state_dict())


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_layers_equal_pytorchs_layers(norm: str) -> None:
    model = small(norm=norm)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.2)
    sizes = {"d_model": 32, "nhead": 4, "dim_feedforward": 64, "dropout": 0.0, "batch_first": True}
    theirs = nn.Transformer(
        num_encoder_layers=2,
        num_decoder_layers=3,
        norm_first=norm == "pre",
        **sizes,  # type: ignore[arg-type]
    ).eval()
    for ours, layer in zip(
        [*model.encoder, *model.decoder], [*theirs.encoder.layers, *theirs.decoder.layers], strict=True
    ):
        copy_layer(ours, layer)
    for end, ours in ((theirs.encoder, model.encoder_norm), (theirs.decoder, model.decoder_norm)):
        if norm == "pre":
            end.norm.load_state_dict(ours.state_dict())
        else:
            end.norm = None  # PyTorch's stack normalises once more, the paper does not
    src, tgt = sentences(3, 7), sentences(3, 5, seed=2)
    src[1, 5:] = PAD
    memory, src_mask = model.encode(src)
    states = model.decode(tgt, memory, src_mask)
    future = nn.Transformer.generate_square_subsequent_mask(5)
    expected = theirs(
        model.embed(src), model.embed(tgt), tgt_mask=future,
        src_key_padding_mask=src == PAD, memory_key_padding_mask=src == PAD,
    )  # fmt: skip
    torch.testing.assert_close(states, expected, atol=1e-5, rtol=0)


def test_future_tokens_cannot_change_the_past() -> None:
    model, src, tgt = small(), sentences(2, 6), sentences(2, 8)
    changed = tgt.clone()
    changed[:, 5:] = sentences(2, 3, seed=9)
    before, after = model(src, tgt), model(src, changed)
    torch.testing.assert_close(before[:, :5], after[:, :5], atol=1e-6, rtol=0)
    assert (before[:, 5:] - after[:, 5:]).abs().max() > 1e-3


def test_padding_cannot_change_the_logits() -> None:
    model, src, tgt = small(), sentences(2, 6), sentences(2, 5)
    wide_src, wide_tgt = F.pad(src, (0, 4)), F.pad(tgt, (0, 3))
    torch.testing.assert_close(model(wide_src, wide_tgt)[:, :5], model(src, tgt), atol=1e-5, rtol=0)


def test_the_order_of_the_source_changes_the_logits() -> None:
    model, src, tgt = small(), sentences(1, 6), sentences(1, 5)
    assert (model(src, tgt) - model(src.flip(1), tgt)).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"n_heads": 5}, "d_model 32 must be a multiple of model.n_heads 5"),
        ({"d_model": 33, "n_heads": 3}, "d_model must be even"),
        ({"n_decoder_layers": 0}, "n_decoder_layers must be at least 1"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        ({"norm": "middle"}, "norm must be pre or post"),
    ],
)
def test_impossible_sizes_are_refused(sizes: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        small(**sizes)


def test_activations_keep_the_compute_dtype_of_autocast() -> None:
    model, src, tgt = small(), sentences(2, 6), sentences(2, 5)
    kept = []
    for layer in (*model.encoder, *model.decoder):
        layer.register_forward_hook(lambda _module, _inputs, out: kept.append(out.dtype))
    exact = model(src, tgt)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(src, tgt)
    n = len(kept) // 2
    assert kept == [torch.float32] * n + [torch.bfloat16] * n
    torch.testing.assert_close(logits.float(), exact, atol=0.1, rtol=0.1)
    logits.float().logsumexp(-1).sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())


# --- decoding step by step


def with_hypotheses(caches: list[LayerCache], n: int) -> list[LayerCache]:
    """Repeat the target side of caches for n hypotheses of each sentence."""
    return [
        cache._replace(
            target_k=cache.target_k.repeat_interleave(n, dim=0), target_v=cache.target_v.repeat_interleave(n, dim=0)
        )
        for cache in caches
    ]


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_decoding_step_by_step_equals_one_forward_pass(norm: str) -> None:
    model, src, tgt = small(norm=norm), sentences(2, 6), sentences(6, 5)
    src[1, 4:] = PAD
    memory, src_mask = model.encode(src)
    caches = with_hypotheses(model.start_cache(memory), 3)  # rows 0 to 2 are hypotheses of the first sentence
    expected = model(src.repeat_interleave(3, dim=0), tgt)
    for i in range(5):
        logits, caches = model.decode_step(tgt[:, i : i + 1], caches, src_mask)
        torch.testing.assert_close(logits, expected[:, i], atol=1e-5, rtol=0)


def test_positions_beyond_the_table_are_refused() -> None:
    model = small()
    model.embed(torch.full((1, MAX_TOKENS), 5))
    with pytest.raises(ValueError, match=f"{MAX_TOKENS + 1} tokens"):
        model.embed(torch.full((1, MAX_TOKENS + 1), 5))


def test_position_encodings_are_the_papers_formula() -> None:
    encodings = sinusoids(50, 16)
    for pos, i in ((0, 0), (7, 3), (49, 7)):
        angle = torch.tensor(pos / 10_000 ** (2 * i / 16))
        torch.testing.assert_close(encodings[pos, 2 * i], angle.sin(), atol=1e-5, rtol=0)
        torch.testing.assert_close(encodings[pos, 2 * i + 1], angle.cos(), atol=1e-5, rtol=0)


# --- torch.compile


class CountingBackend:
    """A backend of torch.compile that runs the captured graph as it is and counts compilations."""

    def __init__(self) -> None:
        self.n_compilations = 0

    def __call__(self, graph: torch.fx.GraphModule, _: list[Tensor]) -> object:
        self.n_compilations += 1
        return graph.forward


@pytest.mark.slow
def test_a_decoding_step_compiles_to_one_graph_with_few_compilations() -> None:
    n_hypotheses = 4
    backend = CountingBackend()
    model = small(n_encoder_layers=1, n_decoder_layers=1)
    step = torch.compile(model.decode_step, fullgraph=True, dynamic=True, backend=backend)
    for rows, source_length, n_tokens in ((5, 7, 6), (3, 12, 9), (8, 4, 12)):
        memory, src_mask = model.encode(sentences(rows, source_length))
        caches = with_hypotheses(model.start_cache(memory), n_hypotheses)
        for i in range(n_tokens):
            tokens = sentences(rows * n_hypotheses, 1, seed=i)
            expected, _ = model.decode_step(tokens, caches, src_mask)
            logits, caches = step(tokens, caches, src_mask)
            torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)
    assert 1 <= backend.n_compilations <= 8
