"""pair_statistics against a loop over the pairs in float64, and the laws that it keeps."""

import importlib
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from circlemnist import PairStatistics, pair_statistics
from tests.losses.reference import cosines

MODULE = importlib.import_module("circlemnist.losses.pair_statistics")
MARGINS = pytest.mark.parametrize("m", [0.25, -0.3, 0.0, 0.9])


def batch(size=15, classes=4, dtype=torch.float64, dim=5):
    return torch.randn(size, dim, dtype=dtype), torch.randint(classes, (size,))


def pair_by_pair(x, y, m):
    """Means of both kinds, and the share of exponents of Eq. 6 that are positive."""
    similarities, labels = cosines(x, x).tolist(), y.tolist()
    sp, sn, positive = [], [], 0
    for i, row in enumerate(similarities):
        for j, s in enumerate(row):
            if i == j:
                continue
            if labels[i] == labels[j]:
                sp.append(s)
                positive += -max(1 + m - s, 0) * (s - (1 - m)) > 0
            else:
                sn.append(s)
                positive += max(s + m, 0) * (s - m) > 0
    pairs = len(sp) + len(sn)
    return [
        math.fsum(sp) / len(sp) if sp else math.nan,
        math.fsum(sn) / len(sn) if sn else math.nan,
        positive / pairs if pairs else math.nan,
    ]


def agree(found, wanted, tolerance=1e-12):
    assert [s.item() for s in found] == pytest.approx(
        [float(s) for s in wanted], abs=tolerance, nan_ok=True
    )


@MARGINS
@pytest.mark.parametrize("size", [2, 15, 80])
@pytest.mark.parametrize("classes", [1, 4, 1000])
def test_equal_a_loop_over_the_pairs(size, classes, m):
    x, y = batch(size, classes)
    agree(pair_statistics(x, y, m), pair_by_pair(x, y, m))


@MARGINS
@pytest.mark.parametrize("elements", [1, 33, 95])
def test_size_of_the_blocks_does_not_matter(monkeypatch, elements, m):
    """One row at a time, three rows and a remainder, and blocks of eight."""
    x, y = batch(11)
    whole = pair_statistics(x, y, m)
    monkeypatch.setattr(MODULE, "BLOCK_ELEMENTS", elements)
    agree(pair_statistics(x, y, m), whole)


def test_a_block_holds_no_more_than_its_elements(monkeypatch):
    """Memory is that of a block, not that of the matrix of pairs."""
    x, y = batch(200)
    held = []
    sums = MODULE._sums

    def watched(unit, labels, start, rows, m):
        held.append(rows * len(unit))
        return sums(unit, labels, start, rows, m)

    monkeypatch.setattr(MODULE, "_sums", watched)
    monkeypatch.setattr(MODULE, "BLOCK_ELEMENTS", 1000)
    pair_statistics(x, y, 0.25)
    assert max(held) <= 1000
    assert len(held) == 40


@given(st.integers(2, 30), st.integers(1, 6), st.floats(-0.9, 0.9))
def test_order_of_the_batch_does_not_matter(size, classes, m):
    x, y = batch(size, classes)
    order = torch.randperm(size)
    agree(pair_statistics(x[order], y[order], m), pair_statistics(x, y, m))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_length_of_the_embeddings_does_not_matter(dtype):
    x, y = batch(dtype=dtype)
    lengths = torch.logspace(-4, 4, len(x), dtype=dtype)[:, None]
    agree(pair_statistics(x * lengths, y, 0.25), pair_statistics(x, y, 0.25), 1e-6)


@MARGINS
def test_both_pairs_violating_is_outside_the_circle_and_neither_is_not(m):
    """What the share says of the circle, on a grid over the (s_n, s_p) square."""

    def violating(s, labels):
        pair = torch.tensor([[1, 0], [s, math.sqrt(1 - s * s)]], dtype=torch.float64)
        return pair_statistics(pair, torch.tensor(labels), m).violating.item() == 1

    grid = torch.linspace(-1, 1, 42, dtype=torch.float64).tolist()
    by_sp, by_sn = {s: violating(s, [0, 0]) for s in grid}, {s: violating(s, [0, 1]) for s in grid}
    for sn in grid:
        for sp in grid:
            outside = max(sn, -abs(m)) ** 2 + max(1 - sp, -abs(m)) ** 2 > 2 * m * m
            if by_sn[sn] == by_sp[sp]:
                assert outside == by_sn[sn]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_m_0_never_counts_a_row_itself(dtype):
    """A cosine of a row with itself that rounds below 1, or above 0, is no pair."""
    x = torch.randn(400, 7).to(dtype)
    statistics = pair_statistics(x, torch.arange(400), 0.0)
    s = cosines(x, x)
    others = ~torch.eye(400, dtype=torch.bool)
    assert statistics.mean_sp.isnan()
    assert statistics.mean_sn.item() == pytest.approx(s[others].mean().item(), abs=1e-6)
    assert statistics.violating.item() == pytest.approx(
        (s[others] > 0).double().mean().item(), abs=1e-4
    )


@pytest.mark.parametrize(
    ("size", "classes", "known"),
    [
        (0, 1, [False, False, False]),
        (1, 1, [False, False, False]),
        (6, 1, [True, False, True]),
        (6, 6, [False, True, True]),
    ],
)
@pytest.mark.parametrize("elements", [1, 1 << 20])
def test_without_such_pairs_they_are_nan(monkeypatch, elements, size, classes, known):
    monkeypatch.setattr(MODULE, "BLOCK_ELEMENTS", elements)
    statistics = pair_statistics(torch.randn(size, 4), torch.arange(size) % classes, 0.25)
    assert [not s.isnan() for s in statistics] == known


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_embeddings_are_compared_in_float32(dtype):
    x, y = batch(40, dtype=torch.float32)
    x = x.to(dtype)
    found = pair_statistics(x, y, 0.25)
    agree(found, pair_statistics(x.float(), y, 0.25), 0)
    assert {s.dtype for s in found} == {torch.float32}
    assert {s.dtype for s in pair_statistics(x.double(), y, 0.25)} == {torch.float64}


def test_autocast_changes_nothing():
    x, y = batch(40, dtype=torch.float32)
    wanted = pair_statistics(x, y, 0.25)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        agree(pair_statistics(x, y, 0.25), wanted, 0)


def test_no_gradient_and_the_inputs_are_left_alone():
    x, y = batch()
    before, labels = x.clone(), y.clone()
    found = pair_statistics(x.requires_grad_(), y, 0.25)
    assert isinstance(found, PairStatistics)
    assert all(s.shape == () and not s.requires_grad for s in found)
    assert x.equal(before)
    assert y.equal(labels)


def test_zero_rows_have_the_similarity_0():
    x, y = torch.zeros(2, 3), torch.tensor([0, 0])
    assert pair_statistics(x, y, 0.25).mean_sp == 0


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.uint16, torch.uint64])
def test_labels_of_any_integer_dtype(dtype):
    x, y = batch()
    agree(pair_statistics(x, y.to(dtype), 0.25), pair_statistics(x, y, 0.25), 0)
    agree(pair_statistics(x, y << 40, 0.25), pair_statistics(x, y, 0.25), 0)


def test_never_looks_at_a_value():
    """Fake tensors have none: whatever would make the host wait for a device raises here."""
    with FakeTensorMode():
        found = pair_statistics(*batch(), 0.25)
    assert [s.shape for s in found] == [()] * 3


def test_can_be_a_part_of_a_compiled_step():
    torch.compiler.reset()
    x, y = batch()
    whole = torch.compile(pair_statistics, fullgraph=True, backend="eager")
    agree(whole(x, y, 0.25), pair_statistics(x, y, 0.25), 0)


def test_wrong_inputs():
    x, y = batch()
    with pytest.raises(ValueError, match=r"\(15, 5\).*\(14,\)"):
        pair_statistics(x, y[:14], 0.25)
    with pytest.raises(TypeError, match="int64"):
        pair_statistics(y[:, None], y, 0.25)


@pytest.mark.parametrize("rows", [1, 15])
def test_what_is_not_finite_is_in_all_three(rows):
    """No share of violating pairs looks better for it."""
    x, y = batch()
    x[:rows] = math.nan
    assert all(math.isnan(value) for value in pair_statistics(x, y, 0.25))
