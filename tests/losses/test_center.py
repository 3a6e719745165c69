"""CenterLoss against a loop over the paper's equations in float64, and the laws it keeps."""

import math

import pytest
import torch

from circlemnist.losses.center import CenterLoss
from tests.losses.reference import log_sum_exp


def batch(size=9, classes=4, dim=3, dtype=torch.float64):
    x = 2 * torch.randn(size, dim, dtype=dtype) + 1
    return x.requires_grad_(), torch.randint(classes, (size,))


def with_centers(loss):
    """The loss with centres anywhere, which at 0 would hide much."""
    loss.centers.normal_()
    return loss


def reference(x, y, weight, bias, centers, gamma):
    """Eq. 5 over the size of the batch, and its derivatives by x, weight and bias."""
    m, classes, dim = len(x), range(len(weight)), range(len(x[0]))
    value = 0.0
    d_x = [[0.0 for _ in dim] for _ in x]
    d_w = [[0.0 for _ in dim] for _ in classes]
    d_b = [0.0 for _ in classes]
    for i in range(m):
        logits = [bias[j] + math.fsum(weight[j][d] * x[i][d] for d in dim) for j in classes]
        total = log_sum_exp(logits)
        value += (total - logits[y[i]]) / m
        value += gamma / 2 * math.fsum((x[i][d] - centers[y[i]][d]) ** 2 for d in dim) / m
        for d in dim:
            d_x[i][d] += gamma * (x[i][d] - centers[y[i]][d]) / m
        for j in classes:
            slope = (math.exp(logits[j] - total) - (j == y[i])) / m
            d_b[j] += slope
            for d in dim:
                d_x[i][d] += slope * weight[j][d]
                d_w[j][d] += slope * x[i][d]
    return value, [d_x, d_w, d_b]


def moved(x, y, centers, rate):
    """Eq. 4, one centre after the other."""
    after = []
    for j, center in enumerate(centers):
        own = [x[i] for i in range(len(x)) if y[i] == j]
        deltas = [math.fsum(c - v[d] for v in own) / (1 + len(own)) for d, c in enumerate(center)]
        after.append([c - rate * delta for c, delta in zip(center, deltas, strict=True)])
    return after


def close(tensor, wanted):
    wanted = torch.tensor(wanted, dtype=torch.float64)
    torch.testing.assert_close(tensor.detach(), wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("gamma", "rate"), [(0.003, 0.5), (0.7, 0.2), (2.0, 1.0), (0.0, 0.9)])
def test_values_gradients_and_centres_of_several_steps(gamma, rate):
    loss = CenterLoss(4, 3, gamma, rate).double()
    centers = [[0.0] * 3] * 4
    for size in (9, 1, 6, 30):
        x, y = batch(size)
        rows, labels = x.tolist(), y.tolist()
        value, slopes = reference(
            rows, labels, loss.weight.tolist(), loss.bias.tolist(), centers, gamma
        )
        loss_value = loss(x, y)
        loss_value.backward()
        assert loss_value.item() == pytest.approx(value, rel=1e-10)
        for tensor, wanted in zip((x, loss.weight, loss.bias), slopes, strict=True):
            close(tensor.grad, wanted)
        centers = moved(rows, labels, centers, rate)
        close(loss.centers, centers)
        loss.zero_grad()


def test_begins_as_a_linear_layer_and_again_after_a_reset():
    loss = CenterLoss(50, 25)
    assert loss.centers.eq(0).all()
    loss.centers.fill_(1.0)
    loss.reset_parameters()
    assert loss.centers.eq(0).all()
    for parameter in (loss.weight, loss.bias):
        assert 0.15 <= parameter.abs().max() <= 0.2
        assert parameter.mean().abs() <= 0.06


@pytest.mark.parametrize(
    ("error", "message", "settings"),
    [
        (ValueError, "gamma is finite and at least 0, not -0.1", {"gamma": -0.1}),
        (ValueError, "gamma is finite and at least 0, not inf", {"gamma": math.inf}),
        (ValueError, "gamma is finite and at least 0, not nan", {"gamma": math.nan}),
        (TypeError, "gamma is a number, not str: '1'", {"gamma": "1"}),
        (ValueError, "rate lies between 0 and 1, not 1.1", {"rate": 1.1}),
        (ValueError, "rate lies between 0 and 1, not -0.1", {"rate": -0.1}),
        (ValueError, "rate lies between 0 and 1, not nan", {"rate": math.nan}),
        (TypeError, "rate is a number, not bool: True", {"rate": True}),
    ],
)
def test_wrong_settings(error, message, settings):
    with pytest.raises(error) as caught:
        CenterLoss(**{"num_classes": 4, "embedding_dim": 3, **settings})
    assert str(caught.value) == message
