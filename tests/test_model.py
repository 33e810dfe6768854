"""Claims about the network, its loss, its optimizer and its search."""

import copy
import math
import threading
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Muon

import model.linear as products
import model.optimizer as optimizers
from errors import UserError
from model import Transformer, attention, attention_maps, search
from model.attention import MultiHeadAttention
from model.dropout import Dropout, random_bytes
from model.loss import ProjectedCrossEntropy, projected_cross_entropy
from model.optimizer import (
    PERIOD,
    STEPS,
    MuonAdamW,
    PeriodicMuon,
    inverse_sqrt_decay,
    linear_decay,
    orthogonalise,
)
from model.rng import seeded
from model.sampling import sample_pieces
from model.search import few_sizes, max_length, translation_step
from model.transformer import BOS, EOS, PAD

V = 50


def small(seed: int = 0, **sizes: object) -> Transformer:
    torch.manual_seed(seed)
    defaults = {"d_model": 32, "n_heads": 4, "n_encoder_layers": 2, "n_decoder_layers": 3, "d_ff": 64, "dropout": 0.0}
    return Transformer(V, **(defaults | sizes)).eval()  # type: ignore[arg-type]


def sentences(rows: int, length: int, seed: int = 1) -> Tensor:
    return torch.randint(4, V, (rows, length), generator=torch.Generator().manual_seed(seed))


# --- attention


def test_attention_in_the_open_equals_the_fused_call_of_a_gpu() -> None:
    q, k, v = (torch.randn(2, 4, length, 8) for length in (5, 7, 7))
    mask = torch.rand(2, 1, 5, 7) > 0.3
    mask[..., 0] = True
    for seen in (mask, None):
        fused = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        torch.testing.assert_close(attention(q, k, v, seen), fused, atol=1e-5, rtol=0)


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


def test_maps_are_the_weights_that_values_of_the_identity_reveal() -> None:
    q, k = torch.randn(1, 2, 4, 8), torch.randn(1, 2, 6, 8)
    identity = torch.eye(6).expand(1, 2, 6, 6)
    expected = attention(q, k, identity)
    seen: list[Tensor] = []

    class Layer(MultiHeadAttention):
        def forward(self, *_: object) -> Tensor:  # type: ignore[override]
            return attention(q, k, torch.randn(1, 2, 6, 8))

    with attention_maps(model := nn.Sequential(Layer(16, 2))) as maps:
        model(q)
        seen += maps.values()
    torch.testing.assert_close(seen[0], expected, atol=1e-6, rtol=0)


def test_maps_are_of_the_thread_that_looks() -> None:
    model = small()
    with attention_maps(model) as maps:
        other = threading.Thread(target=model, args=(sentences(3, 6), sentences(3, 5)))
        other.start()
        other.join()
        assert not maps
        model(sentences(2, 6), sentences(2, 5))
    assert maps and all(len(weights) == 2 for weights in maps.values())


def test_maps_hold_every_layer_and_leave_nothing_behind() -> None:
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
    assert not any(module._forward_pre_hooks for module in model.modules())


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
def test_the_layers_equal_pytorchs(norm: str) -> None:
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
            end.norm = None  # their stack normalises once more, the paper does not
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


def test_padding_cannot_change_anything() -> None:
    model, src, tgt = small(), sentences(2, 6), sentences(2, 5)
    wide_src, wide_tgt = F.pad(src, (0, 4)), F.pad(tgt, (0, 3))
    torch.testing.assert_close(model(wide_src, wide_tgt)[:, :5], model(src, tgt), atol=1e-5, rtol=0)


def test_order_matters() -> None:
    model, src, tgt = small(), sentences(1, 6), sentences(1, 5)
    assert (model(src, tgt) - model(src.flip(1), tgt)).abs().max() > 1e-3


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(UserError, match="d_model 32"):
        small(n_heads=5)


def test_dropout_zeroes_its_share_and_keeps_the_mean() -> None:
    dropout = Dropout(0.25).train()
    out = dropout(torch.ones(1000, 1001))
    assert abs((out == 0).float().mean().item() - 0.25) < 0.005
    assert abs(out.mean().item() - 1) < 0.005
    assert torch.equal(dropout.eval()(out), out)


@pytest.mark.parametrize("numbers_of_eight", [True, False])
def test_every_byte_is_drawn_as_often_as_any_other(numbers_of_eight: bool) -> None:
    with seeded((1,), torch.device("cpu")):
        drawn = random_bytes(torch.Size((1001, 999)), torch.device("cpu"), numbers_of_eight)
    assert drawn.shape == (1001, 999) and drawn.dtype == torch.uint8
    counts = drawn.flatten().bincount(minlength=256)
    assert counts.min() > 0.9 * drawn.numel() / 256 and counts.max() < 1.1 * drawn.numel() / 256


def test_activations_are_kept_in_the_precision_of_the_products() -> None:
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


@pytest.mark.parametrize(
    ("vectors", "dtype", "outputs", "faster"),
    [
        ("AVX512", torch.float32, 256, True),
        ("AVX512", torch.bfloat16, 256, True),
        ("AVX2", torch.float32, 256, False),
        ("AVX2", torch.float32, 8000, True),
        ("AVX2", torch.bfloat16, 8000, False),
        ("DEFAULT", torch.float32, 8000, False),
    ],
)
def test_matrices_are_packed_where_that_is_faster(
    vectors: str, dtype: torch.dtype, outputs: int, faster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "VECTORS", vectors)
    for has_onednn in (True, False):
        monkeypatch.setattr(products, "HAS_ONEDNN", has_onednn)
        layer = products.Linear(4, outputs).to(dtype)
        products.pack(layer)
        assert hasattr(layer.weight, "packed") == (faster and has_onednn)


def pack_any_matrix(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    """Not only where it is faster."""
    if not (products.HAS_ONEDNN if dtype == torch.float32 else torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        pytest.skip("this processor cannot do that")
    monkeypatch.setattr(products, "is_faster_laid_out", lambda _: True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 4, 70])
def test_packed_weights_give_the_same_product(rows: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    pack_any_matrix(monkeypatch, dtype)
    layer = products.Linear(64, 900).to(dtype)
    products.pack(layer)
    x = torch.randn(3, rows, 64, dtype=dtype)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    with_gradient = layer(x)
    monkeypatch.setattr(F, "linear", None)  # the product of PyTorch is not called again
    with torch.no_grad():
        torch.testing.assert_close(layer(x), with_gradient, atol=tolerance, rtol=tolerance)
    with pytest.raises(TypeError):
        layer(x)  # the packed product has no gradient


def test_packed_layers_that_read_the_same_are_one_product(monkeypatch: pytest.MonkeyPatch) -> None:
    pack_any_matrix(monkeypatch, torch.float32)
    layers = [products.Linear(64, rows) for rows in (48, 96, 48)]
    for layer in layers:
        torch.nn.init.normal_(layer.bias)
        products.pack(layer)
    x = torch.randn(3, 5, 64)
    apart = products.linears(x, layers)  # with gradients
    assert all(y.requires_grad for y in apart)
    called = []
    layers[1].register_forward_hook(lambda *_: called.append(1))
    with torch.no_grad():
        torch.testing.assert_close(products.linears(x, layers), apart, atol=1e-5, rtol=1e-5)
        assert not called
        torch.testing.assert_close(products.linears(x, layers[:1]), apart[:1], atol=1e-5, rtol=1e-5)


# --- loss and optimizer


@pytest.mark.parametrize("consistency", [0.0, 3.0])
def test_projected_cross_entropy_equals_pytorchs_with_its_gradients(consistency: float) -> None:
    passes = 2 if consistency else 1
    states, embedding = torch.randn(passes, 300, 16, requires_grad=True), torch.randn(V, 16, requires_grad=True)
    targets = torch.randint(0, V, (300,))
    logits = states @ embedding.T
    theirs = F.cross_entropy(logits.flatten(0, 1), targets.repeat(passes), label_smoothing=0.1, reduction="sum")
    if consistency:
        p, q = logits.log_softmax(-1)
        apart = [F.kl_div(a, b, log_target=True, reduction="sum") for a, b in ((p, q), (q, p))]
        theirs = theirs + consistency / 2 * sum(apart)
    ours = projected_cross_entropy(states, embedding, targets, 0.1, consistency)
    torch.testing.assert_close(ours, theirs)
    for a, b in zip(*(torch.autograd.grad(x / 7, [states, embedding]) for x in (ours, theirs)), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("consistency", [0.0, 3.0])
def test_a_piece_that_stands_for_several_counts_as_often(consistency: float) -> None:
    states, embedding = torch.randn(2 if consistency else 1, 60, 16), torch.randn(V, 16, requires_grad=True)
    times = torch.randint(1, 5, (V,))
    targets = (times == 1).nonzero()[torch.randint(0, int((times == 1).sum()), (60,)), 0]
    weighted = ProjectedCrossEntropy.apply(states, embedding, times.float(), targets, 0.1, consistency)
    every = torch.arange(V).repeat_interleave(times)  # a vocabulary that has each piece so often
    places = torch.searchsorted(every, targets)
    repeated = projected_cross_entropy(states, embedding[every], places, 0.1, consistency)
    torch.testing.assert_close(weighted, repeated)
    torch.testing.assert_close(
        *(torch.autograd.grad(x, embedding)[0] for x in (weighted, repeated)), atol=1e-4, rtol=1e-4
    )


def test_a_sample_holds_the_targets_and_stands_for_the_vocabulary() -> None:
    n_pieces, targets = 4000, torch.tensor([[7, 3999], [1234, 7]])
    exponentials = torch.randn(n_pieces).exp() / torch.arange(1, n_pieces + 1)
    sums, sizes = [], []
    for seed in range(300):
        with seeded((seed,), targets.device):
            ids, weights = sample_pieces(targets, n_pieces, 100)
        with seeded((seed,), targets.device):  # as a resumed run does
            assert torch.equal(sample_pieces(targets, n_pieces, 100)[0], ids)
        assert torch.equal(ids, ids.unique())
        assert set(range(100)) | {1234, 3999} <= set(ids.tolist())
        certain = (ids < 100) | (ids == 1234) | (ids == 3999)
        assert (weights[certain] == 1).all() and (weights[~certain] > 1).all()
        sums.append((weights * exponentials[ids]).sum())
        sizes.append(weights.sum())
    assert len(ids) < 600
    found, wanted = torch.stack([torch.stack(sums), torch.stack(sizes)]), (exponentials.sum(), float(n_pieces))
    error = found.std(dim=1) / len(sums) ** 0.5
    assert ((found.mean(dim=1) - torch.tensor(wanted)).abs() < 4 * error).all()
    assert error[0] < 0.01 * wanted[0]


def test_a_sampled_loss_comes_near_the_exact_one() -> None:
    n_pieces = 4000
    embedding = (torch.randn(n_pieces, 16) / 4).requires_grad_()  # logits of variance 1, as a network starts
    states, targets = torch.randn(1, 50, 16, requires_grad=True), torch.randint(0, n_pieces, (50,))

    def learn(sampled_after: int) -> list[Tensor]:
        loss = projected_cross_entropy(states, embedding, targets, 0.1, 0.0, sampled_after)
        return [loss.detach(), *torch.autograd.grad(loss, [states, embedding])]

    exact = learn(0)
    torch.testing.assert_close(learn(n_pieces), exact)
    draws = []
    for seed in range(50):
        with seeded((seed,), states.device):
            draws.append(learn(1000))
    assert (draws[0][2].abs().sum(dim=1) == 0).float().mean() > 0.3  # pieces that took no part
    assert abs(draws[0][0] / exact[0] - 1) < 0.05
    for found, wanted in zip((torch.stack(d).mean(dim=0) for d in zip(*draws, strict=True)), exact, strict=True):
        assert F.cosine_similarity(found.flatten(), wanted.flatten(), dim=0) > 0.99
    with torch.no_grad():  # a validation takes all
        torch.testing.assert_close(projected_cross_entropy(states, embedding, targets, 0.1, 0.0, 1000), exact[0])


def test_muon_adamw_moves_every_weight_and_resumes_exactly() -> None:
    def train(model: Transformer, optimizer: MuonAdamW, steps: int) -> None:
        for step in range(steps):
            model(sentences(2, 5, seed=step), sentences(2, 5, seed=step + 100)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

    model = small()
    start = {name: p.clone() for name, p in model.named_parameters()}
    optimizer = MuonAdamW(model, 0.02, 0.002)
    train(model, optimizer, 2)
    other = small(seed=3)
    other.load_state_dict(model.state_dict())
    resumed = MuonAdamW(other, 0.5, 0.5)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))  # a file shares no tensors either
    train(model, optimizer, 3)
    train(other, resumed, 3)
    for (name, ours), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
        if not name.endswith("w_k.bias"):  # a softmax does not feel what is added to all its scores
            assert not torch.equal(ours, start[name]), name


@pytest.mark.parametrize("shape", [(48, 48), (24, 96), (96, 24)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_muons_direction_has_the_singular_vectors_of_its_matrix_and_values_near_one(
    shape: tuple[int, int], dtype: torch.dtype
) -> None:
    matrix = torch.randn(shape)
    found = orthogonalise(matrix, dtype).float()
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    inside = left.T @ found @ right.T
    lengths = inside.diagonal()
    tolerance = 1e-4 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(inside, lengths.diag(), atol=tolerance, rtol=0)
    large = values > values.max() / 20  # the others would need more steps
    assert large.sum() > 20 and lengths[large].min() > 0.6 and lengths.max() < 1.3
    assert lengths.min() > 0


@pytest.mark.parametrize("has_bf16", [True, False])
def test_muon_multiplies_in_the_precision_that_the_hardware_has(
    has_bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimizers, "has_bf16_products", lambda kind: has_bf16)
    asked = []
    monkeypatch.setattr(optimizers, "orthogonalise", lambda x, dtype: asked.append(dtype) or orthogonalise(x, dtype))
    model = small()
    optimizer = MuonAdamW(model, 0.02, 0.002)
    model(sentences(2, 5), sentences(2, 5)).square().mean().backward()
    optimizer.step()
    assert asked and set(asked) == {torch.bfloat16 if has_bf16 else torch.float32}


@pytest.mark.parametrize("shape", [(48, 48), (24, 96), (96, 24)])
def test_in_bfloat16_a_matrix_moves_as_by_pytorchs_muon(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimizers, "has_bf16_products", lambda kind: True)
    ours, theirs = (nn.Parameter(torch.ones(shape)) for _ in range(2))
    ours.grad = theirs.grad = torch.randn(shape)
    PeriodicMuon(ours, 0.02, updates=PERIOD - 1).step()
    Muon([theirs], lr=PERIOD * 0.02, weight_decay=0.0, ns_steps=STEPS).step()
    torch.testing.assert_close(ours, theirs)


def beside_muon() -> tuple[MuonAdamW, Muon, list[tuple[nn.Parameter, nn.Parameter]]]:
    """Return ours, PyTorch's, and the matrices of two equal models that they move."""
    model, other = small(), small()
    matrices = [[p for p in m.parameters() if p.ndim == 2 and p is not m.embedding.weight] for m in (model, other)]
    every = Muon(matrices[1], lr=0.02, weight_decay=0.0, ns_steps=STEPS)
    return MuonAdamW(model, 0.02, 0.0), every, list(zip(*matrices, strict=True))


def test_muon_moves_a_third_of_the_matrices_at_each_update_thrice_as_far() -> None:
    optimizer, every, pairs = beside_muon()
    for ours, theirs in pairs:  # always the same gradient, whose momentum keeps its direction
        ours.grad = theirs.grad = torch.randn_like(ours)
    moved = []
    for _ in range(2 * PERIOD):
        before = [ours.clone() for ours, _ in pairs]
        optimizer.step()
        every.step()
        moved.append({i for i, (ours, _) in enumerate(pairs) if not torch.equal(ours, before[i])})
    assert moved[:PERIOD] == moved[PERIOD:] and set.union(*moved) == set(range(len(pairs)))
    assert sum(map(len, moved[:PERIOD])) == len(pairs) and max(map(len, moved)) - min(map(len, moved)) <= 1
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0)  # it is done in bfloat16


def test_muons_momentum_takes_the_gradients_between_turns_too() -> None:
    optimizer, every, pairs = beside_muon()
    for _ in range(PERIOD + 1):
        for ours, theirs in pairs:
            ours.grad = theirs.grad = torch.randn_like(ours)
        optimizer.step()
        every.step()
    states = {matrix: state for part in optimizer.parts for matrix, state in part.state.items()}
    for ours, theirs in pairs:
        torch.testing.assert_close(states[ours]["momentum_buffer"], every.state[theirs]["momentum_buffer"])


def test_a_state_with_other_parts_is_refused_in_a_sentence() -> None:
    state = MuonAdamW(small(), 0.02, 0.002).state_dict()
    with pytest.raises(UserError, match="has 43 parts, not 27: it is of another version"):
        MuonAdamW(small(n_encoder_layers=1, n_decoder_layers=2), 0.02, 0.002).load_state_dict(state)


def test_a_beam_as_large_as_the_vocabulary_is_refused() -> None:
    step = translation_step(small(), sentences(2, 4))
    assert len(search(step, torch.tensor([3, 3]), beam_size=V - 1)) == 2
    with pytest.raises(UserError, match=f"beam_size {V} must be smaller"):
        search(translation_step(small(), sentences(2, 4)), torch.tensor([3, 3]), beam_size=V)


def test_schedules_rise_then_fall() -> None:
    assert linear_decay(0, 0.0, 100) == pytest.approx(0.01)
    assert linear_decay(500, 0.5, 100) == pytest.approx(0.5)
    assert linear_decay(999, 1.0, 100) == 0
    paper = [inverse_sqrt_decay(step, 0.0, 100) for step in (0, 99, 399)]
    assert paper == pytest.approx([0.01, 1.0, 0.5])


def test_the_copy_task_is_learned_in_seconds() -> None:
    torch.manual_seed(0)
    model = small(n_encoder_layers=1, n_decoder_layers=1).train()
    optimizer = MuonAdamW(model, 0.02, 0.005)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 400)
    for step in range(400):
        src = sentences(64, 8, seed=step)
        src[:, -1] = EOS
        tgt = F.pad(src, (1, 0), value=BOS)
        F.cross_entropy(model(src, tgt[:, :-1]).flatten(0, 1), src.flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    model.eval()
    src = sentences(50, 8, seed=10_000)
    src[:, -1] = EOS
    found = search(translation_step(model, src), torch.full((50,), 12))
    right = sum(h[0].tokens == row for h, row in zip(found, src.tolist(), strict=True))
    assert right >= 48


# --- search


def forced_log_prob(model: Transformer, src: Tensor, tokens: list[int]) -> float:
    """Log-probability of a translation by one pass, without cache."""
    log_probs = model(src[None], torch.tensor([[BOS, *tokens[:-1]]])).log_softmax(-1)[0]
    return sum(log_probs[i, token].item() for i, token in enumerate(tokens))


def eager() -> Transformer:
    """An untrained model that ends its sentences now and then."""
    model = small(seed=4)
    with torch.no_grad():
        model.embedding.weight[EOS] += 0.5 * model.embedding.weight[4:].mean(0) + 0.05
    return model


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("beam_size", [1, 4])
def test_scores_equal_one_forced_pass(beam_size: int, packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model, src = eager(), sentences(5, 6)
    src[2, 4:] = PAD
    if packed:  # for the search; the pass, which may learn, has the products of PyTorch
        pack_any_matrix(monkeypatch, torch.float32)
        products.pack(model)
    found = search(translation_step(model, src), torch.full((5,), 15), beam_size)
    for row, hypotheses in zip(src, found, strict=True):
        assert 1 <= len(hypotheses) <= beam_size
        assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)
        assert len({tuple(h.tokens) for h in hypotheses}) == len(hypotheses)
        for h in hypotheses:
            assert h.log_prob == pytest.approx(forced_log_prob(model, row[row != PAD], h.tokens), abs=1e-4)
            assert h.tokens[-1] == EOS and EOS not in h.tokens[:-1] and len(h.tokens) <= 15


@pytest.mark.parametrize("scored", [True, False])
def test_a_beam_of_one_is_greedy_and_the_cache_changes_nothing(scored: bool) -> None:
    model, src = eager(), sentences(6, 6)
    found = search(translation_step(model, src), torch.full((6,), 12), 1, scored=scored)
    for row, hypotheses in zip(src, found, strict=True):
        tokens: list[int] = []
        while len(tokens) < 11 and (not tokens or tokens[-1] != EOS):
            logits = model(row[None], torch.tensor([[BOS, *tokens]]))[0, -1]
            logits[[0, 1, 3]] = -math.inf
            tokens.append(int(logits.argmax()))
        assert hypotheses[0].tokens == (tokens if tokens[-1] == EOS else [*tokens, EOS])
        assert hypotheses[0].cut == (tokens[-1] != EOS)
        assert math.isfinite(hypotheses[0].log_prob) == math.isfinite(hypotheses[0].score) == scored


def test_a_greedy_search_without_probabilities_adds_no_logits_up() -> None:
    def step(tokens: Tensor, parents: Tensor | None) -> Tensor:  # three of these would be infinite
        return torch.zeros(*tokens.shape, V).index_fill_(-1, torch.tensor([7]), 2e38)

    assert search(step, torch.tensor([6]), 1, scored=False)[0][0].tokens == [7, 7, 7, 7, 7, EOS]


def test_a_wide_beam_finds_the_most_probable_sequence() -> None:
    # A model of three words whose greedy path is a trap: what follows the best first word is improbable.
    first = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.5, 0.4, 0.1]).log()
    after = {
        4: torch.tensor([0.0, 0.0, 0.3, 0.0, 0.3, 0.2, 0.2]).log(),
        5: torch.tensor([0.0, 0.0, 0.9, 0.0, 0.05, 0.025, 0.025]).log(),
        6: torch.tensor([0.0, 0.0, 0.5, 0.0, 0.2, 0.2, 0.1]).log(),
    }

    def step(tokens: Tensor, parents: Tensor | None) -> Tensor:
        return torch.stack([torch.stack([first if t == BOS else after[t] for t in row]) for row in tokens.tolist()])

    greedy = search(step, torch.tensor([4]), 1, length_penalty=0.0)[0][0]
    beam = search(step, torch.tensor([4]), 3, length_penalty=0.0)[0][0]
    assert greedy.tokens[0] == 4 and beam.tokens == [5, EOS]
    assert beam.log_prob == pytest.approx(math.log(0.36))


def test_rows_of_a_search_come_in_few_numbers_and_hide_nobody() -> None:
    sizes = [few_sizes(n) for n in range(1, 1025)]
    assert all(n <= size <= 1.25 * n for n, size in enumerate(sizes, 1))
    assert len(set(sizes)) <= 4 * 10
    model, src = eager(), sentences(41, 6)  # they end one after the other, and rows of the finished stay for a while
    lengths = torch.arange(1, 42) % 14 + 2
    for beam_size in (1, 3):
        together = search(translation_step(model, src), lengths, beam_size)
        for row, length, found in zip(src, lengths, together, strict=True):
            alone = search(translation_step(model, row[None]), length[None], beam_size)[0]
            assert [h.tokens for h in found] == [h.tokens for h in alone]
            assert [h.log_prob for h in found] == pytest.approx([h.log_prob for h in alone], abs=1e-4)


def test_search_ends_although_the_model_never_would() -> None:
    def step(tokens: Tensor, parents: Tensor | None) -> Tensor:
        logits = torch.zeros(*tokens.shape, V)
        logits[..., 7], logits[..., EOS] = 50.0, -50.0
        return logits

    for beam_size in (1, 3):
        found = search(step, torch.tensor([5, 9]), beam_size)
        assert [len(h[0].tokens) for h in found] == [5, 9] and found[0][0].cut and found[1][0].cut


def test_a_longer_translation_gains_by_the_length_penalty() -> None:
    def step(tokens: Tensor, parents: Tensor | None) -> Tensor:  # the end mark with 0.3, a word with 0.7
        logits = torch.full((*tokens.shape, V), -100.0)
        logits[..., EOS], logits[..., 7] = math.log(0.3), math.log(0.7)
        return logits

    lengths = [len(search(step, torch.tensor([20]), 4, alpha)[0][0].tokens) for alpha in (0.0, 3.0)]
    assert lengths[0] == 1 < lengths[1]
    assert max_length(0) >= 1


def test_progress_follows_steps_or_time_whichever_is_ahead() -> None:
    from lightning.pytorch.callbacks import Timer

    from model.module import TranslationModule

    module = TranslationModule(V, 32, 2, 1, 1, 64)
    timer = Timer(duration={"seconds": 100})
    timer.time_elapsed = lambda *_: 25.0  # type: ignore[method-assign]
    timer.time_remaining = lambda *_: 75.0  # type: ignore[method-assign]
    for max_steps, expected in ((100, 0.5), (1000, 0.25), (-1, 0.25)):
        trainer = SimpleNamespace(
            global_step=50, max_steps=max_steps, callbacks=[timer], strategy=SimpleNamespace(broadcast=lambda x: x)
        )
        module._trainer = trainer  # type: ignore[assignment]
        assert module.progress() == pytest.approx(expected)
