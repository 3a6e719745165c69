"""Laws of CircleLoss: invariances, duplicates, and agreement with another implementation."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.losses import CircleLoss as OtherCircleLoss

from circlemnist import CircleLoss
from tests.losses.reference import cosines, per_anchor

PAIRS = st.sampled_from(["anchor", "batch"])


@st.composite
def batches(draw, dtype=torch.float64, max_size=40):
    size, dim, classes = (
        draw(st.integers(2, max_size)),
        draw(st.integers(2, 16)),
        draw(st.integers(1, 8)),
    )
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = torch.randn(size, dim, generator=generator, dtype=dtype)
    return x, torch.randint(classes, (size,), generator=generator)


@given(batches(), PAIRS)
def test_order_of_the_batch_does_not_matter(batch, pairs):
    x, y = batch
    order = torch.randperm(len(x))
    loss = CircleLoss(pairs=pairs)
    assert loss(x[order], y[order]).item() == pytest.approx(loss(x, y).item(), rel=1e-12)


@given(batches(), PAIRS)
def test_names_of_the_classes_do_not_matter(batch, pairs):
    x, y = batch
    names = torch.randperm(1000)[:8] - 500
    loss = CircleLoss(pairs=pairs)
    assert loss(x, names[y]).item() == pytest.approx(loss(x, y).item(), rel=1e-12)


@given(batches(), PAIRS)
def test_rotation_and_length_do_not_matter(batch, pairs):
    x, y = batch
    rotation, _ = torch.linalg.qr(torch.randn(x.shape[1], x.shape[1], dtype=x.dtype))
    lengths = torch.rand(len(x), 1, dtype=x.dtype) + 0.1
    loss = CircleLoss(pairs=pairs)
    assert loss(x @ rotation * lengths, y).item() == pytest.approx(loss(x, y).item(), rel=1e-9)


@given(batches(), st.floats(1, 1024), st.floats(-0.9, 0.9))
def test_gradient_is_orthogonal_to_the_embedding(batch, gamma, m):
    x, y = batch
    x.requires_grad_()
    CircleLoss(gamma, m)(x, y).backward()
    along = (x.grad * x.detach()).sum(1).abs().max()
    assert along <= 1e-10 * max(1, x.grad.norm())


@given(batches(), st.data())
def test_a_duplicate_adds_the_pairs_that_the_formula_says(batch, data):
    x, y = batch
    i = data.draw(st.integers(0, len(x) - 1))
    x, y = torch.cat([x, x[i : i + 1]]), torch.cat([y, y[i : i + 1]])
    labels = y.tolist()
    wanted, _ = per_anchor(cosines(x, x), labels, labels, [*range(len(y))], 80, 0.25)
    values = CircleLoss(reduction="none")(x, y)
    assert values[i].item() == pytest.approx(values[-1].item(), rel=1e-10)
    torch.testing.assert_close(values, torch.tensor(wanted, dtype=x.dtype), rtol=1e-9, atol=1e-12)


def test_duplicating_the_only_negative_adds_log_2():
    x = F.normalize(torch.randn(3, 8, dtype=torch.float64))
    y = torch.tensor([0, 0, 1])
    loss = CircleLoss(reduction="none")
    exponent = loss(x, y)[0].expm1().log()
    doubled = loss(torch.cat([x, x[2:]]), torch.tensor([0, 0, 1, 1]))[0].expm1().log()
    assert (doubled - exponent).item() == pytest.approx(
        torch.log(torch.tensor(2.0)).item(), rel=1e-6
    )


@given(batches(), PAIRS)
def test_loss_is_never_negative_and_reductions_agree(batch, pairs):
    x, y = batch
    none = CircleLoss(pairs=pairs, reduction="none")(x, y)
    total = CircleLoss(pairs=pairs, reduction="sum")(x.requires_grad_(), y)
    assert (none >= 0).all()
    assert total.item() == pytest.approx(none.sum().item(), rel=1e-12)


@settings(max_examples=200)
@given(
    batches(dtype=torch.float32, max_size=200),
    st.floats(1, 1024),
    st.floats(-0.3, 0.9),
)
def test_equals_pytorch_metric_learning(batch, gamma, m):
    """To 1e-5, where its reducer, which leaves out zeros, averages the same anchors.

    Float32 knows an exponent to gamma * eps: at large gamma that is more, of either value.

    In float32 the gradient itself is known less well at large gamma and in few dimensions, most of
    it being taken off by the normalisation: there ours differs by what the other one rounds away,
    and both know it to some roundings of what it was before.
    """
    x, y = F.normalize(batch[0]).requires_grad_(), batch[1]
    other = OtherCircleLoss(m=m, gamma=gamma)(x, y)
    (theirs,) = torch.autograd.grad(other, x)
    each = CircleLoss(gamma, m, reduction="none")(x, y)
    same = y[:, None] == y
    both = (same.sum(1) > 1) & ~same.all(1)
    if not other.isfinite() or not theirs.isfinite().all() or (each[both] == 0).any():
        return
    loss = CircleLoss(gamma, m)(x, y)
    (ours,) = torch.autograd.grad(loss, x)
    double = x.detach().double().requires_grad_()
    (exact,) = torch.autograd.grad(CircleLoss(gamma, m)(double, y), double)
    (before,) = torch.autograd.grad(CircleLoss(gamma, m, normalize=False)(double, y), double)
    rounding = 1e-6 * before.norm()
    assert loss.item() == pytest.approx(other.item(), rel=1e-5 + 4e-7 * gamma, abs=1e-10)
    known = (1e-4 + 4e-7 * gamma) * exact.norm() + rounding
    assert (ours - exact).norm() <= known
    assert (ours - theirs).norm() <= known + 2 * (theirs - exact).norm()


@given(st.integers(2, 6), st.integers(2, 4), st.floats(10, 200), st.floats(0.1, 0.9))
def test_equal_pairs_add_the_log_of_their_number(classes, samples, gamma, m):
    """The rule for gamma, m and the batch in docs/circle-loss.md."""
    x = torch.eye(classes, dtype=torch.float64).repeat(samples, 1)
    y = torch.arange(classes).repeat(samples)
    sp, sn = 1.0, 0.0
    pairs = torch.tensor((samples - 1) * (classes - 1) * samples, dtype=torch.float64)
    exponent = gamma * (sn**2 + (1 - sp) ** 2 - 2 * m * m) + pairs.log()
    wanted = torch.logaddexp(exponent, torch.zeros_like(exponent))
    assert CircleLoss(gamma, m)(x, y).item() == pytest.approx(wanted.item(), rel=1e-9)
