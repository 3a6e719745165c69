"""The ways to the same loss agree: one tile, many tiles, plain tensors, torch.compile."""

import subprocess
import sys
import textwrap

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from circlemnist import CircleLoss, ClassCircleLoss
from circlemnist.losses.circle_kernel import operators, paths
from circlemnist.losses.circle_kernel import pairs as pair_tiles
from circlemnist.losses.circle_kernel.plain import plain_log_sums


def batch(size, classes, dtype=torch.float32, dim=16):
    x = torch.randn(size, dim, dtype=dtype)
    return x.requires_grad_(), torch.randint(classes, (size,))


def evaluate(loss, x, y, *references):
    value = loss(x, y, *references)
    inputs = [x, references[0]] if references else [x]
    weight = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).view(value.shape)
    return value.detach(), *torch.autograd.grad((value * weight).sum(), inputs)


def tiled(monkeypatch, rows=None, columns=None):
    """Everything is tiled, in tiles of this shape."""
    monkeypatch.setattr(pair_tiles, "DENSE_PAIRS", 0)
    if rows is not None:
        monkeypatch.setattr(pair_tiles, "CPU_ROWS", rows)
        monkeypatch.setattr(pair_tiles, "CPU_COLUMNS", columns)


def agree(found, wanted, tolerance=None):
    for a, b in zip(found, wanted, strict=True):
        limit = tolerance or (1e-12 if a.dtype == torch.float64 else 1e-6)
        assert (a - b).norm() <= limit * b.norm()


def switch_sizes():
    side = int(pair_tiles.DENSE_PAIRS**0.5)
    return [side - 1, side, side + 1, side + 2, pair_tiles.CPU_ROWS * 2 + 1]


class TestTiles:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("size", switch_sizes())
    @pytest.mark.parametrize("reduction", ["mean", "none"])
    def test_agree_with_one_tile_around_the_switch(self, monkeypatch, size, dtype, reduction):
        x, y = batch(size, 10, dtype)
        loss = CircleLoss(reduction=reduction)
        chosen = evaluate(loss, x, y)
        monkeypatch.setattr(pair_tiles, "DENSE_PAIRS", size * size)
        dense = evaluate(loss, x, y)
        tiled(monkeypatch)
        # float32: the products round differently, by gamma * eps in an exponent
        agree(chosen, dense, 4e-6 if dtype == torch.float32 else 1e-12)
        agree(evaluate(loss, x, y), dense, 4e-6 if dtype == torch.float32 else 1e-12)

    @pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
    @pytest.mark.parametrize("pairs", ["anchor", "batch"])
    @given(data=st.data())
    def test_of_any_shape_agree_with_one_tile(self, pairs, reduction, data):
        size, classes = data.draw(st.integers(2, 40)), data.draw(st.integers(1, 10))
        rows, columns = data.draw(st.integers(1, 41)), data.draw(st.integers(1, 41))
        x, y = batch(size, classes, torch.float64, 4)
        loss = CircleLoss(pairs=pairs, reduction=reduction, m=data.draw(st.floats(-0.9, 0.9)))
        wanted = evaluate(loss, x, y)
        with pytest.MonkeyPatch.context() as monkeypatch:
            tiled(monkeypatch, rows, columns)
            agree(evaluate(loss, x, y), wanted)

    @pytest.mark.parametrize("reduction", ["mean", "none"])
    @given(data=st.data())
    def test_with_references_agree_with_one_tile(self, reduction, data):
        size, n = data.draw(st.integers(2, 30)), data.draw(st.integers(2, 30))
        rows, columns = data.draw(st.integers(1, 31)), data.draw(st.integers(1, 31))
        x, y = batch(size, 4, torch.float64, 4)
        r, z = batch(n, 6, torch.float64, 4)
        own = torch.randint(-1, n, (size,))
        z[own[own >= 0]] = 3
        y[own >= 0] = 3
        loss = CircleLoss(reduction=reduction)
        wanted = evaluate(loss, x, y, r, z, own)
        with pytest.MonkeyPatch.context() as monkeypatch:
            tiled(monkeypatch, rows, columns)
            agree(evaluate(loss, x, y, r, z, own), wanted)

    def test_large_exponents_in_far_apart_tiles(self, monkeypatch):
        """Chunks whose largest exponents differ by more than exp can span."""
        x, y = batch(60, 6, torch.float64, 2)
        loss = CircleLoss(1024, 0.9)
        wanted = evaluate(loss, x, y)
        tiled(monkeypatch, 7, 5)
        agree(evaluate(loss, x, y), wanted)

    @pytest.mark.parametrize("gamma", [80.0, 1024.0])
    def test_float32_stays_close_to_float64(self, gamma):
        x, y = batch(700, 10)
        loss = CircleLoss(gamma)
        exact = evaluate(loss, x.detach().double().requires_grad_(), y)
        agree([t.double() for t in evaluate(loss, x, y)], exact, 1e-7 * gamma)


class TestPlain:
    @given(data=st.data())
    def test_agrees_with_tiles(self, data):
        size, classes = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 8))
        m = data.draw(st.floats(-0.9, 0.9))
        x, y = batch(size, classes, torch.float64, 4)
        inputs = pair_tiles.PairInputs(x, None, y, None, None)
        plain = plain_log_sums(inputs, 80.0, m)
        tiled_sums = paths.log_sums(inputs, 80.0, m)
        for a, b in zip(plain, tiled_sums, strict=True):
            torch.testing.assert_close(a, b)
        (wanted,) = torch.autograd.grad(
            torch.logaddexp(plain[0] + plain[1], x.new_zeros(())).sum(), x
        )
        (found,) = torch.autograd.grad(
            torch.logaddexp(tiled_sums[0] + tiled_sums[1], x.new_zeros(())).sum(), x
        )
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", [20, 400])
@pytest.mark.parametrize("references", [True, False])
def test_operator_for_torch_compile_keeps_the_rules(size, references):
    x, y = batch(size, 5, torch.float64)
    r, z = batch(size + 1, 5, torch.float64)
    own = torch.full((size,), -1)
    sets = (x, r, y, z, own) if references else (x, None, y, None, None)
    torch.library.opcheck(operators.log_sums_operator, (*sets, 80.0, 0.25))


@pytest.mark.slow
class TestCompiled:
    """Inside a user's torch.compile(fullgraph=True): no graph break, the same results."""

    @pytest.fixture(autouse=True)
    def _fresh(self):
        torch.compiler.reset()

    @pytest.mark.parametrize("size", switch_sizes())
    def test_training_step_around_the_switch(self, size):
        loss = CircleLoss()
        compiled = torch.compile(loss, fullgraph=True, dynamic=False)
        for dtype in (torch.float32, torch.float64):
            x, y = batch(size, 10, dtype)
            agree(evaluate(compiled, x, y), evaluate(loss, x, y), 4e-6)

    @pytest.mark.parametrize("size", [40, 400])
    @pytest.mark.parametrize("pairs", ["anchor", "batch"])
    @pytest.mark.parametrize("reduction", ["mean", "none"])
    def test_options(self, size, pairs, reduction):
        loss = CircleLoss(256, 0.4, pairs, reduction)
        x, y = batch(size, 10, torch.float64)
        compiled = torch.compile(loss, fullgraph=True)
        agree(evaluate(compiled, x, y), evaluate(loss, x, y), 1e-9)

    @pytest.mark.parametrize("size", [40, 400])
    def test_references(self, size):
        loss = CircleLoss()
        x, y = batch(size, 10, torch.float64)
        r, z = batch(size + 3, 10, torch.float64)
        z[:size] = y
        own = torch.arange(size)
        compiled = torch.compile(loss, fullgraph=True)
        agree(evaluate(compiled, x, y, r, z, own), evaluate(loss, x, y, r, z, own), 1e-9)

    def test_class_level_and_half_precision(self):
        loss = ClassCircleLoss(7, 16)
        x, y = batch(40, 7, torch.bfloat16)
        compiled = torch.compile(loss, fullgraph=True)
        agree(evaluate(compiled, x, y), evaluate(loss, x, y), 1e-2)

    def test_with_a_network_under_autocast(self):
        net = torch.nn.Linear(16, 8)
        loss = CircleLoss()
        x, y = batch(40, 5)

        def step(x, y):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return loss(net(x), y)

        wanted = step(x, y)
        assert torch.compile(step, fullgraph=True)(x, y).item() == pytest.approx(
            wanted.item(), rel=2e-2
        )

    def test_other_batch_sizes_follow(self):
        loss = CircleLoss()
        compiled = torch.compile(loss, fullgraph=True)
        for size in (30, 50, 70, 400, 450):
            x, y = batch(size, 5, torch.float64)
            agree(evaluate(compiled, x, y), evaluate(loss, x, y), 1e-9)

    @pytest.mark.parametrize("size", [6, 400])
    def test_corners(self, size):
        compiled = torch.compile(CircleLoss(), fullgraph=True, dynamic=False)
        x, _ = batch(size, 2)
        with torch.no_grad():
            x[0] = 0
        y = torch.arange(size) // 2
        value, gradient = evaluate(compiled, x, y)
        assert value.isfinite()
        assert gradient.isfinite().all()
        assert gradient[0].eq(0).all()
        value, gradient = evaluate(compiled, x, torch.arange(size))
        assert value.item() == 0
        assert gradient.eq(0).all()
        with torch.no_grad():
            x[1] = torch.nan
        assert compiled(x, y).isnan()


class TestSecondDerivative:
    @pytest.mark.parametrize("reduction", ["mean", "none"])
    @pytest.mark.parametrize("normalize", [True, False])
    @pytest.mark.parametrize("size", [8, 400])
    def test_is_a_clear_error(self, reduction, normalize, size):
        x, y = batch(size, 3)
        loss = CircleLoss(reduction=reduction, normalize=normalize)(x, y).sum()
        (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
        with pytest.raises(RuntimeError, match="no second derivative"):
            (loss + gradient.square().sum()).backward()

    def test_create_graph_alone_is_fine(self):
        x, y = batch(8, 3)
        (wanted,) = torch.autograd.grad(CircleLoss()(x, y), x)
        (found,) = torch.autograd.grad(CircleLoss()(x, y), x, create_graph=True)
        torch.testing.assert_close(found.detach(), wanted)


@pytest.mark.slow
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_memory_of_a_large_batch_is_far_below_its_matrix(reduction):
    """At B = 16,384 one float32 matrix takes 1 GiB; the loss takes less than a quarter."""
    program = f"""
        import resource, torch
        from circlemnist import CircleLoss
        loss = CircleLoss(reduction={reduction!r})
        def step(size):
            x = torch.randn(size, 64, requires_grad=True)
            loss(x, torch.randint(100, (size,))).mean().backward()
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(-step(1000) + step(16384))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < 1 << 28
