"""Corners of CircleLoss: odd batches, odd numbers, odd dtypes, and errors that say what to mend."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from circlemnist import CircleLoss, ClassCircleLoss

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
@SIZES
def test_all_embeddings_equal(pairs, reduction, size):
    y = torch.arange(size) % 2
    value, _ = value_and_gradient(
        CircleLoss(pairs=pairs, reduction=reduction), torch.ones(size, 4), y
    )
    assert (value > 0).all()


@BOTH
@REDUCTIONS
@SIZES
@pytest.mark.parametrize("kind", ["one class", "every class once"])
def test_no_loss_without_both_kinds_of_pairs(pairs, reduction, size, kind):
    y = torch.zeros(size).long() if kind == "one class" else torch.arange(size)
    value, gradient = value_and_gradient(
        CircleLoss(pairs=pairs, reduction=reduction), torch.randn(size, 4), y
    )
    assert value.eq(0).all()
    assert gradient.eq(0).all()


@BOTH
@REDUCTIONS
@pytest.mark.parametrize("size", [0, 1])
def test_empty_batch_and_single_sample(pairs, reduction, size):
    value, gradient = value_and_gradient(
        CircleLoss(pairs=pairs, reduction=reduction), torch.randn(size, 4), torch.arange(size)
    )
    shape = () if reduction != "none" else (size,) if pairs == "anchor" else (1,)
    assert value.shape == shape
    assert value.eq(0).all()
    assert gradient.shape == (size, 4)
    assert gradient.eq(0).all()


@BOTH
@pytest.mark.parametrize(("anchors", "references"), [(3, 0), (0, 3), (3, 1), (1, 3), (400, 400)])
def test_reference_sets_of_any_size(pairs, anchors, references):
    x, r = torch.randn(anchors, 4), torch.randn(references, 4, requires_grad=True)
    y, z = torch.arange(anchors) % 2, torch.arange(references) % 2 + 1
    value_and_gradient(CircleLoss(pairs=pairs), x, y, r, z)
    assert r.grad.isfinite().all()


@BOTH
@REDUCTIONS
@pytest.mark.parametrize(("anchors", "references"), [(1, 1), (0, 3), (3, 0), (0, 0)])
@pytest.mark.parametrize("same", [True, False])
def test_one_pair_or_none_is_no_loss(pairs, reduction, anchors, references, same):
    x, r = torch.randn(anchors, 4), torch.randn(references, 4, requires_grad=True)
    y, z = torch.zeros(anchors).long(), torch.zeros(references).long() + (not same)
    value, gradient = value_and_gradient(CircleLoss(pairs=pairs, reduction=reduction), x, y, r, z)
    assert value.shape == (() if reduction != "none" else (anchors,) if pairs == "anchor" else (1,))
    for found in (value, gradient, r.grad):
        assert found.eq(0).all()


@SIZES
def test_classes_that_references_lack(size):
    x, r = torch.randn(size, 4), torch.randn(size, 4)
    value, gradient = value_and_gradient(
        CircleLoss(), x, torch.arange(size) % 2, r, torch.arange(size) % 2 + 10
    )
    assert value.item() == 0
    assert gradient.eq(0).all()


@SIZES
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_zero_vector_gets_zero_gradient(size, dtype):
    x, y = torch.randn(size, 4, dtype=dtype), torch.arange(size) % 2
    x[1] = 0
    _, gradient = value_and_gradient(CircleLoss(), x, y)
    assert gradient[1].eq(0).all()
    assert gradient[0].ne(0).any()


@SIZES
def test_labels_beyond_float_precision_stay_distinct(size):
    x, y = torch.randn(size, 4), torch.arange(size) % 3
    value = CircleLoss()(x, y)
    assert CircleLoss()(x, y + 2**40).item() == value.item()
    assert CircleLoss()(x, y - 2**62).item() == value.item()


@pytest.mark.parametrize(
    "dtype",
    [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint64],
)
@SIZES
def test_labels_of_any_integer_dtype(dtype, size):
    x, y = torch.randn(size, 4), torch.arange(size) % 3
    assert CircleLoss()(x, y.to(dtype)).item() == CircleLoss()(x, y).item()


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
def test_non_contiguous_embeddings_and_labels(size):
    x, y = torch.randn(4, size, 2), (torch.arange(2 * size) % 3)[::2]
    strided = x[:, :, 0].T
    value, gradient = value_and_gradient(CircleLoss(), strided, y)
    wanted, slope = value_and_gradient(CircleLoss(), strided.contiguous(), y.contiguous())
    assert value.item() == wanted.item()
    torch.testing.assert_close(gradient, slope)


@REDUCTIONS
def test_without_requires_grad(reduction):
    x, y = torch.randn(8, 4), torch.arange(8) % 2
    value = CircleLoss(reduction=reduction)(x, y)
    assert not value.requires_grad
    x.requires_grad_()
    torch.testing.assert_close(CircleLoss(reduction=reduction)(x, y).detach(), value)
    with torch.no_grad():
        assert not CircleLoss(reduction=reduction)(x, y).requires_grad


def test_only_references_require_grad():
    x, y = torch.randn(8, 4), torch.arange(8) % 2
    r = torch.randn(8, 4, requires_grad=True)
    CircleLoss()(x, y, r, y).backward()
    assert r.grad.ne(0).any()


def test_inputs_are_left_alone():
    x, y = torch.randn(400, 4, requires_grad=True), torch.arange(400) % 3
    before, labels = x.detach().clone(), y.clone()
    unit = torch.nn.functional.normalize(x.detach()).requires_grad_()
    before_unit = unit.detach().clone()
    CircleLoss()(x, y).backward()
    CircleLoss(normalize=False)(unit, y).backward()
    assert x.equal(before)
    assert unit.equal(before_unit)
    assert y.equal(labels)


def test_backward_twice_over_a_kept_graph_adds_up():
    x, y = torch.randn(8, 4, requires_grad=True), torch.arange(8) % 2
    loss = CircleLoss()(x, y)
    loss.backward(retain_graph=True)
    once = x.grad.clone()
    loss.backward()
    torch.testing.assert_close(x.grad, 2 * once)


def test_loss_scaled_by_a_factor():
    x, y = torch.randn(8, 4, requires_grad=True), torch.arange(8) % 2
    CircleLoss()(x, y).backward()
    wanted = 3 * x.grad
    x.grad = None
    (3 * CircleLoss()(x, y)).backward()
    torch.testing.assert_close(x.grad, wanted)


class TestPrecision:
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    @SIZES
    def test_half_inputs_are_computed_in_float32(self, dtype, size):
        x, y = torch.randn(size, 8).to(dtype), torch.arange(size) % 3
        value, gradient = value_and_gradient(CircleLoss(), x, y)
        wanted, slope = value_and_gradient(CircleLoss(), x.float(), y)
        assert value.dtype == torch.float32
        assert value.item() == wanted.item()
        torch.testing.assert_close(gradient, slope.to(dtype))

    @pytest.mark.parametrize("reduction", ["mean", "none"])
    @SIZES
    def test_autocast_changes_nothing(self, reduction, size):
        x, y = torch.randn(size, 8), torch.arange(size) % 3
        loss = CircleLoss(reduction=reduction)
        wanted, slope = value_and_gradient(loss, x, y)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value, gradient = value_and_gradient(loss, x, y)
        assert value.dtype == torch.float32
        assert value.equal(wanted)
        assert gradient.equal(slope)

    @pytest.mark.parametrize("spread", [0.0, 1e-3, 1.0, 1e3])
    @pytest.mark.parametrize("m", [0.25, -0.9, 0.9])
    @BOTH
    @SIZES
    def test_gamma_1024_with_float16(self, spread, m, pairs, size):
        x = (1 + spread * torch.randn(size, 8)).half()
        value_and_gradient(CircleLoss(1024, m, pairs), x, torch.arange(size) % 3)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
    @pytest.mark.parametrize("other", [torch.bfloat16, torch.float32, torch.float64])
    @pytest.mark.parametrize("normalize", [True, False])
    def test_two_dtypes_are_compared_in_the_wider(self, dtype, other, normalize):
        x, y = torch.nn.functional.normalize(torch.randn(6, 4)).to(dtype), torch.arange(6) % 2
        r = torch.nn.functional.normalize(torch.randn(6, 4)).to(other).requires_grad_()
        wide = torch.float64 if torch.float64 in (dtype, other) else torch.float32
        loss = CircleLoss(normalize=normalize)
        value, _ = value_and_gradient(loss, x, y, r, y)
        assert value.dtype == wide
        assert r.grad.dtype == other
        assert value.item() == loss(x.to(wide), y, r.to(wide), y).item()

    def test_small_losses_keep_their_digits(self):
        """At L = exp(-2 gamma m²) a threshold or 1 + exp(x) would give 0."""
        x = torch.eye(4, dtype=torch.float64).repeat(2, 1)
        value, gradient = value_and_gradient(CircleLoss(256, 0.5), x, torch.arange(4).repeat(2))
        wanted = torch.tensor(6.0, dtype=torch.float64) * torch.exp(torch.tensor(-128.0).double())
        assert value.item() == pytest.approx(wanted.item(), rel=1e-10)
        assert gradient.ne(0).any()


class TestNaN:
    @given(st.integers(2, 9), st.data())
    def test_shows_in_every_loss(self, size, data):
        y = torch.tensor(data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)))
        x = torch.randn(size, 3)
        x[data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, 2))] = torch.nan
        for pairs in ("anchor", "batch"):
            for reduction in ("mean", "sum", "none"):
                assert CircleLoss(pairs=pairs, reduction=reduction)(x, y).isnan().any()
                x.requires_grad_()
                assert CircleLoss(pairs=pairs, reduction=reduction)(x, y).isnan().any()
                x = x.detach()

    @pytest.mark.parametrize("size", [1, 400])
    @pytest.mark.parametrize("bad", [torch.nan, torch.inf])
    def test_alone_and_in_large_batches(self, size, bad):
        x, y = torch.randn(size, 3), torch.arange(size) % 5
        x[-1, 0] = bad
        assert CircleLoss()(x, y).isnan()
        assert CircleLoss()(x.requires_grad_(), y).isnan()

    def test_of_a_single_reference(self):
        x, y, r = torch.randn(1, 3), torch.arange(1), torch.full((1, 3), torch.nan)
        for pairs in ("anchor", "batch"):
            assert CircleLoss(pairs=pairs)(x, y, r, y).isnan()
            assert CircleLoss(pairs=pairs)(r, y, x, y).isnan()

    def test_in_references_and_class_weights(self):
        x, y = torch.randn(4, 3), torch.arange(4)
        r = torch.randn(4, 3)
        r[2, 1] = torch.nan
        assert CircleLoss()(x, y, r, y).isnan()
        loss = ClassCircleLoss(5, 3)
        torch.nn.init.constant_(loss.weight, torch.nan)
        assert loss(x, y).isnan()


class TestErrors:
    x, y = torch.randn(6, 4), torch.arange(6) % 2

    def given(self, **changed):
        """Every argument of a call, in place of some."""
        index = torch.tensor([0, 1, -1, 3, 4, -1])
        sets = {"ref_embeddings": self.x, "ref_labels": self.y, "self_index": index}
        return {"embeddings": self.x, "labels": self.y, **sets, **changed}

    @pytest.mark.parametrize(
        "name", ["embeddings", "labels", "ref_embeddings", "ref_labels", "self_index"]
    )
    def test_not_tensors(self, name):
        with pytest.raises(TypeError, match=f"^{name} is a torch.Tensor, not list"):
            CircleLoss()(**self.given(**{name: [0, 1, 0, 1, 0, 1]}))
        with pytest.raises(TypeError, match=f"^{name} is a torch.Tensor, not ndarray"):
            CircleLoss()(**self.given(**{name: self.x.numpy()}))

    def test_references_without_labels_or_of_other_dimension(self):
        with pytest.raises(ValueError, match="together"):
            CircleLoss()(self.x, self.y, self.x)
        with pytest.raises(ValueError, match=r"\(6, 4\).*\(6, 3\)"):
            CircleLoss()(self.x, self.y, self.x[:, :3], self.y)
        with pytest.raises(ValueError, match=r"ref_labels\.squeeze\(1\)"):
            CircleLoss()(self.x, self.y, self.x, self.y[:, None])

    @pytest.mark.parametrize(
        ("index", "error", "match"),
        [
            (torch.arange(5), ValueError, r"\(5,\)"),
            (torch.arange(6) + 1, ValueError, r"1\.\.6"),
            (torch.arange(6) - 2, ValueError, r"-2\.\.3"),
            (torch.arange(6.0), TypeError, "float32"),
            (torch.arange(6).flip(0), ValueError, "labels differ"),
            ([0, 1, 2, 3, 4, 5], TypeError, "list"),
        ],
        ids=["too few", "too high", "too low", "floats", "of other labels", "a list"],
    )
    def test_self_index(self, index, error, match):
        with pytest.raises(error, match=match):
            CircleLoss()(self.x, self.y, self.x, self.y, index)

    @pytest.mark.parametrize("index", [-2, 0, 1, 2, 3])
    def test_self_index_of_a_single_anchor(self, index):
        """Row 1 is the only one of its class; every other one is refused."""
        r, z, i = self.x[:3], torch.tensor([0, 1, 0]), torch.tensor([index])
        if index == 1:
            assert CircleLoss()(self.x[:1], torch.tensor([1]), r, z, i).item() == 0
            return
        with pytest.raises(ValueError, match=r"labels differ|-1\.\.2"):
            CircleLoss()(self.x[:1], torch.tensor([1]), r, z, i)

    def test_self_index_of_no_anchors(self):
        none = torch.arange(0)
        assert CircleLoss()(self.x[:0], none, self.x, self.y, none).item() == 0

    def test_self_index_without_references(self):
        with pytest.raises(ValueError, match="self_index"):
            CircleLoss()(self.x, self.y, self_index=torch.arange(6))

    @pytest.mark.parametrize("names", ["labels", "ref_labels", "ref_embeddings ref_labels"])
    def test_devices(self, names):
        names = names.split()
        moved = {name: self.given()[name].to("meta") for name in names}
        with pytest.raises(ValueError, match=f"^{names[0]} is on meta.*cpu"):
            CircleLoss()(**self.given(**moved))

    def test_device_of_self_index(self):
        with pytest.raises(ValueError, match=r"^self_index is on meta.*cpu"):
            CircleLoss()(**self.given(self_index=torch.arange(6, device="meta")))

    @pytest.mark.parametrize("gamma", [0, -1, float("nan"), float("inf")])
    def test_gamma(self, gamma):
        with pytest.raises(ValueError, match=f"gamma.*{gamma}"):
            CircleLoss(gamma)

    @pytest.mark.parametrize("m", [-1, 1, 1.5, float("nan")])
    def test_m(self, m):
        with pytest.raises(ValueError, match=f"m .*{m}"):
            CircleLoss(m=m)

    def test_numbers_of_numpy_are_settings_too(self):
        assert CircleLoss(np.float32(64), np.float64(0.5)).gamma == 64
        assert ClassCircleLoss(np.int64(3), np.int32(8)).weight.shape == (3, 8)

    @pytest.mark.parametrize("name", ["gamma", "m"])
    def test_settings_of_other_types(self, name):
        for value in ("80", True, None):
            wanted = f"^{name} is a number, not {type(value).__name__}: {value!r}$"
            with pytest.raises(TypeError, match=wanted):
                CircleLoss(**{name: value})
            with pytest.raises(TypeError, match=wanted):
                ClassCircleLoss(6, 5, **{name: value})

    def test_unknown_names_of_settings(self):
        with pytest.raises(ValueError, match=r"^pairs.*'all'"):
            CircleLoss(pairs="all")
        for loss in (CircleLoss, lambda **settings: ClassCircleLoss(6, 5, **settings)):
            with pytest.raises(ValueError, match=r"^reduction.*'max'"):
                loss(reduction="max")
