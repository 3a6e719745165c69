"""CenterLoss against a loop over the paper's equations in float64, and the laws it keeps."""

import copy
import math

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

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


def test_evaluation_never_moves_the_centres():
    loss = with_centers(CenterLoss(4, 3)).eval()
    before = loss.centers.clone()
    values = {loss(*batch_).item() for batch_ in [batch()] * 3}
    assert len(values) == 1
    assert loss.centers.equal(before)


def test_training_without_gradients_moves_them_too():
    loss = CenterLoss(4, 3)
    with torch.no_grad():
        loss(*batch())
    assert loss.centers.ne(0).any()


def test_embeddings_are_not_normalised():
    loss = with_centers(CenterLoss(4, 3, gamma=1.0).double()).eval()
    x, y = batch()
    assert loss(3 * x, y).item() != pytest.approx(loss(x, y).item(), rel=1e-2)


def test_two_batches_before_one_backward():
    """The centres move in place: no graph may hold them."""
    loss = with_centers(CenterLoss(4, 3, gamma=1.0).double())
    alone = copy.deepcopy(loss)
    (x, y), (z, w) = batch(), batch()
    (loss(x, y) + loss(z, w)).backward()
    found = x.grad, z.grad
    x.grad = z.grad = None
    alone(x, y).backward()
    alone(z, w).backward()
    assert found[0].equal(x.grad)
    assert found[1].equal(z.grad)


def test_centres_get_no_gradient_and_hold_none():
    loss = CenterLoss(4, 3)
    loss(*batch()).backward()
    assert not loss.centers.requires_grad
    assert loss.centers.grad_fn is None
    assert [name for name, _ in loss.named_parameters()] == ["weight", "bias"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_saved_and_loaded_it_goes_on_with_the_same_bits(dtype):
    loss = CenterLoss(4, 3).to(dtype)
    loss(*batch(dtype=dtype))
    loaded = CenterLoss(4, 3).to(dtype)
    loaded.load_state_dict(copy.deepcopy(loss.state_dict()))
    for _ in range(3):
        x, y = batch(dtype=dtype)
        assert loaded(x, y).item() == loss(x, y).item()
    assert loaded.centers.equal(loss.centers)
    assert list(loss.state_dict()) == ["weight", "bias", "centers"]


@pytest.mark.parametrize("training", [True, False])
def test_an_empty_batch_gives_0_with_a_graph_and_moves_nothing(training):
    loss = with_centers(CenterLoss(4, 3)).train(training)
    before = loss.centers.clone()
    x = torch.zeros(0, 3, requires_grad=True)
    found = loss(x, torch.zeros(0, dtype=torch.long))
    found.backward()
    assert found.item() == 0
    assert x.grad.shape == (0, 3)
    assert loss.weight.grad.eq(0).all()
    assert loss.bias.grad.eq(0).all()
    assert loss.centers.equal(before)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_batch_that_is_not_finite_moves_nothing(value):
    loss = with_centers(CenterLoss(4, 3))
    before = loss.centers.clone()
    x, y = batch(dtype=torch.float32)
    assert not loss(x.detach().index_fill(0, torch.tensor(4), value), y).isfinite()
    assert loss.centers.equal(before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_embeddings_are_taken_in_float32(dtype):
    loss = with_centers(CenterLoss(4, 3, gamma=1.0))
    wide = copy.deepcopy(loss)
    x, y = batch(dtype=dtype)
    found = loss(x, y)
    found.backward()
    assert found.dtype == torch.float32
    assert found.item() == wide(x.float(), y).item()
    assert x.grad.dtype == dtype
    assert loss.centers.equal(wide.centers)


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


@pytest.mark.parametrize("weights", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("embeddings", [torch.float16, torch.float32, torch.float64])
def test_the_wider_dtype_and_at_least_float32(weights, embeddings):
    loss = CenterLoss(4, 3).to(weights)
    x, y = batch(dtype=embeddings)
    found = loss(x, y)
    found.backward()
    assert found.dtype == (
        torch.float64 if torch.float64 in (weights, embeddings) else torch.float32
    )
    assert x.grad.dtype == embeddings
    assert {tensor.dtype for tensor in loss.state_dict().values()} == {weights}
    assert loss.weight.grad.dtype == weights


def test_autocast_changes_nothing():
    loss = with_centers(CenterLoss(4, 3, gamma=1.0))
    plain = copy.deepcopy(loss)
    x, y = batch(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(x, y)
    assert found.item() == plain(x, y).item()
    assert loss.centers.equal(plain.centers)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.uint16, torch.uint64])
def test_labels_of_any_integer_dtype(dtype):
    x, y = batch()
    loss = with_centers(CenterLoss(4, 3)).eval()
    assert loss(x, y.to(dtype)).item() == loss(x, y).item()


def test_labels_out_of_range():
    x, _ = batch(3)
    loss = CenterLoss(4, 3)
    for labels in ([0, 1, 4], [-1, 0, 1], [-100, 0, 1]):
        with pytest.raises(ValueError, match=r"^labels lie in 0\.\.3, not in [-\d]+\.\.\d$"):
            loss(x, torch.tensor(labels))
    assert loss.centers.eq(0).all()


@pytest.mark.parametrize("label", [4, -1, -100])
def test_labels_out_of_range_make_a_compiled_loss_nan_and_move_nothing(label):
    torch.compiler.reset()
    loss = with_centers(CenterLoss(4, 3))
    eager = copy.deepcopy(loss)
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    x, known = torch.randn(3, 3), torch.tensor([0, 3, 1])
    torch.testing.assert_close(compiled(x, known), eager(x, known))
    torch.testing.assert_close(loss.centers, eager.centers)
    before = loss.centers.clone()
    assert compiled(x, torch.tensor([0, label, 1])).isnan()
    assert loss.centers.equal(before)


def test_never_looks_at_a_value_of_the_batch(monkeypatch):
    """Fake tensors have none: whatever would make the host wait for a device raises here."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    with FakeTensorMode():
        assert CenterLoss(4, 3)(*batch()).shape == ()


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


def test_wrong_inputs():
    x, y = batch()
    loss = CenterLoss(4, 3)
    with pytest.raises(ValueError, match=r"^one label for each.*\(9, 3\).*\(8,\)$"):
        loss(x, y[:8])
    with pytest.raises(ValueError, match=r"\(9, 2\).*\(4, 3\)"):
        loss(x[:, :2], y)
    with pytest.raises(TypeError, match="int64"):
        loss(y[:, None], y)
    with pytest.raises(TypeError, match="float64"):
        loss(x, x[:, 0])


def test_description_names_the_settings():
    assert repr(CenterLoss(4, 3)) == (
        "CenterLoss(num_classes=4, embedding_dim=3, gamma=0.003, rate=0.5)"
    )
