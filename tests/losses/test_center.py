"""CenterLoss against a loop over the paper's equations in float64, and the laws it keeps."""

import copy
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
    found = []
    for j, center in enumerate(centers):
        own = [x[i] for i in range(len(x)) if y[i] == j]
        found.append(
            [
                c - rate * math.fsum(c - v[d] for v in own) / (1 + len(own))
                for d, c in enumerate(center)
            ]
        )
    return found


def close(found, wanted, tolerance=1e-10):
    wanted = torch.tensor(wanted, dtype=torch.float64)
    torch.testing.assert_close(found.detach().double(), wanted, rtol=tolerance, atol=tolerance)


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
        found = loss(x, y)
        found.backward()
        assert found.shape == ()
        assert found.item() == pytest.approx(value, rel=1e-10)
        for tensor, wanted in zip((x, loss.weight, loss.bias), slopes, strict=True):
            close(tensor.grad, wanted)
        centers = moved(rows, labels, centers, rate)
        close(loss.centers, centers)
        loss.zero_grad()


def test_gradcheck_with_frozen_centres():
    loss = with_centers(CenterLoss(4, 3, gamma=0.5).double()).eval()
    x, y = batch()
    assert torch.autograd.gradcheck(lambda *_: loss(x, y), (x, loss.weight, loss.bias))


def test_one_embedding_moves_its_centre_a_quarter_of_the_way_and_no_other():
    """alpha / (1 + n) = 0.5 / 2; of n_j = 1 it would be half."""
    loss = with_centers(CenterLoss(4, 3))
    before = loss.centers.clone()
    x = torch.randn(1, 3)
    loss(x, torch.tensor([2]))
    torch.testing.assert_close(loss.centers[2], before[2] + (x[0] - before[2]) / 4)
    others = [0, 1, 3]
    assert loss.centers[others].equal(before[others])


def test_the_centres_of_a_batch_are_those_before_it():
    training = with_centers(CenterLoss(4, 3, gamma=3.0))
    frozen = copy.deepcopy(training).eval()
    x, y = batch(dtype=torch.float32)
    assert training(x, y).item() == frozen(x, y).item()
    assert training.centers.ne(frozen.centers).any()


def test_embeddings_are_not_normalised():
    loss = with_centers(CenterLoss(4, 3, gamma=1.0).double()).eval()
    x, y = batch()
    assert loss(3 * x, y).item() != pytest.approx(loss(x, y).item(), rel=1e-2)


def test_float64_embeddings_give_a_float64_loss_and_centres_keep_their_dtype():
    loss = with_centers(CenterLoss(4, 3, gamma=1.0)).eval()
    x, y = batch()
    found = loss(x, y)
    assert found.dtype == torch.float64
    value, _ = reference(
        x.tolist(), y.tolist(), loss.weight.tolist(), loss.bias.tolist(), loss.centers.tolist(), 1.0
    )
    assert found.item() == pytest.approx(value, rel=1e-12)
    loss.train()(x, y).backward()
    assert loss.centers.dtype == loss.weight.grad.dtype == torch.float32


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
        (ValueError, "num_classes is at least 1, not 0", {"num_classes": 0}),
        (ValueError, "embedding_dim is at least 1, not -1", {"embedding_dim": -1}),
        (TypeError, "num_classes is an integer, not float: 4.0", {"num_classes": 4.0}),
        (TypeError, "embedding_dim is an integer, not bool: True", {"embedding_dim": True}),
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


def test_description_names_the_settings():
    assert repr(CenterLoss(4, 3)) == (
        "CenterLoss(num_classes=4, embedding_dim=3, gamma=0.003, rate=0.5)"
    )
