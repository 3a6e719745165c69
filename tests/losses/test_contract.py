"""What each of the ten losses promises, whatever its formula: loss(embeddings, labels) -> ()."""

import copy
import inspect
import math
import re
from importlib import import_module
from itertools import product

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import normalize

from circlemnist.family import FAMILY
from circlemnist.losses import LOSSES, build_loss, fix_class_weights
from circlemnist.losses.class_weights import class_weights
from tests.losses import reference

B, C, D = 12, 6, 4
OF_CLASSES = [name for name in LOSSES if FAMILY[name].has_class_weights]
OURS = [name for name, place in LOSSES.items() if not place.startswith("library")]
OURS_OF_CLASSES = [name for name in OURS if name in OF_CLASSES]
ON_SPHERE = [name for name in LOSSES if FAMILY[name].on_sphere]
STATE = {
    **{name: [] for name in ("circle", "triplet", "contrastive")},
    **{name: ["W"] for name in ("softmax", "sphereface", "cosface", "arcface")},
    "circle-class": ["weight"],
    "adacos": ["weight", "scale"],
    "center": ["weight", "bias", "centers"],
}
ALL = pytest.mark.parametrize("name", LOSSES)
# a large batch of Circle Loss is computed in tiles
SIZES = pytest.mark.parametrize(("name", "size"), [("circle", 400), *((n, B) for n in LOSSES)])


def constructor(name):
    module, attribute = LOSSES[name].split(".")
    return getattr(import_module(f"circlemnist.losses.{module}"), attribute)


def built(name, **settings):
    """The state of the loss is not that of the start."""
    loss = reference.built(name, C, D, **settings)
    if name == "center":
        loss.centers.normal_()  # which at 0 would hide much
    return loss


def batch(size=B, dtype=torch.float32):
    x = torch.randn(size, D, dtype=dtype) + 0.5
    return x.requires_grad_(), torch.arange(size) % C


def state(loss):
    return copy.deepcopy(loss.state_dict())


def unchanged(loss, before):
    return all(torch.equal(tensor, before[name]) for name, tensor in loss.state_dict().items())


def outcome(loss, x, y, autocast=False):
    """Value, gradients, state after a step of a copy of the loss; the batch is left alone."""
    loss, before, labels = copy.deepcopy(loss), x.detach(), y.clone()
    x = before.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        value = loss(x, y)
    value.backward()
    assert x.equal(before)
    assert y.equal(labels)
    gradients = [parameter.grad for parameter in loss.parameters()]
    return [value.detach(), x.grad, *gradients, *loss.buffers()]


def equal(results, expected):
    return all(a.equal(b) for a, b in zip(results, expected, strict=True))


def close(results, expected, tolerance=1e-9):
    for a, b in zip(results, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@ALL
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_scalar_of_the_dtype_of_the_embeddings_and_at_least_float32(name, dtype):
    wide = torch.promote_types(dtype, torch.float32)
    loss, (x, y) = built(name).to(wide), batch(dtype=dtype)
    value, *gradients = outcome(loss, x, y)
    assert (value.shape, value.dtype) == ((), wide)
    assert value > 0
    tensors = [x, *loss.parameters(), *loss.buffers()]
    assert [(g.shape, g.dtype) for g in gradients] == [(t.shape, t.dtype) for t in tensors]
    assert gradients[0].ne(0).any()


HALVES, INTEGERS = ["float16", "bfloat16"], ["uint8", "int32", "uint16", "uint64"]


@SIZES
@pytest.mark.parametrize("kind", ["autocast", *HALVES, *INTEGERS])
def test_half_embeddings_integers_of_any_dtype_and_autocast_give_the_bits_of_float32(
    name, size, kind
):
    loss, (x, y) = built(name), batch(size)
    x = x.to(getattr(torch, kind)) if kind in HALVES else x
    labels = y.to(getattr(torch, kind)) if kind in INTEGERS else y
    expected = outcome(loss, x.float(), y)
    expected[1] = expected[1].to(x.dtype)
    assert equal(outcome(loss, x, labels, kind == "autocast"), expected)


@pytest.mark.parametrize("name", ON_SPHERE)
def test_the_length_of_embeddings_and_class_weights_does_not_matter(name):
    loss, (x, y) = built(name).double(), batch(dtype=torch.float64)
    longer = copy.deepcopy(loss)
    if name in OF_CLASSES:
        lengths = torch.logspace(-3, 3, C, dtype=torch.float64)
        weight = class_weights(longer).data
        weight.mul_(lengths if hasattr(longer, "W") else lengths[:, None])
    lengths = torch.logspace(-4, 4, B, dtype=torch.float64)[:, None]
    close([longer(x * lengths, y)], [loss(x, y)])
    close(longer.buffers(), loss.buffers())


@SIZES
def test_normalize_false_takes_embeddings_and_class_weights_as_they_are(name, size):
    if name not in ON_SPHERE:
        return
    loss, raw = built(name).double(), built(name, normalize=False).double()
    x, y = batch(size, torch.float64)
    if name in OF_CLASSES:
        for module in (loss, raw):
            fix_class_weights(module, normalize(torch.eye(C, D).double() + 0.1))
    value, twice = outcome(raw, normalize(x), y)[0], outcome(raw, 2 * normalize(x), y)[0]
    close([value], [loss(x, y)])
    assert twice.item() != pytest.approx(value.item(), rel=1e-3)


@ALL
@pytest.mark.parametrize("training", [True, False])
def test_an_empty_batch_gives_0_with_a_graph_and_leaves_the_state(name, training):
    loss = built(name).train(training)
    before = state(loss)
    x = torch.zeros(0, D, requires_grad=True)
    value = loss(x, torch.zeros(0, dtype=torch.long))
    value.backward()
    assert value.item() == 0
    assert value.shape == ()
    assert x.grad.shape == (0, D)
    assert all(parameter.grad.eq(0).all() for parameter in loss.parameters())
    assert unchanged(loss, before)


@SIZES
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("needs_gradient", [True, False])
def test_an_embedding_that_is_not_finite_shows_and_leaves_the_state(
    name, size, value, needs_gradient
):
    loss, (x, y) = built(name), batch(size)
    before = state(loss)
    x = x.detach()
    x[-1, 0] = value
    broken = loss(x.requires_grad_(needs_gradient), y)
    # an infinite distance to a centre is infinite, not NaN
    assert broken.isnan() or (name == "center" and broken.isinf())
    assert unchanged(loss, before)


@SIZES
def test_zero_rows_have_a_finite_gradient_which_is_zero_for_unit_rows_of_ours(name, size):
    x, y = batch(size)
    x = x.detach().index_fill(0, torch.tensor(4), 0)
    results = outcome(built(name), x, y)
    of_one_class = outcome(built(name), x, torch.zeros_like(y))
    assert all(tensor.isfinite().all() for tensor in (*results, *of_one_class))
    if name in OURS and name in ON_SPHERE:
        assert results[1].eq(0).all(1).nonzero().tolist() == [[4]]


@ALL
def test_gradients_of_several_losses_and_backwards_add_up(name):
    """What follows the batches moves in place: no graph may hold it."""
    loss = built(name).double()
    alone = copy.deepcopy(loss)
    (x, y), (z, w) = batch(dtype=torch.float64), batch(dtype=torch.float64)
    expected = [torch.autograd.grad(alone(a, b), a)[0] for a, b in ((x, y), (z, w))]
    together = loss(x, y) + 3 * loss(z, w)
    together.backward(retain_graph=True)
    together.backward()
    close([x.grad, z.grad], [2 * expected[0], 6 * expected[1]])


@ALL
def test_evaluation_moves_nothing_and_training_moves_the_buffers_without_gradients_too(name):
    loss, (x, y) = built(name), batch()
    before = state(loss)
    loss.eval()(x, y).backward()
    assert loss(x, y).item() == loss(x, y).item()
    assert unchanged(loss, before)
    with torch.no_grad():
        assert not loss.train()(x, y).requires_grad
    buffers = dict(loss.named_buffers())
    assert all(buffer.ne(before[key]).any() for key, buffer in buffers.items())
    assert not any(buffer.requires_grad or buffer.grad_fn for buffer in buffers.values())


@ALL
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_saved_and_loaded_it_goes_on_with_the_same_bits(name, dtype):
    loss, loaded = built(name).to(dtype), built(name).to(dtype)
    loss(*batch(dtype=dtype))
    loaded.load_state_dict(state(loss))
    assert list(loss.state_dict()) == STATE[name]
    for _ in range(3):
        x, y = batch(dtype=dtype)
        assert loaded(x, y).item() == loss(x, y).item()
    assert unchanged(loaded, state(loss))


@pytest.mark.parametrize("name", OURS_OF_CLASSES)
def test_a_label_of_no_class_makes_a_compiled_loss_nan_and_leaves_the_state(name):
    """Within torch.compile, as on an accelerator, nobody looks, and nothing is passed over."""
    torch.compiler.reset()
    loss = built(name)
    eager = copy.deepcopy(loss)
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    x, y = batch()
    torch.testing.assert_close(compiled(x, y), eager(x, y))
    torch.testing.assert_close(loss.state_dict(), eager.state_dict())
    before = state(loss)
    for label in (-100, -1, C):
        assert compiled(x, y.index_fill(0, torch.tensor(2), label)).isnan()
    assert unchanged(loss, before)


@pytest.mark.parametrize("name", OURS)
def test_never_looks_at_a_value_of_the_batch(name, monkeypatch):
    """Fake tensors have none: whatever would make the host wait for a device raises here."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    with FakeTensorMode():
        assert built(name)(*batch()).shape == ()


X, Y = torch.randn(B, D), torch.arange(B) % C
WRONG = {
    ValueError: [
        (X, Y[:11], r"^one label for each.*\(12, 4\).*\(11,\)$"),
        (X[:, 0], Y, r"^embeddings are \(B, D\), not \(12,\)$"),
        (X[:, :, None], Y, r"^embeddings are \(B, D\), not \(12, 4, 1\)$"),
        (X, Y[:, None], r"^labels.*\(12, 1\).*pass labels\.squeeze\(1\)"),
        (X, torch.eye(C)[Y].long(), r"^labels.*\(12, 6\)$"),
    ],
    TypeError: [
        (X.long(), Y, "^embeddings are.*int64"),
        (X.to(torch.complex64), Y, "^embeddings are.*complex64"),
        (X, Y.float(), "^labels are.*float32"),
        (X, Y.to(torch.complex64), "^labels are.*complex64"),
        (X, Y.bool(), "^labels are.*bool"),
        (X.tolist(), Y, "^embeddings is a torch.Tensor, not list"),
        (X, Y.numpy(), "^labels is a torch.Tensor, not ndarray"),
    ],
}
LABELS = {-100: torch.int64, -1: torch.int32, C: torch.int64, C + 1: torch.uint8, 99: torch.uint64}
WRONG_OF_CLASSES = [
    (X[:, :2], Y, r"embeddings \(12, 2\) and class weights \(6, 4\) differ in their dimension"),
    *(
        (
            X,
            Y.index_fill(0, torch.tensor(2), label).to(dtype),
            rf"^labels lie in 0\.\.5, not in .*{label}",
        )
        for label, dtype in LABELS.items()
    ),
]


@pytest.mark.parametrize(
    ("name", "error", "x", "y", "message"),
    [
        *((name, error, *case) for name in LOSSES for error in WRONG for case in WRONG[error]),
        *((name, ValueError, *case) for name in OF_CLASSES for case in WRONG_OF_CLASSES),
    ],
)
def test_wrong_inputs_are_refused_and_leave_the_state(name, error, x, y, message):
    loss = built(name)
    before = state(loss)
    with pytest.raises(error, match=message):
        loss(x, y)
    assert unchanged(loss, before)


NAN, INF = math.nan, math.inf
CIRCLES, LIBRARY = ["circle", "circle-class"], [name for name in LOSSES if name not in OURS]
WRONG_SETTINGS = [  # of which losses, setting, values, and what is said of each
    (CIRCLES, "gamma", (0, -1, NAN, INF), "{} is finite and greater than 0, not {}"),
    (CIRCLES, "m", (-1, 1, 1.5, NAN), "{} lies between -1 and 1, both excluded, not {}"),
    (CIRCLES, "reduction", ("max",), "{} is 'mean', 'sum' or 'none', not '{}'"),
    (["circle"], "pairs", ("all",), "{} is 'anchor' or 'batch', not '{}'"),
    (["adacos"], "num_classes", (2,), "{} is at least 3, not {}"),
    (["sphereface"], "m", (2.5, 0.25, 0, -1), "{} is a whole number of at least 1, not {}"),
    (LIBRARY, "reduction", ("none", "max"), "{} is 'mean' or 'sum', not '{}'"),
]


@pytest.mark.parametrize(
    ("name", "setting", "value", "message"),
    [
        (name, setting, value, message)
        for names, setting, values, message in WRONG_SETTINGS
        for name, value in product(names, values)
    ],
)
def test_wrong_settings(name, setting, value, message):
    usual = {"num_classes": C, "embedding_dim": D, "gamma": 8.0, "m": 0.5, setting: value}
    if name == "sphereface" and setting != "m":
        usual["m"] = 2
    needed = {*inspect.signature(constructor(name)).parameters, "reduction"}
    with pytest.raises(ValueError, match=f"^{re.escape(message.format(setting, value))}$"):
        constructor(name)(**{key: usual[key] for key in usual.keys() & needed})


@ALL
def test_table_of_the_settings_has_the_gamma_and_the_m_of_the_loss(name):
    parameters = inspect.signature(constructor(name)).parameters
    assert [s for s in ("gamma", "m") if s in parameters] == list(FAMILY[name].hyperparameters)
    assert ("num_classes" in parameters) == FAMILY[name].has_class_weights
    assert list(LOSSES) == list(FAMILY)


def test_setting_that_no_loss_has_is_refused():
    with pytest.raises(TypeError, match="no setting of a loss: gama"):
        build_loss("triplet", m=0.1, gama=80)


@pytest.mark.parametrize("name", OF_CLASSES)
def test_fixed_class_weights_are_given_and_stay(name):
    """Each class's own: its loss is least for the embedding in its direction."""
    loss = built(name)
    directions = normalize(torch.randn(C, D))
    fix_class_weights(loss, directions)
    frozen = [p for p in loss.parameters() if not p.requires_grad]
    assert [tuple(p.shape) in ((C, D), (D, C)) for p in frozen] == [True]
    loss.eval()
    for own in range(C):
        label = torch.tensor([own])
        losses = [loss(9 * directions[k : k + 1], label).item() for k in range(C)]
        assert min(range(C), key=losses.__getitem__) == own


@pytest.mark.parametrize("shape", [(1, D), (D,), (D, C), (C, D + 1)])
@pytest.mark.parametrize("name", ["circle-class", "cosface"])
def test_fixed_class_weights_have_their_shape(name, shape):
    loss = built(name)
    with pytest.raises(ValueError, match=rf"class weights are \({C}, {D}\)"):
        fix_class_weights(loss, torch.randn(shape))
    assert class_weights(loss).requires_grad
