"""pair_statistics against the matrix of pairs in float64, and the laws that it keeps."""

import math
from itertools import product

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from circlemnist import PairStatistics, pair_statistics
from tests.losses.reference import cosines

MARGINS = [0.25, -0.3, 0.0, 0.9]


def batch(size=15, classes=4, dtype=torch.float64):
    return torch.randn(size, 5, dtype=dtype), torch.randint(classes, (size,))


def by_matrix(x, y, m):
    """Means of both kinds, and the share of exponents of Eq. 6 that are positive."""
    s, same = cosines(x, x), y[:, None] == y
    sp, sn = s[same & ~torch.eye(len(y), dtype=torch.bool)], s[~same]
    exponents = torch.cat([-(1 + m - sp).relu() * (sp - (1 - m)), (sn + m).relu() * (sn - m)])
    return [sp.mean(), sn.mean(), (exponents > 0).double().mean()]


def agree(statistics, wanted, tolerance=1e-12):
    assert [s.item() for s in statistics] == pytest.approx(
        [float(s) for s in wanted], abs=tolerance, nan_ok=True
    )


# a large batch is computed in blocks of rows
@pytest.mark.parametrize(
    ("size", "classes", "m"),
    [
        *product([0, 1, 2, 15, 80], [1, 4, 1000], MARGINS),
        *product([1024, 1025, 2500], [4], [0.25]),
    ],
)
def test_equal_the_matrix_of_pairs(size, classes, m):
    """NaN where there is no such pair."""
    x, y = batch(size, classes)
    agree(pair_statistics(x, y, m), by_matrix(x, y, m))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_m_0_never_counts_a_row_itself(dtype):
    """A cosine of a row with itself that rounds below 1, or above 0, is no pair."""
    x, y = torch.randn(400, 7).to(dtype), torch.arange(400)
    _, mean_sn, violating = by_matrix(x, y, 0.0)
    agree(pair_statistics(x, y, 0.0), [math.nan, mean_sn, violating], 1e-4)


def test_embeddings_are_compared_in_float32_or_float64_also_under_autocast():
    x, y = batch(40, dtype=torch.float32)
    for embeddings in (x.half(), x.bfloat16(), x, x.double()):
        wide = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
        statistics = pair_statistics(wide, y, 0.25)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            autocast = pair_statistics(embeddings, y, 0.25)
        for others in (autocast, pair_statistics(embeddings, y, 0.25)):
            assert {s.dtype for s in others} == {wide.dtype}
            agree(others, statistics, 0)


def test_no_gradient_and_the_inputs_are_left_alone():
    x, y = batch()
    before, labels = x.clone(), y.clone()
    statistics = pair_statistics(x.requires_grad_(), y, 0.25)
    assert isinstance(statistics, PairStatistics)
    assert all(s.shape == () and not s.requires_grad for s in statistics)
    assert x.equal(before)
    assert y.equal(labels)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.uint16, torch.uint64])
def test_labels_of_any_integer_dtype(dtype):
    x, y = batch()
    for labels in (y.to(dtype), y << 40):
        agree(pair_statistics(x, labels, 0.25), pair_statistics(x, y, 0.25), 0)


def test_is_compiled_whole_and_never_looks_at_a_value():
    """Fake tensors have none: whatever would make the host wait for a device raises here."""
    with FakeTensorMode():
        assert [s.shape for s in pair_statistics(*batch(), 0.25)] == [()] * 3
    torch.compiler.reset()
    x, y = batch()
    compiled = torch.compile(pair_statistics, fullgraph=True, backend="eager")
    agree(compiled(x, y, 0.25), pair_statistics(x, y, 0.25), 0)


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
