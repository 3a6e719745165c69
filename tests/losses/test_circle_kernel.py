"""The ways to the same loss agree: one matrix, tiles of any shape, the formula, torch.compile."""

import math
import subprocess
import sys
import textwrap

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from circlemnist import CircleLoss
from circlemnist.losses.circle_kernel import autograd, tiles
from circlemnist.losses.circle_kernel.formula import PairInputs, plain_log_sums

SIDE = math.isqrt(tiles.DENSE_PAIRS)
SWITCH_SIZES = [SIDE - 1, SIDE, SIDE + 1, SIDE + 2, tiles.CPU_ROWS * 2 + 1]


def batch(size, classes, dtype=torch.float32, dim=16):
    x = torch.randn(size, dim, dtype=dtype)
    return x.requires_grad_(), torch.randint(classes, (size,))


def evaluate(loss, x, y, *references):
    value = loss(x, y, *references)
    inputs = [x, references[0]] if references else [x]
    weight = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).view(value.shape)
    return value.detach(), *torch.autograd.grad((value * weight).sum(), inputs)


def agree(values, expected, tolerance=None):
    for a, b in zip(values, expected, strict=True):
        limit = tolerance or (1e-12 if a.dtype == torch.float64 else 1e-6)
        assert (a - b).norm() <= limit * b.norm()


def pairs(kind, size, n, classes):
    """Unit vectors in three dimensions; the first anchor has no positive."""
    x, y = batch(size, classes[0], torch.float64, 3)
    r, z = batch(n, classes[1], torch.float64, 3)
    x, r, own = normalize(x.detach()), normalize(r.detach()), torch.full_like(y, -1)
    y[0] = 9
    if kind == "itself":
        return PairInputs(x, y)
    if kind == "marked":
        own = torch.randint(-1, n, (size,))
        y[own >= 0], z[own[own >= 0]] = 3, 3
    return PairInputs(x, y, r, z, own)


def check_tiles(inputs, gamma, m, shape, tolerance=1e-9):
    """Log-sums and gradients in tiles are those of one matrix, which test_circle.py checks."""
    weights = torch.randn(2, len(inputs.anchors), 1, dtype=torch.float64)

    def row_gradients(rows, log_sum_p, log_sum_n):
        return weights[0, rows] * log_sum_p.sigmoid(), weights[1, rows] * log_sum_n.sigmoid()

    dense = tiles.dense(inputs, gamma, m, row_gradients)
    tiled = tiles.tiled(inputs, gamma, m, row_gradients, *shape)
    assert (dense.d_references is None) == (inputs.references is None)
    torch.testing.assert_close(tiled[:2], dense[:2], rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(tiled[2:3], dense[2:3], rtol=1e-9, atol=1e-9)
    if inputs.references is not None:
        torch.testing.assert_close(tiled[3:], dense[3:], rtol=1e-9, atol=1e-9)


@given(data=st.data())
def test_tiles_of_any_shape_are_the_whole_matrix(data):
    size, n, classes = (data.draw(st.integers(2, most)) for most in (30, 30, 8))
    kind = data.draw(st.sampled_from(["itself", "marked", "unmarked"]))
    shape = data.draw(st.tuples(st.integers(1, 31), st.integers(1, 31)))
    gamma, m = data.draw(st.sampled_from([1.0, 80.0, 300.0])), data.draw(st.floats(-0.9, 0.9))
    check_tiles(pairs(kind, size, n, (classes, 6)), gamma, m, shape)


@pytest.mark.parametrize("references", [True, False])
@pytest.mark.parametrize("shape", [(4, 5), (1, 3), (99, 99)])
def test_rows_whose_exponents_are_far_apart(references, shape):
    """By more than exp can span: no row takes the largest exponent of another for its own."""
    x = torch.eye(4, dtype=torch.float64)[[0, 1, 0, 2, 0, 1]]
    y = torch.tensor([0, 2, 0, 1, 1, 2])
    inputs = PairInputs(x, y, *[x, y, torch.full_like(y, -1)] * references)
    log_sums = torch.stack(plain_log_sums(inputs, 1024.0, 0.9))
    assert log_sums.amax() - log_sums.amin() > 1000
    dense = torch.stack(tiles.dense(inputs, 1024.0, 0.9)[:2])
    torch.testing.assert_close(dense, log_sums, rtol=1e-12, atol=1e-12)
    check_tiles(inputs, 1024.0, 0.9, shape, 1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", SWITCH_SIZES)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_around_the_switch_the_loss_is_that_of_the_formula(size, dtype, reduction):
    x, y = batch(size, 10, dtype)
    loss = CircleLoss(reduction=reduction)
    log_sums = plain_log_sums(PairInputs(normalize(x), y), 80.0, 0.25)
    values = torch.logaddexp(sum(log_sums), x.new_zeros(()))
    expected = evaluate(lambda *_: values.mean() if reduction == "mean" else values, x, y)
    # float32: the products round differently, by gamma * eps in an exponent
    agree(evaluate(loss, x, y), expected, 1e-5 if dtype == torch.float32 else 1e-12)


@pytest.mark.parametrize("gamma", [80.0, 1024.0])
def test_float32_stays_close_to_float64(gamma):
    x, y = batch(700, 10)
    loss = CircleLoss(gamma)
    exact = evaluate(loss, x.detach().double().requires_grad_(), y)
    agree([t.double() for t in evaluate(loss, x, y)], exact, 1e-7 * gamma)


@pytest.mark.parametrize("columns", [7, (1 << 20) + 1, 1 << 28])
@pytest.mark.parametrize("anchors", [3, 1 << 16])
def test_a_tile_of_a_device_is_as_large_as_256_mib_allow(anchors, columns):
    x, r = (torch.empty(1, 1, device="meta").expand(size, 2) for size in (anchors, columns))
    rows, width = tiles.tile_shape(PairInputs(x, x[:, 0], r, r[:, 0]))
    assert width == columns
    assert rows == 1 or rows * width * 4 <= 1 << 28
    assert rows == anchors or (rows + 1) * width * 4 > 1 << 28


@pytest.mark.parametrize("traced", [True, False])
def test_rows_too_short_for_a_direction_stay_zero(traced, monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: traced)
    x = torch.tensor([0, 1e-200, 0.99e-12, 1.01e-12, 1, 1e6], dtype=torch.float64)
    x = torch.stack([x, 0 * x], 1).requires_grad_()
    unit = autograd.unit_rows(x)
    (slope,) = torch.autograd.grad(unit[:, 1].sum(), x)
    assert unit.tolist() == [[0, 0]] * 3 + [pytest.approx([1, 0])] * 3
    assert slope[:3].eq(0).all()
    assert slope[3:, 1].tolist() == pytest.approx([1 / 1.01e-12, 1, 1e-6])


@pytest.mark.slow
class TestCompiled:
    """Inside a user's torch.compile(fullgraph=True): no graph break, the same results."""

    @pytest.fixture(autouse=True)
    def _fresh(self):
        torch.compiler.reset()

    @pytest.mark.parametrize("kind", ["anchor", "batch", "references"])
    @pytest.mark.parametrize(("size", "reduction"), [(40, "mean"), (400, "none")])
    def test_options(self, size, kind, reduction):
        loss = CircleLoss(256, 0.4, "batch" if kind == "batch" else "anchor", reduction)
        x, y = batch(size, 10, torch.float64)
        r, z = batch(size + 3, 10, torch.float64)
        z[:size] = y
        sets = [r, z, torch.arange(size)] * (kind == "references")
        compiled = torch.compile(loss, fullgraph=True)
        agree(evaluate(compiled, x, y, *sets), evaluate(loss, x, y, *sets), 1e-9)

    def test_other_batch_sizes_follow(self):
        loss = CircleLoss()
        compiled = torch.compile(loss, fullgraph=True)
        for size in (30, 50, 400, 450):
            x, y = batch(size, 5, torch.float64)
            agree(evaluate(compiled, x, y), evaluate(loss, x, y), 1e-9)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_second_derivative_is_a_clear_error(reduction):
    x, y = batch(8, 3)
    loss = CircleLoss(reduction=reduction)(x.detach(), y, x, y).sum()
    torch.autograd.grad(loss, x, retain_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(loss, x, create_graph=True)


@pytest.mark.slow
def test_memory_of_a_large_batch_is_far_below_its_matrix():
    """At B = 16,384 one float32 matrix takes 1 GiB; a step takes less than a quarter."""
    program = """
        import resource, torch
        from circlemnist import CircleLoss, pair_statistics
        def peak(size):
            x, y = torch.randn(size, 64, requires_grad=True), torch.randint(100, (size,))
            CircleLoss()(x, y).backward()
            CircleLoss(reduction="none")(x, y).mean().backward()
            pair_statistics(x, y, 0.25)
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(-peak(1000) + peak(16384))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < 1 << 28
