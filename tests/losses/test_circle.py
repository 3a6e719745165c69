"""CircleLoss and ClassCircleLoss against the paper's equations in float64, and their laws."""

import math
from itertools import combinations, product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.losses import CircleLoss as OtherCircleLoss

from circlemnist import CircleLoss, ClassCircleLoss
from tests.losses.reference import cosines, per_anchor, through_cosines, whole_batch

SETTINGS = pytest.mark.parametrize(
    ("gamma", "m"),
    [(80.0, 0.25), (1.0, 0.0), (256.0, 0.4), (1024.0, -0.3), (32.0, 0.9), (80.0, -0.9)],
)
REDUCTIONS = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
TRACED = pytest.mark.usefixtures("traced")
PAIRS = st.sampled_from(["anchor", "batch"])


@pytest.fixture(params=[False, True], ids=["eager", "traced"])
def traced(request, monkeypatch):
    """The plain formula runs while torch.compile traces, and its own branches of the loss."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: request.param)


def batch(size, dim=5, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(size, dim, generator=generator, dtype=torch.float64)
    return x.requires_grad_(), torch.randint(classes, (size,), generator=generator)


def relative(a, b):
    return ((a - b).norm() / b.norm().clamp_min(1e-300)).item()


def having_both(y):
    """Whether each anchor has a positive and a negative."""
    same = y[:, None] == y
    return (same.sum(1) > 1) & ~same.all(1)


def weights_of(reduction, both):
    """What the value of each anchor is multiplied with: for none, anything."""
    if reduction == "none":
        return torch.randn(len(both), dtype=torch.float64)
    share = 1 / both.sum().item() if reduction == "mean" else 1.0
    return torch.full((len(both),), share, dtype=torch.float64)


@TRACED
@SETTINGS
@REDUCTIONS
def test_value_and_gradient_equal_equations_6_9_and_10(gamma, m, reduction):
    x, y = batch(17, classes=6)
    labels = y.tolist()
    values, slopes = per_anchor(cosines(x, x), labels, labels, [*range(17)], gamma, m)
    weight = weights_of(reduction, having_both(y))
    d_anchor, d_reference = through_cosines(x.detach(), x.detach(), slopes * weight[:, None])

    loss = CircleLoss(gamma, m, reduction=reduction)(x, y)
    (loss * weight if reduction == "none" else loss).sum().backward()

    expected = torch.tensor(values, dtype=torch.float64)
    if reduction != "none":
        expected = (expected * weight).sum()
    torch.testing.assert_close(loss.detach(), expected, rtol=1e-10, atol=0)
    assert relative(x.grad, d_anchor + d_reference) <= 1e-10


@TRACED
@SETTINGS
@REDUCTIONS
def test_whole_batch_is_one_logsumexp_over_pairs_i_below_j(gamma, m, reduction):
    x, y = batch(11)
    labels, pairs = y.tolist(), combinations(range(11), 2)
    value, slopes = whole_batch(cosines(x, x), labels, labels, pairs, gamma, m)
    d_anchor, d_reference = through_cosines(x.detach(), x.detach(), slopes)

    loss = CircleLoss(gamma, m, pairs="batch", reduction=reduction)(x, y)
    loss.sum().backward()

    assert loss.shape == ((1,) if reduction == "none" else ())
    assert loss.item() == pytest.approx(value, rel=1e-10)
    assert relative(x.grad, d_anchor + d_reference) <= 1e-10


@TRACED
@pytest.mark.parametrize("anchors", [1, 4])
def test_references_in_the_whole_batch_variant_count_each_anchor_reference_pair(anchors):
    x, y = batch(anchors, seed=5)
    r, z = batch(6, seed=6)
    pairs = product(range(anchors), range(6))
    value, slopes = whole_batch(cosines(x, r), y.tolist(), z.tolist(), pairs, 80.0, 0.25)
    d_x, d_r = through_cosines(x.detach(), r.detach(), slopes)

    loss = CircleLoss(pairs="batch")(x, y, r, z)
    loss.backward()

    assert loss.item() == pytest.approx(value, rel=1e-10)
    assert relative(x.grad, d_x) <= 1e-10
    assert relative(r.grad, d_r) <= 1e-10


@TRACED
@pytest.mark.parametrize("marked", [True, False])
@REDUCTIONS
def test_references_and_their_gradient(marked, reduction):
    x, y = batch(7, seed=1)
    r, z = batch(12, seed=2)
    own = torch.full((7,), -1)
    if marked:
        own = torch.tensor([3, -1, 8, 0, -1, 11, 5])
        z = z.clone()
        z[own[own >= 0]] = y[own >= 0]
    values, slopes = per_anchor(cosines(x, r), y.tolist(), z.tolist(), own.tolist(), 80, 0.25)
    weight = weights_of(reduction, (slopes > 0).any(1) & (slopes < 0).any(1))
    d_x, d_r = through_cosines(x.detach(), r.detach(), slopes * weight[:, None])

    loss = CircleLoss(reduction=reduction)(x, y, r, z, own if marked else None)
    total = (loss * weight if reduction == "none" else loss).sum()
    total.backward()

    wanted = (torch.tensor(values, dtype=torch.float64) * weight).sum().item()
    assert total.item() == pytest.approx(wanted, rel=1e-10)
    assert relative(x.grad, d_x) <= 1e-10
    assert relative(r.grad, d_r) <= 1e-10


def test_references_that_are_the_anchors_give_the_loss_without_references():
    x, y = batch(9)
    alone = CircleLoss()(x, y)
    marked = CircleLoss()(x, y, x, y, torch.arange(9, dtype=torch.int32))
    assert marked.item() == pytest.approx(alone.item(), rel=1e-12)
    assert relative(*(torch.autograd.grad(loss, x)[0] for loss in (marked, alone))) <= 1e-12


def test_normalize_false_takes_similarities_as_they_are():
    x, y = batch(10)
    labels = y.tolist()
    values, _ = per_anchor((x @ x.T).detach(), labels, labels, [*range(10)], 80.0, 0.25)
    wanted = sum(values) / having_both(y).sum().item()
    assert CircleLoss(normalize=False)(x, y).item() == pytest.approx(wanted, rel=1e-10)


@TRACED
@pytest.mark.parametrize("needs_gradient", [True, False])
@pytest.mark.parametrize("counted", [0, 1, 2, 3])
def test_mean_leaves_out_anchors_without_both_kinds_of_pairs(needs_gradient, counted):
    x, r = (batch(size)[0].detach().requires_grad_(needs_gradient) for size in (5, 4))
    y, z = torch.tensor([0] * counted + [1, 2, 3, 4, 5][counted:]), torch.tensor([0, 0, 6, 7])
    # without references a lone sample has no positive
    for references in ((r, z), *([()] if counted != 1 else [])):
        values = CircleLoss(reduction="none")(x, y, *references)
        assert values[counted:].eq(0).all()
        wanted = values.sum().item() / max(counted, 1)
        assert CircleLoss()(x, y, *references).item() == pytest.approx(wanted, rel=1e-12)


class TestClassLevel:
    @TRACED
    @SETTINGS
    @REDUCTIONS
    def test_is_cross_entropy_over_alpha_weighted_logits(self, gamma, m, reduction):
        x, y = batch(9, classes=6)
        loss = ClassCircleLoss(6, 5, gamma, m, reduction).double()
        s = cosines(x, loss.weight)
        own = F.one_hot(y, 6).bool()
        alpha = torch.where(own, 1 + m - s, s + m).relu()
        logits = gamma * alpha * torch.where(own, s - (1 - m), s - m)
        wanted = F.cross_entropy(logits, y, reduction=reduction)
        torch.testing.assert_close(loss(x, y).detach(), wanted, rtol=1e-10, atol=1e-12)

    def test_gradients_of_embeddings_and_weights(self):
        x, y = batch(9, classes=6)
        loss = ClassCircleLoss(6, 5).double()
        none = [-1] * 9
        _, slopes = per_anchor(cosines(x, loss.weight), y.tolist(), [*range(6)], none, 80, 0.25)
        d_x, d_w = through_cosines(x.detach(), loss.weight.detach(), slopes / 9)
        loss(x, y).backward()
        assert relative(x.grad, d_x) <= 1e-10
        assert relative(loss.weight.grad, d_w) <= 1e-10

    def test_values_of_unknown_classes_alone_are_nan_while_torch_compile_traces(self, monkeypatch):
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        values = ClassCircleLoss(3, 5, reduction="none")(torch.randn(4, 5), torch.arange(4) - 1)
        assert values.isnan().tolist() == [True, False, False, False]
        values = ClassCircleLoss(3, 5, reduction="none")(torch.randn(4, 5), torch.arange(4))
        assert values.isnan().tolist() == [False, False, False, True]

    def test_one_class_gives_zero(self):
        x = torch.randn(3, 5, requires_grad=True)
        loss = ClassCircleLoss(1, 5)
        loss(x, torch.zeros(3, dtype=torch.long)).backward()
        assert x.grad.eq(0).all()
        assert loss.weight.grad.eq(0).all()

    def test_defaults_are_those_of_the_pair_wise_loss(self):
        mine, theirs = vars(ClassCircleLoss(6, 5)), vars(CircleLoss())
        for name in ("gamma", "m", "reduction", "normalize"):
            assert mine[name] == theirs[name]


@st.composite
def batches(draw, max_size=40):
    size, dim = draw(st.integers(2, max_size)), draw(st.integers(2, 16))
    classes = draw(st.integers(1, 8))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = torch.randn(size, dim, generator=generator, dtype=torch.float64)
    return x, torch.randint(classes, (size,), generator=generator)


@given(batches(), PAIRS)
def test_rotation_and_length_do_not_matter(batch, pairs):
    x, y = batch
    rotation, _ = torch.linalg.qr(torch.randn(x.shape[1], x.shape[1], dtype=x.dtype))
    lengths = torch.rand(len(x), 1, dtype=x.dtype) + 0.1
    loss = CircleLoss(pairs=pairs)
    assert loss(x @ rotation * lengths, y).item() == pytest.approx(loss(x, y).item(), rel=1e-9)


@settings(max_examples=20)
@given(batches(max_size=25), st.data())
def test_a_duplicate_adds_the_pairs_that_the_formula_says(batch, data):
    x, y = batch
    i = data.draw(st.integers(0, len(x) - 1))
    x, y = torch.cat([x, x[i : i + 1]]), torch.cat([y, y[i : i + 1]])
    labels = y.tolist()
    wanted, _ = per_anchor(cosines(x, x), labels, labels, [*range(len(y))], 80, 0.25)
    values = CircleLoss(reduction="none")(x, y)
    assert values[i].item() == pytest.approx(values[-1].item(), rel=1e-10)
    torch.testing.assert_close(values, torch.tensor(wanted, dtype=x.dtype), rtol=1e-9, atol=1e-12)


@given(batches(), PAIRS)
def test_loss_is_never_negative_and_reductions_agree(batch, pairs):
    x, y = batch
    none = CircleLoss(pairs=pairs, reduction="none")(x, y)
    total = CircleLoss(pairs=pairs, reduction="sum")(x.requires_grad_(), y)
    assert (none >= 0).all()
    assert total.item() == pytest.approx(none.sum().item(), rel=1e-12)


@given(batches(max_size=200), st.floats(1, 1024), st.floats(-0.3, 0.9))
def test_equals_pytorch_metric_learning(batch, gamma, m):
    """Where its reducer, which leaves out zeros, averages the same anchors."""
    x, y = batch[0].requires_grad_(), batch[1]
    theirs, ours = OtherCircleLoss(m=m, gamma=gamma)(x, y), CircleLoss(gamma, m)(x, y)
    assume((CircleLoss(gamma, m, reduction="none")(x, y)[having_both(y)] > 0).all())
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-8)
    slope, wanted = (torch.autograd.grad(loss, x)[0] for loss in (ours, theirs))
    assert (slope - wanted).norm() <= 1e-8 * wanted.norm()


@given(st.integers(2, 6), st.integers(2, 4), st.floats(10, 200), st.floats(0.1, 0.9))
def test_equal_pairs_add_the_log_of_their_number(classes, samples, gamma, m):
    """The rule for gamma, m and the batch in docs/circle-loss.md."""
    x = torch.eye(classes, dtype=torch.float64).repeat(samples, 1)
    y = torch.arange(classes).repeat(samples)
    sp, sn, pairs = 1.0, 0.0, (samples - 1) * (classes - 1) * samples
    exponent = gamma * (sn**2 + (1 - sp) ** 2 - 2 * m * m) + math.log(pairs)
    wanted = max(exponent, 0.0) + math.log1p(math.exp(-abs(exponent)))
    assert CircleLoss(gamma, m)(x, y).item() == pytest.approx(wanted, rel=1e-9)
