"""AdaCosLoss against a loop over the paper's equations in float64, and the laws it keeps."""

import copy
import math
import statistics

import pytest
import torch
import torch.nn.functional as F

from circlemnist.losses.adacos import AdaCosLoss
from tests.losses.reference import cosines, log_sum_exp, through_cosines

FIXED = math.sqrt(2) * math.log(5)


def batch(size=9, classes=6, dim=4, dtype=torch.float64):
    return torch.randn(size, dim, dtype=dtype).requires_grad_(), torch.randint(classes, (size,))


def near(weight, y, spread):
    """Embeddings about the weights of their classes, as they are late in a training."""
    x = weight.detach()[y] + spread * torch.randn(len(y), weight.shape[1], dtype=weight.dtype)
    return x.requires_grad_()


def next_scale(s, similarities, labels):
    """The dynamic scale after a batch whose (N, C) cosines these are."""
    b, theta = [], []
    for row, y in zip(similarities, labels, strict=True):
        b.append(math.fsum(math.exp(s * c) for k, c in enumerate(row) if k != y))
        theta.append(math.acos(min(max(row[y], -1.0), 1.0)))
    b_avg = math.fsum(b) / len(b)
    return math.log(b_avg) / math.cos(min(math.pi / 4, statistics.median(theta)))


def cross_entropy(s, similarities, labels):
    """The mean over the batch, and its derivatives by the similarities, the scale held constant."""
    value, slopes = 0.0, torch.zeros(len(similarities), len(similarities[0]), dtype=torch.float64)
    for i, (row, y) in enumerate(zip(similarities, labels, strict=True)):
        total = log_sum_exp([s * c for c in row])
        value += (total - s * row[y]) / len(labels)
        for k, c in enumerate(row):
            slopes[i, k] = s * (math.exp(s * c - total) - (k == y)) / len(labels)
    return value, slopes


@pytest.mark.parametrize("spread", [None, 0.3, 0.01])
def test_values_gradients_and_scales_of_several_steps(spread):
    """Far from the weights, where the median angle is capped, about them, and upon them."""
    loss = AdaCosLoss(6, 4).double()
    s = FIXED
    assert loss.scale.item() == pytest.approx(s, rel=1e-7)
    s = loss.scale.item()
    for size in (9, 1, 6, 31):
        x, y = batch(size)
        x = x if spread is None else near(loss.weight, y, spread)
        similarities, labels = cosines(x, loss.weight), y.tolist()
        s = next_scale(s, similarities.tolist(), labels)
        value, slopes = cross_entropy(s, similarities.tolist(), labels)
        d_x, d_w = through_cosines(x.detach(), loss.weight.detach(), slopes)
        found = loss(x, y)
        found.backward()
        assert found.shape == ()
        assert loss.scale.item() == pytest.approx(s, rel=1e-9)
        assert found.item() == pytest.approx(value, rel=1e-9)
        torch.testing.assert_close(x.grad, d_x, rtol=1e-8, atol=1e-12)
        torch.testing.assert_close(loss.weight.grad, d_w, rtol=1e-8, atol=1e-12)
        loss.zero_grad()


def test_the_fixed_scale_is_a_cosine_softmax():
    loss = AdaCosLoss(6, 4, dynamic=False).double()
    for _ in range(3):
        x, y = batch()
        similarities, labels = cosines(x, loss.weight), y.tolist()
        value, slopes = cross_entropy(FIXED, similarities.tolist(), labels)
        d_x, _ = through_cosines(x.detach(), loss.weight.detach(), slopes)
        found = loss(x, y)
        found.backward()
        assert found.item() == pytest.approx(value, rel=1e-6)
        torch.testing.assert_close(x.grad, d_x, rtol=1e-6, atol=1e-9)
    assert loss.scale.item() == pytest.approx(FIXED, rel=1e-7)


def test_gradcheck_with_a_frozen_scale():
    loss = AdaCosLoss(6, 4).double().eval()
    x, y = batch()
    assert torch.autograd.gradcheck(lambda *_: loss(x, y), (x, loss.weight))


@pytest.mark.parametrize("spread", [None, 0.1])
def test_no_gradient_flows_through_the_scale(spread):
    """That of a batch which moved the scale is that of the same batch at the scale it moved to."""
    loss = AdaCosLoss(6, 4).double()
    x, y = batch()
    x = x if spread is None else near(loss.weight, y, spread)
    found = torch.autograd.grad(loss(x, y), [x, loss.weight])
    wanted = torch.autograd.grad(loss.eval()(x, y), [x, loss.weight])
    assert all(a.equal(b) for a, b in zip(found, wanted, strict=True))
    assert not loss.scale.requires_grad
    assert loss.scale.grad_fn is None


def test_the_median_is_that_of_the_own_angles():
    """Upon their weights, which are orthogonal, all have the angle 0: scale log B_avg / cos 0."""
    loss = AdaCosLoss(6, 6).double()
    loss.weight.data = torch.eye(6, dtype=torch.float64)
    y = torch.arange(6)
    loss(loss.weight.detach(), y)
    assert loss.scale.item() == pytest.approx(math.log(5), rel=1e-12)


@pytest.mark.parametrize("angle", [math.pi / 4, 1.0, math.pi / 2, 2.0, math.pi])
def test_the_median_angle_counts_as_45_degrees_at_most(angle):
    """The others are orthogonal, so that B_avg is C - 1, and what is capped is the fixed scale."""
    loss = AdaCosLoss(6, 7).double()
    loss.weight.data = torch.eye(7, dtype=torch.float64)[:6]
    x = torch.zeros(1, 7, dtype=torch.float64)
    x[0, 0], x[0, 6] = math.cos(angle), math.sin(angle)
    loss(x, torch.tensor([0]))
    assert loss.scale.item() == pytest.approx(FIXED, rel=1e-12)


def test_below_45_degrees_the_scale_falls_with_the_angle():
    loss = AdaCosLoss(6, 7).double()
    loss.weight.data = torch.eye(7, dtype=torch.float64)[:6]
    for angle in (0.7, 0.4, 0.1):
        x = torch.zeros(1, 7, dtype=torch.float64)
        x[0, 0], x[0, 6] = math.cos(angle), math.sin(angle)
        loss(x, torch.tensor([0]))
        assert loss.scale.item() == pytest.approx(math.log(5) / math.cos(angle), rel=1e-12)


def test_the_median_of_an_even_batch_is_between_the_two_in_the_middle():
    loss = AdaCosLoss(6, 7).double()
    loss.weight.data = torch.eye(7, dtype=torch.float64)[:6]
    x = torch.zeros(4, 7, dtype=torch.float64)
    angles = torch.tensor([0.1, 0.3, 0.5, 3.0], dtype=torch.float64)
    x[:, 0], x[:, 6] = angles.cos(), angles.sin()
    loss(x, torch.zeros(4, dtype=torch.long))
    assert loss.scale.item() == pytest.approx(math.log(5) / math.cos(0.4), rel=1e-12)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dynamic", [True, False])
def test_the_scale_moves_in_training_and_where_dynamic_alone(training, dynamic):
    loss = AdaCosLoss(6, 4, dynamic).train(training)
    before = loss.scale.item()
    x, y = batch()
    loss(x, y)
    assert (loss.scale.item() != before) == (training and dynamic)


def test_the_loss_of_a_batch_has_the_scale_that_it_moved_to():
    loss = AdaCosLoss(6, 4)
    x, y = batch()
    found = loss(x, y).item()
    assert found == loss.eval()(x, y).item()


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_embeddings_upon_their_weights_have_an_angle(dtype):
    """Some of these cosines round to more than 1."""
    loss = AdaCosLoss(500, 4)
    y = torch.arange(500)
    x = loss.weight.detach().to(dtype)
    own = (F.normalize(x.float()) * F.normalize(loss.weight.detach())).sum(1)
    assert (own > 1).any()
    assert loss(x, y).isfinite()
    assert loss.scale.isfinite()
    assert loss.scale.item() != AdaCosLoss(500, 4).scale.item()


@pytest.mark.parametrize("sign", [1, -1])
def test_cosines_outside_of_minus_1_to_1_count_as_the_nearest(sign):
    """Of coordinates, for instance; rounding alone goes there too."""
    loss = AdaCosLoss(6, 6, normalize=False).double()
    loss.weight.data = torch.eye(6, dtype=torch.float64)
    loss(sign * 1.5 * loss.weight.detach(), torch.arange(6))
    assert loss.scale.item() == pytest.approx(math.log(5) if sign > 0 else FIXED, rel=1e-12)


def test_a_large_scale_does_not_overflow():
    """exp(200) is no float32; of so sharp a batch log B_avg is s times its largest cosine."""
    loss = AdaCosLoss(6, 6)
    loss.weight.data = torch.eye(6)
    loss.scale.fill_(200.0)
    assert loss(loss.weight.detach(), torch.tensor([1, 0, 3, 2, 5, 4])).item() == pytest.approx(
        loss.scale.item(), rel=1e-6
    )
    assert loss.scale.item() == pytest.approx(200 * math.sqrt(2), rel=1e-6)


def test_length_of_embeddings_and_weights_does_not_matter():
    loss = AdaCosLoss(6, 4).double()
    long = copy.deepcopy(loss)
    long.weight.data *= torch.logspace(-3, 3, 6, dtype=torch.float64)[:, None]
    x, y = batch()
    lengths = torch.logspace(-4, 4, 9, dtype=torch.float64)[:, None]
    assert long(x * lengths, y).item() == pytest.approx(loss(x, y).item(), rel=1e-12)
    assert long.scale.item() == pytest.approx(loss.scale.item(), rel=1e-12)


def test_normalize_false_takes_embeddings_and_weights_as_they_are():
    loss = AdaCosLoss(6, 4, normalize=False).double()
    s = loss.scale.item()
    for _ in range(3):
        x, y = batch()
        products, labels = (x @ loss.weight.T).tolist(), y.tolist()
        s = next_scale(s, products, labels)
        assert loss(x, y).item() == pytest.approx(cross_entropy(s, products, labels)[0], rel=1e-9)
        assert loss.scale.item() == pytest.approx(s, rel=1e-9)


def test_zero_rows_get_a_zero_gradient():
    loss = AdaCosLoss(6, 4)
    x, y = batch(dtype=torch.float32)
    x = x.detach().index_fill(0, torch.tensor(4), 0).requires_grad_()
    loss(x, y).backward()
    assert x.grad[4].eq(0).all()
    assert x.grad.isfinite().all()


def test_float64_embeddings_give_a_float64_loss_and_the_scale_stays_float32():
    loss = AdaCosLoss(6, 4)
    x, y = batch()
    found = loss(x, y)
    found.backward()
    value, _ = cross_entropy(loss.scale.item(), cosines(x, loss.weight).tolist(), y.tolist())
    assert found.dtype == torch.float64
    assert found.item() == pytest.approx(value, rel=1e-12)
    assert loss.scale.shape == ()
    assert loss.scale.dtype == loss.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("dim", [4, 400])
def test_begins_with_random_directions_and_the_fixed_scale_and_again_after_a_reset(dim):
    loss = AdaCosLoss(4000 // dim, dim)
    assert loss.weight.square().sum(1).mean().item() == pytest.approx(1, abs=0.1)
    assert loss.weight.mean().abs() * dim**0.5 <= 0.05
    fixed, first = loss.scale.item(), loss.weight.detach().clone()
    assert fixed == pytest.approx(math.sqrt(2) * math.log(4000 // dim - 1), rel=1e-6)
    loss.scale.fill_(1.0)
    loss.reset_parameters()
    assert loss.scale.item() == fixed
    assert loss.weight.ne(first).all()


@pytest.mark.parametrize(
    ("error", "message", "settings"),
    [
        (ValueError, "num_classes is at least 1, not 0", {"num_classes": 0}),
        (ValueError, "num_classes is at least 3, not 2", {"num_classes": 2}),
        (ValueError, "embedding_dim is at least 1, not -1", {"embedding_dim": -1}),
        (TypeError, "num_classes is an integer, not float: 4.0", {"num_classes": 4.0}),
        (TypeError, "dynamic is True or False, not 80.0", {"dynamic": 80.0}),
    ],
)
def test_wrong_settings(error, message, settings):
    with pytest.raises(error) as caught:
        AdaCosLoss(**{"num_classes": 6, "embedding_dim": 4, **settings})
    assert str(caught.value) == message


def test_three_classes_are_enough():
    assert AdaCosLoss(3, 4).scale.item() == pytest.approx(math.sqrt(2) * math.log(2))


def test_description_names_the_settings():
    assert repr(AdaCosLoss(6, 4)) == (
        "AdaCosLoss(num_classes=6, embedding_dim=4, dynamic=True, normalize=True)"
    )
