"""How pairs spread over the (s_n, s_p) square, and which lie outside the decision circle."""

import numpy as np
import pytest
import torch
from torch import Tensor

from circlemnist.evaluation import metrics
from circlemnist.evaluation.pair_plane import BINS, Boundary, pair_density, share_beyond


def cloud(size: int, classes: int) -> tuple[Tensor, Tensor]:
    """Unit vectors about a direction a class; the last class has one member."""
    labels = torch.arange(size) % (classes - 1)
    labels[-1] = classes - 1
    x = torch.randn(classes, 5, dtype=torch.float64)[labels]
    x = x + torch.randn(size, 5, dtype=torch.float64)
    return torch.nn.functional.normalize(x), labels


def by_loop(x: Tensor, labels: Tensor, bins: int) -> np.ndarray:
    """Each anchor counts alike, and so does each of its triples."""
    s, size = x @ x.T, len(labels)
    expected, anchors = np.zeros((bins, bins)), 0
    for a in range(size):
        positives = [i for i in range(size) if i != a and labels[i] == labels[a]]
        negatives = [i for i in range(size) if labels[i] != labels[a]]
        for p in positives:
            for n in negatives:
                row, column = (min(int((s[a, i] + 1) * bins / 2), bins - 1) for i in (p, n))
                expected[row, column] += 1 / (len(positives) * len(negatives))
        anchors += bool(positives and negatives)
    return expected / anchors


@pytest.mark.parametrize("elements", [2**23, 60, 1], ids=["one block", "some", "a row each"])
def test_density_equals_a_loop_over_all_triples(
    elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "BLOCK_ELEMENTS", elements)
    x, labels = cloud(17, 4)
    np.testing.assert_allclose(pair_density(x, labels, 10), by_loop(x, labels, 10), atol=1e-12)


def test_density_is_one_in_all_and_of_its_own_resolution() -> None:
    x, labels = cloud(40, 5)
    density = pair_density(x.float(), labels)
    assert density.shape == (BINS, BINS)
    assert density.dtype == np.float64
    assert density.sum() == pytest.approx(1)


def test_ends_of_the_square_are_in_its_last_bins() -> None:
    """A cosine of 1 or -1, or a little beyond by rounding."""
    x = torch.tensor([[1.0, 0], [1.0 + 1e-6, 0], [-1.0, 0], [-1.0 - 1e-6, 0]])
    density = pair_density(x, torch.tensor([0, 0, 1, 1]), 8)
    assert density[7, 0] == pytest.approx(1)


def test_without_triples_there_is_no_density() -> None:
    x, _ = cloud(6, 3)
    for labels in (torch.zeros(6, dtype=torch.long), torch.arange(6)):
        assert pair_density(x, labels, 4).sum() == 0


def test_swap_of_all_classes_changes_nothing() -> None:
    x, labels = cloud(30, 4)
    order = torch.randperm(30)
    expected = pair_density(x, labels, 20)
    np.testing.assert_allclose(pair_density(x[order], 3 - labels[order], 20), expected, atol=1e-12)


@pytest.mark.parametrize("m", [0.1, 0.25, -0.25, 0.6])
def test_share_outside_is_that_of_the_centres_of_bins(m: float) -> None:
    """Every bin by itself: inside only if its centre is within √2·|m| of (s_n, s_p) = (0, 1)."""
    bins = 16
    for row in range(bins):
        for column in range(bins):
            density = np.zeros((bins, bins))
            density[row, column] = 0.5
            sp, sn = (-1 + (2 * i + 1) / bins for i in (row, column))
            outside = np.hypot(sn, sp - 1) > 2**0.5 * abs(m)
            assert share_beyond(density, Boundary("circle", m)) == (0.5 if outside else 0)


def test_shares_add_up() -> None:
    density = np.zeros((20, 20))
    density[19, 10] = 0.75  # s_p 0.95, s_n 0.05
    density[10, 19] = 0.25  # s_p 0.05, s_n 0.95
    assert share_beyond(density, Boundary("circle", 0.25)) == pytest.approx(0.25)
    assert share_beyond(density, Boundary("circle", 0.01)) == pytest.approx(1)
    assert share_beyond(density, Boundary("circle", 0.99)) == pytest.approx(0)


def test_one_negative_is_enough() -> None:
    x = torch.tensor([[1.0, 0], [0.8, 0.6], [0, 1.0]])
    density = pair_density(x, torch.tensor([0, 0, 1]), 4)
    assert density.sum() == pytest.approx(1)
    assert density[3, 2] == pytest.approx(0.5)  # s_p 0.8, s_n 0
    assert density[3, 3] == pytest.approx(0.5)  # s_p 0.8, s_n 0.6


def test_on_the_circle_is_inside() -> None:
    density = np.zeros((2, 2))
    density[1, 1] = 1  # s_p and s_n 0.5: 0.5² + 0.5² = 2 · 0.5²
    assert share_beyond(density, Boundary("circle", 0.5)) == 0
    assert share_beyond(density, Boundary("circle", 0.49)) == 1
