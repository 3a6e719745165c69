"""CircleLoss and ClassCircleLoss against the paper's equations in float64, and their laws."""

from itertools import combinations, product

import pytest
import torch
from hypothesis import assume, given
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


@pytest.fixture(params=[False, True], ids=["eager", "traced"])
def traced(request, monkeypatch):
    """The plain formula runs while torch.compile traces, and its own branches of the loss."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: request.param)


def batch(size, dim=5, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(size, dim, generator=generator, dtype=torch.float64)
    return x.requires_grad_(), torch.randint(classes, (size,), generator=generator)


def close(tensors, expected):
    for tensor, wanted in zip(tensors, expected, strict=True):
        torch.testing.assert_close(tensor.detach(), wanted, rtol=1e-10, atol=1e-12 * wanted.norm())


def having_both(y, z=None, own=None):
    """Whether each anchor has a positive and a negative."""
    z = y if z is None else z
    own = torch.arange(len(y)) if own is None else own
    same, itself = y[:, None] == z, own[:, None] == torch.arange(len(z))
    return (same & ~itself).any(1) & ~same.all(1)


@TRACED
@SETTINGS
@REDUCTIONS
@pytest.mark.parametrize("kind", ["itself", "marked", "unmarked"])
def test_value_and_gradients_equal_equations_6_9_and_10(gamma, m, reduction, kind):
    x, y = r, z = batch(13, classes=5)
    own = torch.arange(13, dtype=torch.int32)
    if kind != "itself":
        x, y = batch(7, classes=5, seed=1)
        own = torch.tensor([3, -1, 8, 0, -1, 11, 5] if kind == "marked" else [-1] * 7)
        z[own[own >= 0]] = y[own >= 0]
    slopes_of = cosines(x.detach(), r.detach()), y.tolist(), z.tolist(), own.tolist()
    values, slopes = per_anchor(*slopes_of, gamma, m)
    both = having_both(y, z, own)
    weight = both.double() / (both.sum() if reduction == "mean" else 1)
    if reduction == "none":  # anything
        weight = torch.randn(len(y), dtype=torch.float64)
    by_rows = through_cosines(x, r, slopes * weight[:, None])

    references = {"itself": (), "marked": (r, z, own), "unmarked": (r, z)}[kind]
    loss = CircleLoss(gamma, m, reduction=reduction)(x, y, *references)
    total = (loss * weight if reduction == "none" else loss).sum()

    close([loss], [values if reduction == "none" else (values * weight).sum()])
    leaves, wanted = ([x], [sum(by_rows)]) if kind == "itself" else ([x, r], by_rows)
    close(torch.autograd.grad(total, leaves), wanted)


@TRACED
@SETTINGS
@REDUCTIONS
@pytest.mark.parametrize("anchors", [0, 1, 4])
def test_whole_batch_is_one_logsumexp_over_all_pairs(gamma, m, reduction, anchors):
    """Over i < j, or with references over each anchor with each of them."""
    x, y = r, z = batch(11)
    pairs = combinations(range(11), 2)
    if anchors:
        (x, y), pairs = batch(anchors, seed=5), product(range(anchors), range(11))
    similarities = cosines(x.detach(), r.detach())
    value, slopes = whole_batch(similarities, y.tolist(), z.tolist(), pairs, gamma, m)
    by_rows = through_cosines(x, r, slopes)

    references = (r, z) if anchors else ()
    loss = CircleLoss(gamma, m, pairs="batch", reduction=reduction)(x, y, *references)

    assert loss.shape == ((1,) if reduction == "none" else ())
    assert loss.item() == pytest.approx(value, rel=1e-10)
    leaves, wanted = ([x, r], by_rows) if anchors else ([x], [sum(by_rows)])
    close(torch.autograd.grad(loss.sum(), leaves), wanted)


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
    @SETTINGS
    def test_value_and_gradients_of_embeddings_and_weights(self, gamma, m):
        x, y = batch(9, classes=6)
        loss = ClassCircleLoss(6, 5, gamma, m).double()
        similarities = cosines(x.detach(), loss.weight.detach())
        values, slopes = per_anchor(similarities, y.tolist(), [*range(6)], [-1] * 9, gamma, m)
        value = loss(x, y)
        close([value], [values.mean()])
        gradients = torch.autograd.grad(value, [x, loss.weight])
        close(gradients, through_cosines(x, loss.weight, slopes / 9))

    def test_one_class_gives_zero(self):
        x = torch.randn(3, 5, requires_grad=True)
        loss = ClassCircleLoss(1, 5)
        loss(x, torch.zeros(3, dtype=torch.long)).backward()
        assert x.grad.eq(0).all()
        assert loss.weight.grad.eq(0).all()


@st.composite
def batches(draw, max_size=40):
    size, dim = draw(st.integers(2, max_size)), draw(st.integers(2, 16))
    classes = draw(st.integers(1, 8))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = torch.randn(size, dim, generator=generator, dtype=torch.float64)
    return x, torch.randint(classes, (size,), generator=generator)


@given(batches(max_size=200), st.floats(1, 1024), st.floats(-0.3, 0.9))
def test_equals_pytorch_metric_learning(batch, gamma, m):
    """Where its reducer, which leaves out zeros, averages the same anchors."""
    x, y = batch[0].requires_grad_(), batch[1]
    theirs, ours = OtherCircleLoss(m=m, gamma=gamma)(x, y), CircleLoss(gamma, m)(x, y)
    assume((CircleLoss(gamma, m, reduction="none")(x, y)[having_both(y)] > 0).all())
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-8)
    slope, wanted = (torch.autograd.grad(loss, x)[0] for loss in (ours, theirs))
    assert (slope - wanted).norm() <= 1e-8 * wanted.norm()
