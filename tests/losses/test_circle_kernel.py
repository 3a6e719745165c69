"""The ways to the same loss agree: one tile, many tiles, plain tensors, torch.compile."""

import math
import subprocess
import sys
import textwrap

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from circlemnist import CircleLoss, ClassCircleLoss
from circlemnist.losses.circle_kernel import dispatch, operators, paths
from circlemnist.losses.circle_kernel import pairs as pair_tiles
from circlemnist.losses.circle_kernel.plain import plain_log_sums
from circlemnist.losses.circle_kernel.unit_rows import unit_rows
from tests.losses.reference import log_sum_exp


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


def by_loop(inputs, gamma, m):
    """(2, B) log-sums of Eq. 6 over positives and over negatives, one pair at a time."""
    x, r, y, z, own = inputs
    own = [-1] * len(x) if own is None else own.tolist()
    if r is None:
        r, z, own = x, y, range(len(x))
    found = []
    for row, label, itself in zip((x @ r.T).tolist(), y.tolist(), own, strict=True):
        others = [(s, z[j] == label) for j, s in enumerate(row) if j != itself]
        sp, sn = ([s for s, same in others if same == kind] for kind in (True, False))
        p = [gamma * max(1 + m - s, 0) * (1 - m - s) for s in sp]
        n = [gamma * max(s + m, 0) * (s - m) for s in sn]
        found.append([log_sum_exp(e) if e else -math.inf for e in (p, n)])
    return torch.tensor(found, dtype=torch.float64).T


class TestWays:
    """Each way by itself against the equations: the log-sums, and their gradients one by one."""

    @pytest.fixture(params=["plain", "dense", "tiles of 4 x 5", "tiles of 1 x 3", "one tile"])
    def way(self, request, monkeypatch):
        if request.param == "plain":
            return plain_log_sums
        if "tile" in request.param:
            shapes = {"tiles of 4 x 5": (4, 5), "tiles of 1 x 3": (1, 3), "one tile": (99, 99)}
            tiled(monkeypatch, *shapes[request.param])
        return paths.log_sums

    @pytest.fixture(params=["itself", "references", "marked", "unmarked"])
    def inputs(self, request):
        x, y = batch(11, 4, torch.float64, 3)
        r, z = batch(14, 5, torch.float64, 3)
        x, r = (torch.nn.functional.normalize(t.detach()).requires_grad_() for t in (x, r))
        y[0] = 9  # without a positive
        if request.param == "itself":
            return pair_tiles.PairInputs(x, None, y, None, None)
        own = torch.tensor([-1, 13, -1, 5, 0, 2, 7, 1, 3, -1, 12])
        if request.param == "marked":
            z[own[own >= 0]] = y[own >= 0]
        own = {"references": None, "marked": own, "unmarked": torch.full_like(own, -1)}
        return pair_tiles.PairInputs(x, r, y, z, own[request.param])

    @pytest.mark.parametrize(("gamma", "m"), [(80.0, 0.25), (1.0, 0.0), (300.0, -0.6), (9.0, 0.9)])
    def test_log_sums(self, way, inputs, gamma, m):
        found = torch.stack(list(way(inputs, gamma, m)))
        torch.testing.assert_close(found, by_loop(inputs, gamma, m), rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("own", [None, -1])
    def test_rows_whose_exponents_are_far_apart(self, way, own):
        """By more than exp can span: no row is measured by the largest exponent of another."""
        x = torch.eye(4, dtype=torch.float64)[[0, 1, 0, 2, 0, 1]]
        y = torch.tensor([0, 2, 0, 1, 1, 2])
        inputs = pair_tiles.PairInputs(x, None, y, None, None)
        if own is not None:
            inputs = pair_tiles.PairInputs(x, x, y, y, torch.full_like(y, own))
        found = torch.stack(list(way(inputs, 1024.0, 0.9)))
        wanted = by_loop(inputs, 1024.0, 0.9)
        assert wanted.amax() - wanted.amin() > 1000
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=0)

    @pytest.mark.parametrize(("gamma", "m"), [(80.0, 0.25), (5.0, -0.6)])
    def test_gradient_of_each(self, way, inputs, gamma, m):
        """alpha is a constant: the derivative by s_n is softmax times gamma alpha_n (Eq. 9)."""
        x, r, y, z, own = inputs
        sets = [x] if r is None else [x, r]
        r, z = (x, y) if r is None else (r, z)
        if inputs.references is None:
            own = torch.arange(len(x))
        itself = torch.zeros(len(x), len(r), dtype=torch.bool)
        if own is not None:
            itself[own >= 0, own[own >= 0]] = True
        s, same = (x @ r.T).detach(), y[:, None] == z
        alpha_p, alpha_n = (1 + m - s).relu(), (s + m).relu()
        sums = way(inputs, gamma, m)
        for i, (alpha, delta, chosen, sign) in enumerate(
            [(alpha_p, 1 - m, same & ~itself, -1), (alpha_n, m, ~same, 1)]
        ):
            weight = torch.randn(len(x), dtype=x.dtype)
            exponent = (sign * gamma * alpha * (s - delta)).masked_fill(~chosen, -torch.inf)
            softmax = exponent.softmax(1).nan_to_num() * chosen
            slopes = weight[:, None] * softmax * sign * gamma * alpha
            wanted = [slopes @ r.detach(), slopes.T @ x.detach()]
            found = torch.autograd.grad(
                (weight * sums[i])[chosen.any(1)].sum(), sets, retain_graph=True
            )
            wanted = wanted if len(sets) == 2 else [sum(wanted)]
            for a, b in zip(found, wanted, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


class TestPasses:
    """Each similarity is computed once for value and gradient, and no gradient for nobody."""

    @pytest.fixture
    def passes(self, monkeypatch):
        """Whether each pass over the pairs computes gradients."""
        seen = []

        def watched(inputs, gamma, m, row_gradients=None):
            seen.append(row_gradients is not None)
            return dispatch.compute_log_sums(inputs, gamma, m, row_gradients)

        monkeypatch.setattr(paths, "compute_log_sums", watched)
        return seen

    @pytest.mark.parametrize("reduction", ["mean", "sum"])
    @pytest.mark.parametrize("wanted", ["x", "r", "both", "x alone"])
    def test_one_with_the_gradient_in_it(self, passes, reduction, wanted):
        x, y = batch(9, 3)
        r, z = batch(8, 3)
        x.requires_grad_(wanted != "r")
        r.requires_grad_(wanted != "x")
        CircleLoss(reduction=reduction)(x, y, *[r, z] * (wanted != "x alone")).backward()
        assert passes == [True]

    def test_none_of_the_gradient_where_it_is_not_wanted(self, passes):
        x, y = batch(9, 3)
        r, z = batch(8, 3)
        CircleLoss()(x.detach(), y)
        CircleLoss()(x.detach(), y, r.detach(), z)
        with torch.no_grad():
            CircleLoss()(x, y)
            CircleLoss()(x, y, r, z)
        assert passes == [False] * 4


class TestTileShape:
    """How much of the matrix of pairs is held at once; on a device without memory of its own."""

    def inputs(self, anchors, references, device, dtype=torch.float32):
        x, r = (torch.empty(size, 2, device=device, dtype=dtype) for size in (anchors, references))
        y, z = (torch.zeros(size, device=device, dtype=int) for size in (anchors, references))
        return pair_tiles.PairInputs(x, r, y, z, None)

    @pytest.mark.parametrize("device", ["cpu", "meta"])
    def test_few_pairs_are_one_matrix(self, device):
        most = pair_tiles.DENSE_PAIRS if device == "cpu" else pair_tiles.DEVICE_DENSE_PAIRS
        side = int(most**0.5)
        assert self.inputs(side, side, device).few()
        assert self.inputs(1, most, device).few()
        for anchors, references in [(side + 1, side), (side, side + 1), (1, most + 1)]:
            assert not self.inputs(anchors, references, device).few()

    @pytest.mark.parametrize("size", [10, 255, 256, 257, 4095, 4097])
    def test_a_tile_stays_in_the_cache_of_a_cpu(self, size):
        for anchors, references in [(size, 5), (5, size), (size, size)]:
            pairs, _ = pair_tiles.sort_by_label(self.inputs(anchors, references, "cpu"))
            assert pairs.block_rows == min(anchors, 256)
            assert pairs.chunk_columns == min(references, 4096)
        inputs = self.inputs(size, 5, "cpu")._replace(references=None, reference_labels=None)
        pairs, _ = pair_tiles.sort_by_label(inputs)
        assert (pairs.block_rows, pairs.chunk_columns) == (min(size, 256), min(size, 4096))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("references", [7, 1 << 14, (1 << 20) + 1, 1 << 28])
    @pytest.mark.parametrize("anchors", [3, 1 << 16])
    def test_a_block_on_a_device_has_the_rows_that_fit(self, anchors, references, dtype):
        pairs, _ = pair_tiles.sort_by_label(self.inputs(anchors, references, "meta", dtype))
        row = references * torch.empty(0, dtype=dtype).element_size()
        held = pairs.block_rows * row
        assert pairs.chunk_columns == references
        assert 1 <= pairs.block_rows <= anchors
        assert pairs.block_rows == 1 or held <= 1 << 28
        assert pairs.block_rows == anchors or held + row > 1 << 28


class TestUnitRows:
    @pytest.mark.parametrize("tracing", [False, True])
    def test_of_length_1_with_the_derivative_of_the_division(self, monkeypatch, tracing):
        if tracing:
            monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        x = torch.randn(6, 3, dtype=torch.float64)
        x = (x * torch.logspace(-6, 6, 6, dtype=x.dtype)[:, None]).requires_grad_()
        weight = torch.randn(6, 3, dtype=torch.float64)
        (wanted,) = torch.autograd.grad((x / x.norm(dim=1, keepdim=True) * weight).sum(), x)
        unit = unit_rows(x)
        (found,) = torch.autograd.grad((unit * weight).sum(), x)
        torch.testing.assert_close(unit.norm(dim=1), torch.ones(6, dtype=x.dtype))
        torch.testing.assert_close(unit * x.norm(dim=1, keepdim=True), x)
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=0)

    @pytest.mark.parametrize("tracing", [False, True])
    def test_rows_too_short_for_a_direction_stay_zero(self, monkeypatch, tracing):
        if tracing:
            monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        x = torch.tensor([0, 1e-200, 0.99e-12, 1.01e-12, 1], dtype=torch.float64)
        x = torch.stack([x, 0 * x], 1).requires_grad_()
        unit = unit_rows(x)
        (slope,) = torch.autograd.grad(unit[:, 1].sum(), x)
        assert unit.tolist() == [[0, 0]] * 3 + [pytest.approx([1, 0])] * 2
        assert slope[:3].eq(0).all()
        assert slope[3:, 1].tolist() == pytest.approx([1 / 1.01e-12, 1])


class TestTraced:
    """What torch.compile sees, run as it stands: the other branches give the same results."""

    @pytest.fixture(autouse=True)
    def _tracing(self, monkeypatch):
        tracing = torch.compiler.is_compiling
        self.trace = lambda on: monkeypatch.setattr(
            torch.compiler, "is_compiling", (lambda: True) if on else tracing
        )

    def both(self, loss, *inputs):
        """Results while torch.compile traces, and else."""
        found = []
        for on in (True, False):
            self.trace(on)
            found.append(evaluate(loss, *inputs))
        return found

    @pytest.fixture(params=["plain", "operator"])
    def way(self, request, monkeypatch):
        limit = 1 << 20 if request.param == "plain" else 0
        monkeypatch.setattr(paths, "COMPILED_PAIRS", {"cpu": limit})

    @pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
    @pytest.mark.parametrize("pairs", ["anchor", "batch"])
    @pytest.mark.parametrize("normalize", [True, False])
    def test_settings(self, way, pairs, reduction, normalize):
        x, y = batch(13, 4, torch.float64, 3)
        loss = CircleLoss(32, -0.3, pairs, reduction, normalize=normalize)
        agree(*self.both(loss, x, y))

    @pytest.mark.parametrize("marked", [True, False])
    def test_references(self, way, marked):
        x, y = batch(9, 4, torch.float64, 3)
        r, z = batch(14, 5, torch.float64, 3)
        own = torch.tensor([0, 13, -1, 5, -1, 2, 7, 1, 3])
        z[own[own >= 0]] = y[own >= 0]
        for reduction in ("mean", "none"):
            loss = CircleLoss(reduction=reduction)
            agree(*self.both(loss, x, y, r, z, *[own] * marked))

    def test_classes(self, way):
        x, y = batch(9, 4, torch.float64)
        loss = ClassCircleLoss(6, 16).double()
        agree(*self.both(loss, x, y))
        self.trace(True)
        assert loss(x, y + 3).isnan().item() == (y > 2).any()
        assert loss(x, y - 1).isnan().item() == (y < 1).any()

    def test_zero_and_short_rows(self, way):
        x, y = batch(8, 2, torch.float64, 3)
        lengths = torch.tensor([0, 1e-14, 5e-13, 2e-12, 1e-6, 1, 10, 1e6], dtype=x.dtype)
        x = torch.nn.functional.normalize(x.detach()) * lengths[:, None]
        agree(*self.both(CircleLoss(8), x.requires_grad_(), y))

    def test_up_to_320_squared_pairs_are_one_matrix(self, monkeypatch):
        """Above that memory does not grow with their number."""
        seen = []
        monkeypatch.setattr(
            paths, "plain_log_sums", lambda *inputs: seen.append(1) or plain_log_sums(*inputs)
        )
        self.trace(True)
        for anchors, references in [(320, 320), (321, 320), (320, 321), (2, 51201)]:
            x, r = torch.randn(anchors, 2), torch.randn(references, 2)
            y, z = torch.arange(anchors) % 2, torch.arange(references) % 3
            CircleLoss()(x, y, r, z)
        assert len(seen) == 1


@pytest.mark.parametrize("size", [20, 400])
@pytest.mark.parametrize("references", [True, False])
@pytest.mark.parametrize("strided", [True, False])
def test_operator_for_torch_compile_keeps_the_rules(size, references, strided):
    x, y = batch(size, 5, torch.float64)
    r, z = batch(size + 1, 5, torch.float64)
    if strided:
        x, r = (rows.T.contiguous().T for rows in (x, r))
    own = torch.full((size,), -1)
    sets = (x, r, y, z, own) if references else (x, None, y, None, None)
    torch.library.opcheck(operators.log_sums_operator, (*sets, 80.0, 0.25))
    slopes = torch.rand(2, size, dtype=torch.float64)
    inputs = (*sets, 80.0, 0.25, *slopes.unbind())
    checks = ("test_schema", "test_faketensor")
    torch.library.opcheck(operators._gradient_operator, inputs, test_utils=checks)


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

    @pytest.mark.parametrize("reduction", ["mean", "none"])
    @pytest.mark.parametrize("normalize", [True, False])
    def test_by_references_is_the_same_error(self, reduction, normalize):
        x, y = batch(8, 3)
        r, z = batch(9, 3)
        loss = CircleLoss(reduction=reduction, normalize=normalize)(x.detach(), y, r, z).sum()
        (gradient,) = torch.autograd.grad(loss, r, create_graph=True)
        with pytest.raises(RuntimeError, match="no second derivative"):
            gradient.square().sum().backward()

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
