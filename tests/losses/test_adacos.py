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


def orthogonal(**settings):
    """Six classes along the axes."""
    loss = AdaCosLoss(6, 6, **settings)
    loss.weight.data = torch.eye(6)
    return loss


def next_scale(s, similarities, labels):
    """The dynamic scale after a batch whose (N, C) cosines these are."""
    b, theta = [], []
    for row, y in zip(similarities, labels, strict=True):
        b.append(math.fsum(math.exp(s * c) for k, c in enumerate(row) if k != y))
        theta.append(math.acos(min(max(row[y], -1.0), 1.0)))
    return math.log(math.fsum(b) / len(b)) / math.cos(min(math.pi / 4, statistics.median(theta)))


@pytest.mark.parametrize("spread", [None, 0.3, 0.01])
def test_values_gradients_and_scales_of_several_steps(spread):
    """Far from the weights, where the median angle is capped, about them, and upon them."""
    loss = AdaCosLoss(6, 4).double()
    assert loss.scale.item() == pytest.approx(FIXED, rel=1e-7)
    s = loss.scale.item()
    for size in (9, 1, 6, 31):
        x, y = batch(size)
        x = x if spread is None else near(loss.weight, y, spread)
        similarities, leaves = cosines(x, loss.weight), (x, loss.weight)
        s = next_scale(s, similarities.tolist(), y.tolist())
        expected = -(s * similarities).log_softmax(1)[range(size), y].mean()
        slopes = torch.autograd.grad(expected, leaves)
        value = loss(x, y)
        assert loss.scale.item() == pytest.approx(s, rel=1e-9)
        assert value.item() == pytest.approx(expected.item(), rel=1e-9)
        torch.testing.assert_close(
            torch.autograd.grad(value, leaves), slopes, rtol=1e-8, atol=1e-12
        )


@pytest.mark.parametrize("sign", [1, -1])
def test_cosines_outside_of_minus_1_to_1_count_as_the_nearest(sign):
    """Of coordinates, for instance; rounding alone goes there too."""
    loss = orthogonal(normalize=False)
    loss(sign * 1.5 * loss.weight.detach(), torch.arange(6))
    assert loss.scale.item() == pytest.approx(math.log(5) if sign > 0 else FIXED, rel=1e-6)


def test_a_large_scale_does_not_overflow():
    """exp(200) is no float32; of so sharp a batch log B_avg is s times its largest cosine."""
    loss = orthogonal()
    loss.scale.fill_(200.0)
    value = loss(loss.weight.detach(), torch.tensor([1, 0, 3, 2, 5, 4])).item()
    assert loss.scale.item() == pytest.approx(200 * math.sqrt(2), rel=1e-6)
    assert value == pytest.approx(loss.scale.item(), rel=1e-6)
