"""CenterLoss against a loop over the paper's equations in float64, and the laws it keeps."""

import math

import pytest
import torch

from circlemnist.losses.center import CenterLoss


def batch(size):
    x = 2 * torch.randn(size, 3, dtype=torch.float64) + 1
    return x.requires_grad_(), torch.randint(4, (size,))


def reference(x, y, weight, bias, centers, gamma):
    """Eq. 5 over the size of the batch, term by term."""
    value = 0
    for x_i, y_i in zip(x, y, strict=True):
        logits = [w @ x_i + b for w, b in zip(weight, bias, strict=True)]
        value -= (logits[y_i].exp() / sum(logit.exp() for logit in logits)).log()
        value += gamma / 2 * sum((a - c) ** 2 for a, c in zip(x_i, centers[y_i], strict=True))
    return value / len(x)


def moved(x, y, centers, rate):
    """Eq. 4, one centre after the other."""
    after = []
    for j, center in enumerate(centers):
        own = [x[i] for i in range(len(x)) if y[i] == j]
        deltas = [math.fsum(c - v[d] for v in own) / (1 + len(own)) for d, c in enumerate(center)]
        after.append([c - rate * delta for c, delta in zip(center, deltas, strict=True)])
    return after


@pytest.mark.parametrize(
    "wrong", [{"gamma": -0.1}, {"gamma": math.inf}, {"rate": -0.1}, {"rate": 1.1}]
)
def test_setting_outside_of_its_limits_is_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} .*, not"):
        CenterLoss(4, 3, **wrong)


@pytest.mark.parametrize(("gamma", "rate"), [(0.003, 0.5), (0.7, 0.2), (2.0, 1.0), (0.0, 0.9)])
def test_values_gradients_and_centres_of_several_steps(gamma, rate):
    loss = CenterLoss(4, 3, gamma, rate).double()
    centers = [[0.0] * 3] * 4
    for size in (9, 1, 6, 30):
        x, y = batch(size)
        leaves = x, loss.weight, loss.bias
        wanted = reference(x, y, loss.weight, loss.bias, centers, gamma)
        slopes = torch.autograd.grad(wanted, leaves)
        value = loss(x, y)
        assert value.item() == pytest.approx(wanted.item(), rel=1e-10)
        torch.testing.assert_close(
            torch.autograd.grad(value, leaves), slopes, rtol=1e-9, atol=1e-12
        )
        centers = moved(x.tolist(), y.tolist(), centers, rate)
        after = torch.tensor(centers, dtype=torch.float64)
        torch.testing.assert_close(loss.centers, after, rtol=1e-10, atol=1e-10)
