"""Corners of CircleLoss: odd batches, odd numbers, odd dtypes, and errors that say what to mend."""

import math

import pytest
import torch

from circlemnist import CircleLoss

BOTH = pytest.mark.parametrize("pairs", ["anchor", "batch"])
REDUCTIONS = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
# below and above the size from which batches are tiled
SIZES = pytest.mark.parametrize("size", [6, 400])


def value_and_gradient(loss, x, y, *references):
    x = x.detach().clone().requires_grad_()
    value = loss(x, y, *references)
    value.sum().backward()
    assert value.isfinite().all()
    assert x.grad.isfinite().all()
    assert x.grad.dtype == x.dtype
    return value, x.grad


@BOTH
@REDUCTIONS
@pytest.mark.parametrize(
    ("size", "classes"), [(6, 1), (400, 1), (6, 6), (400, 400), (0, 1), (1, 1)]
)
def test_no_loss_without_both_kinds_of_pairs(pairs, reduction, size, classes):
    """Neither of one class, nor of every class once, nor of no image or a single one."""
    x, y = torch.randn(size, 4), torch.arange(size) % classes
    check_no_loss(CircleLoss(pairs=pairs, reduction=reduction), x, y)


@BOTH
@REDUCTIONS
@pytest.mark.parametrize(("anchors", "references"), [(1, 1), (0, 3), (3, 0), (0, 0), (400, 400)])
@pytest.mark.parametrize("same", [True, False])
def test_no_loss_without_both_kinds_of_references(pairs, reduction, anchors, references, same):
    x, r = torch.randn(anchors, 4), torch.randn(references, 4, requires_grad=True)
    y, z = torch.zeros(anchors).long(), torch.zeros(references).long() + (not same)
    own = torch.full_like(y, -1)
    check_no_loss(CircleLoss(pairs=pairs, reduction=reduction), x, y, r, z, own)
    assert r.grad.eq(0).all()


def check_no_loss(loss, x, y, *references):
    value, gradient = value_and_gradient(loss, x, y, *references)
    shape = (len(x),) if loss.pairs == "anchor" else (1,)
    assert value.shape == (shape if loss.reduction == "none" else ())
    assert value.eq(0).all()
    assert gradient.shape == x.shape
    assert gradient.eq(0).all()


@SIZES
def test_labels_beyond_float_precision_stay_distinct(size):
    x, y = torch.randn(size, 4), torch.arange(size) % 3
    value = CircleLoss()(x, y).item()
    assert [CircleLoss()(x, y + far).item() for far in (2**40, -(2**62))] == [value, value]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32, torch.uint64])
def test_labels_of_references_of_any_integer_dtype(dtype):
    """Also where -1, for no row of the references, would be row 255."""
    x, y = torch.randn(3, 4), torch.arange(3)
    r, z = torch.randn(300, 4), torch.arange(300) % 3
    r[255] = -x[0]  # the hardest positive of its class
    wanted = CircleLoss()(x, y, r, z).item()
    assert CircleLoss()(x, y.to(dtype), r, z).item() == wanted
    assert CircleLoss()(x, y, r, z.to(dtype)).item() == wanted


@SIZES
def test_autocast_changes_nothing_where_the_backward_pass_computes_again(size):
    x, y = torch.randn(size, 8), torch.arange(size) % 3
    loss = CircleLoss(reduction="none")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        results = value_and_gradient(loss, x, y)
    assert all(a.equal(b) for a, b in zip(results, value_and_gradient(loss, x, y), strict=True))


@pytest.mark.parametrize("spread", [0.0, 1e-3, 1.0, 1e3])
@pytest.mark.parametrize("m", [0.25, -0.9, 0.9])
@BOTH
@SIZES
def test_gamma_1024_with_float16(spread, m, pairs, size):
    x = (1 + spread * torch.randn(size, 8)).half()
    value_and_gradient(CircleLoss(1024, m, pairs), x, torch.arange(size) % 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("other", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("normalize", [True, False])
def test_two_dtypes_are_compared_in_the_wider(dtype, other, normalize):
    x, y = torch.nn.functional.normalize(torch.randn(6, 4)).to(dtype), torch.arange(6) % 2
    r = torch.nn.functional.normalize(torch.randn(6, 4)).to(other).requires_grad_()
    wide = torch.float64 if torch.float64 in (dtype, other) else torch.float32
    loss = CircleLoss(normalize=normalize)
    value, _ = value_and_gradient(loss, x, y, r, y)
    assert value.dtype == wide
    assert r.grad.dtype == other
    assert value.item() == loss(x.to(wide), y, r.to(wide), y).item()


def test_small_losses_keep_their_digits():
    """At L = exp(-2 gamma m²) a threshold or 1 + exp(x) would give 0."""
    x = torch.eye(4, dtype=torch.float64).repeat(2, 1)
    value, gradient = value_and_gradient(CircleLoss(256, 0.5), x, torch.arange(4).repeat(2))
    assert value.item() == pytest.approx(6 * math.exp(-128), rel=1e-10)
    assert gradient.ne(0).any()


@BOTH
@REDUCTIONS
@pytest.mark.parametrize("needs_gradient", [True, False])
@pytest.mark.parametrize("labels", [[0, 0], [0, 1], [0, 0, 1, 1, 2], [0, 1, 1, 1]])
def test_nan_shows_in_every_loss(pairs, reduction, needs_gradient, labels):
    x = torch.randn(len(labels), 3)
    x[0, 1] = torch.nan
    loss = CircleLoss(pairs=pairs, reduction=reduction)
    assert loss(x.requires_grad_(needs_gradient), torch.tensor(labels)).isnan().any()


@BOTH
def test_nan_of_a_single_anchor_or_reference_shows(pairs):
    x, y, r = torch.randn(1, 3), torch.arange(1), torch.full((1, 3), torch.nan)
    for sets in ((r, y), (x, y, r, y), (r, y, x, y)):
        assert CircleLoss(pairs=pairs)(*sets).isnan()


X, Y = torch.randn(6, 4), torch.arange(6) % 2
CALL = {
    "embeddings": X,
    "labels": Y,
    "ref_embeddings": X,
    "ref_labels": Y,
    "self_index": torch.tensor([0, 1, -1, 3, 4, -1]),
}
ALONE = {"ref_embeddings": None, "ref_labels": None, "self_index": torch.arange(6)}
WRONG = {
    TypeError: [
        ({"ref_labels": Y.numpy()}, "^ref_labels is a torch.Tensor, not ndarray"),
        ({"self_index": [0, 1, 2, 3, 4, 5]}, "^self_index is a torch.Tensor, not list"),
        ({"ref_embeddings": X.long()}, "^ref_embeddings are.*int64"),
    ],
    ValueError: [
        ({"ref_labels": None}, "together"),
        ({"ref_embeddings": None}, "together"),
        (ALONE, "^self_index marks rows of ref_"),
        ({"ref_embeddings": X[:, :3]}, r"\(6, 4\).*\(6, 3\)"),
        ({"ref_labels": Y[:, None]}, r"ref_labels\.squeeze\(1\)"),
        ({"self_index": torch.arange(5)}, r"\(5,\)"),
        ({"self_index": torch.arange(6) + 1}, r"-1\.\.5, not in 1\.\.6"),
        ({"self_index": torch.arange(6) - 2}, r"-1\.\.5, not in -2\.\.3"),
        ({"self_index": torch.arange(6).flip(0)}, "labels differ"),
    ],
}


@pytest.mark.parametrize(
    ("error", "changes", "message"), [(error, *case) for error in WRONG for case in WRONG[error]]
)
def test_references_that_do_not_fit(error, changes, message):
    assert CircleLoss()(**CALL).isfinite()
    with pytest.raises(error, match=message):
        CircleLoss()(**{**CALL, **changes})
