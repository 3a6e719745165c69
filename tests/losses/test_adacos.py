"""AdaCosLoss against a loop over the paper's equations in float64, and the laws of its scale."""

import math
import statistics

import pytest
import torch

from circlemnist.losses.adacos import AdaCosLoss
from tests.losses.reference import cosines

FIXED = math.sqrt(2) * math.log(5)


def batch(size=9):
    x = torch.randn(size, 4, dtype=torch.float64)
    return x.requires_grad_(), torch.randint(6, (size,))


def near(weight, y, spread):
    """Embeddings about the weights of their classes, as they are late in a training."""
    x = weight.detach()[y] + spread * torch.randn(len(y), weight.shape[1], dtype=weight.dtype)
    return x.requires_grad_()


def orthogonal(dim=7, **settings):
    """Six classes along the axes, of which the seventh has none."""
    loss = AdaCosLoss(6, dim, **settings).double()
    loss.weight.data = torch.eye(dim, dtype=torch.float64)[:6]
    return loss


def at_angles(*angles):
    """Embeddings at these angles to the first class, orthogonal to the others."""
    x = torch.zeros(len(angles), 7, dtype=torch.float64)
    angles = torch.tensor(angles, dtype=torch.float64)
    x[:, 0], x[:, 6] = angles.cos(), angles.sin()
    return x, torch.zeros(len(angles), dtype=torch.long)


def next_scale(s, similarities, labels):
    """The dynamic scale after a batch whose (N, C) cosines these are."""
    b, theta = [], []
    for row, y in zip(similarities, labels, strict=True):
        b.append(math.fsum(math.exp(s * c) for k, c in enumerate(row) if k != y))
        theta.append(math.acos(min(max(row[y], -1.0), 1.0)))
    return math.log(math.fsum(b) / len(b)) / math.cos(min(math.pi / 4, statistics.median(theta)))


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("spread", [None, 0.3, 0.01])
def test_values_gradients_and_scales_of_several_steps(spread, dynamic):
    """Far from the weights, where the median angle is capped, about them, and upon them."""
    loss = AdaCosLoss(6, 4, dynamic).double()
    assert loss.scale.item() == pytest.approx(FIXED, rel=1e-7)
    s = loss.scale.item()
    for size in (9, 1, 6, 31):
        x, y = batch(size)
        x = x if spread is None else near(loss.weight, y, spread)
        similarities, leaves = cosines(x, loss.weight), (x, loss.weight)
        s = next_scale(s, similarities.tolist(), y.tolist()) if dynamic else s
        expected = -(s * similarities).log_softmax(1)[range(size), y].mean()
        slopes = torch.autograd.grad(expected, leaves)
        value = loss(x, y)
        assert loss.scale.item() == pytest.approx(s, rel=1e-9)
        assert value.item() == pytest.approx(expected.item(), rel=1e-9)
        torch.testing.assert_close(
            torch.autograd.grad(value, leaves), slopes, rtol=1e-8, atol=1e-12
        )


@pytest.mark.parametrize("spread", [None, 0.1])
def test_a_batch_has_the_scale_that_it_moved_to_without_a_gradient_through_it(spread):
    """Value and gradient of the same batch are the same at the scale it moved to."""
    loss = AdaCosLoss(6, 4).double()
    x, y = batch()
    x = x if spread is None else near(loss.weight, y, spread)
    moved = loss(x, y)
    gradients = torch.autograd.grad(moved, [x, loss.weight])
    wanted = torch.autograd.grad(loss.eval()(x, y), [x, loss.weight])
    assert all(a.equal(b) for a, b in zip(gradients, wanted, strict=True))
    assert moved.item() == loss(x, y).item()


@pytest.mark.parametrize(
    ("angles", "median"),
    [
        *(([angle], min(angle, math.pi / 4)) for angle in (0.0, 0.4, math.pi / 4, 1.0, math.pi)),
        ([0.1, 0.3, 0.5, 3.0], 0.4),  # between the two in the middle
    ],
)
def test_the_scale_falls_with_the_median_angle_which_counts_as_45_degrees_at_most(angles, median):
    """B_avg is C - 1 of orthogonal classes, so that what is capped is the fixed scale."""
    loss = orthogonal()
    loss(*at_angles(*angles))
    assert loss.scale.item() == pytest.approx(math.log(5) / math.cos(median), rel=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_cosines_outside_of_minus_1_to_1_count_as_the_nearest(sign):
    """Of coordinates, for instance; rounding alone goes there too."""
    loss = orthogonal(6, normalize=False)
    loss(sign * 1.5 * loss.weight.detach(), torch.arange(6))
    assert loss.scale.item() == pytest.approx(math.log(5) if sign > 0 else FIXED, rel=1e-12)


def test_a_large_scale_does_not_overflow():
    """exp(200) is no float32; of so sharp a batch log B_avg is s times its largest cosine."""
    loss = orthogonal(6).float()
    loss.scale.fill_(200.0)
    value = loss(loss.weight.detach(), torch.tensor([1, 0, 3, 2, 5, 4])).item()
    assert loss.scale.item() == pytest.approx(200 * math.sqrt(2), rel=1e-6)
    assert value == pytest.approx(loss.scale.item(), rel=1e-6)


@pytest.mark.parametrize("classes", [3, 10, 1000])
def test_begins_with_the_fixed_scale_and_again_after_a_reset(classes):
    loss = AdaCosLoss(classes, 4)
    fixed = loss.scale.item()
    assert fixed == pytest.approx(math.sqrt(2) * math.log(classes - 1), rel=1e-6)
    loss.scale.fill_(1.0)
    loss.reset_parameters()
    assert loss.scale.item() == fixed
