"""The pair plane: decision boundaries by the losses themselves, and how pairs spread over it."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from circlemnist.config import Config
from circlemnist.evaluation.pair_plane import (
    Boundary,
    beyond,
    boundary_of,
    pair_density,
)
from circlemnist.family import FAMILY
from circlemnist.losses import build_loss
from circlemnist.plots.gradients import pulls

SHARP = 1e4  # a scale at which a boundary is as sharp as a step


@pytest.mark.parametrize("name", [name for name in FAMILY if name not in ("adacos", "center")])
def test_loss_pulls_beyond_it_and_not_within(name: str) -> None:
    """At a high scale what pulls at s_n ends on the boundary; AdaCos sets its scale itself, and
    Center Loss has no boundary."""
    config = Config(loss=name)
    values = {
        **config.hyperparameters,
        **({"gamma": SHARP} if "gamma" in config.hyperparameters else {}),
    }
    boundary = boundary_of(config)
    sn, sp = np.meshgrid(np.linspace(0.01, 0.98, 60), np.linspace(0.01, 0.98, 60))
    excess = boundary.excess(sn, sp)
    clear = np.abs(excess) > 0.01
    pull = pulls(name, sn, sp, **values)[0]
    np.testing.assert_array_equal((pull > 1e-6)[clear], (excess > 0)[clear])
    assert clear.mean() > 0.9


@pytest.mark.parametrize(
    ("name", "m"),
    [
        *(("cosface", 0.35), ("arcface", 0.5), ("arcface", 2.5), ("sphereface", 1.0)),
        *(("sphereface", 2.0), ("sphereface", 3.0), ("sphereface", 4.0)),
    ],
)
def test_excess_is_what_the_loss_exponentiates(name: str, m: float) -> None:
    """L = log[1 + exp(gamma excess)] for two classes, over the whole square."""
    sn, sp = np.meshgrid(np.linspace(-0.99, 0.99, 9), np.linspace(-0.99, 0.99, 20))
    loss = build_loss(name, num_classes=2, embedding_dim=2, gamma=2.0, m=m, normalize=False)
    loss.W.data = torch.eye(2, dtype=torch.float64)
    anchors = torch.from_numpy(np.stack([sp.ravel(), sn.ravel()], 1))
    values = torch.stack([loss(each[None], torch.tensor([0])) for each in anchors])
    found = values.detach().expm1().log().reshape(sn.shape) / 2
    np.testing.assert_allclose(Boundary(name, m).excess(sn, sp), found, atol=1e-6)


@pytest.mark.parametrize("gamma", [16.0, 80.0, 256.0])
@pytest.mark.parametrize("angle", [1.7, 2.2, 3.0])
def test_on_the_circle_half_of_the_pull_is_left(gamma: float, angle: float) -> None:
    """Z = 1/2 of Eqs. 9 and 10: the gradient is half of gamma times alpha."""
    m = 0.25
    sn, sp = math.sqrt(2) * m * math.sin(angle), 1 + math.sqrt(2) * m * math.cos(angle)
    assert Boundary("circle", m).excess(np.array(sn), np.array(sp)) == pytest.approx(0, abs=1e-12)
    at_sn, at_sp = pulls("circle", np.array([[sn]]), np.array([[sp]]), gamma=gamma, m=m)
    assert at_sn.item() == pytest.approx(gamma * (sn + m) / 2)
    assert at_sp.item() == pytest.approx(gamma * (1 + m - sp) / 2)


@pytest.mark.parametrize("name", ["softmax", "adacos"])
def test_without_margin_both_classes_are_alike_on_it(name: str) -> None:
    s = np.linspace(-1, 1, 9)
    np.testing.assert_array_equal(boundary_of(Config(loss=name)).excess(s, s), 0)
    assert boundary_of(Config(loss=name)).excess(np.array(0.2), np.array(0.1)) > 0


@pytest.mark.parametrize("name", [name for name in FAMILY if name != "center"])
def test_lines_lie_on_it_and_in_the_square(name: str) -> None:
    boundary = boundary_of(Config(loss=name))
    lines = boundary.lines()
    assert lines
    for line in lines:
        assert np.abs(line).max() <= 1
        # one pixel of the grid at most from where the excess is 0
        assert np.abs(boundary.excess(*line.T)).max() < 0.02


@pytest.mark.parametrize("m", [0.05, -0.25, 0.4])
def test_of_circle_loss_it_is_the_circle(m: float) -> None:
    (line,) = Boundary("circle", m).lines()
    radii = np.hypot(line[:, 0], line[:, 1] - 1)
    np.testing.assert_allclose(radii, math.sqrt(2) * abs(m), atol=1e-3)
    assert np.ptp(line[:, 0]) == pytest.approx(2 * math.sqrt(2) * abs(m), abs=0.01)


def test_names() -> None:
    names = {name: boundary_of(Config(loss=name)).name for name in FAMILY}
    assert names["circle"] == names["circle-class"] == "circle"
    assert names["triplet"] == names["cosface"] == names["softmax"] == "line"
    assert names["arcface"] == "boundary"
    assert names["center"] == "none"
    assert Boundary("center", 0.0).lines() == []


def cloud(size: int, classes: int) -> tuple[Tensor, Tensor]:
    """Unit vectors about a direction a class; the last class has one member."""
    labels = torch.arange(size) % (classes - 1)
    labels[-1] = classes - 1
    x = torch.randn(classes, 5, dtype=torch.float64)[labels]
    x = x + torch.randn(size, 5, dtype=torch.float64)
    return torch.nn.functional.normalize(x), labels


@pytest.mark.parametrize("size", [17, 3000], ids=["one block", "more"])
def test_density_has_all_triples_and_anchors_alike(size: int) -> None:
    """Each anchor by itself; the last one has no positive."""
    bins = 10
    x, labels = cloud(size, 4)
    places = np.minimum(((x @ x.T).numpy() + 1) * bins / 2, bins - 1).astype(int)
    expected = np.zeros((bins, bins))
    for anchor, label in enumerate(labels[:-1]):
        same = (labels == label).numpy()
        negatives = np.bincount(places[anchor, ~same], minlength=bins)
        same[anchor] = False
        positives = np.bincount(places[anchor, same], minlength=bins)
        expected += np.outer(positives, negatives) / (positives.sum() * negatives.sum())
    density = pair_density(x, labels, bins)
    np.testing.assert_allclose(density, expected / (size - 1), atol=1e-12)


def test_ends_of_the_square_are_in_its_last_bins() -> None:
    """A cosine of 1 or -1, or a little beyond by rounding."""
    x = torch.tensor([[1.0, 0], [1.0 + 1e-6, 0], [-1.0, 0], [-1.0 - 1e-6, 0]])
    density = pair_density(x, torch.tensor([0, 0, 1, 1]), 8)
    assert density[7, 0] == pytest.approx(1)


def test_without_triples_there_is_no_density() -> None:
    x, _ = cloud(6, 3)
    for labels in (torch.zeros(6, dtype=torch.long), torch.arange(6)):
        assert pair_density(x, labels, 4).sum() == 0


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
            assert beyond(density, Boundary("circle", m)).sum() == (0.5 if outside else 0)
    assert beyond(np.ones((bins, bins)), Boundary("circle", 0.01)).sum() == bins**2


def test_on_the_circle_is_inside() -> None:
    density = np.zeros((2, 2))
    density[1, 1] = 1  # s_p and s_n 0.5: 0.5² + 0.5² = 2 · 0.5²
    assert beyond(density, Boundary("circle", 0.5)).sum() == 0
    assert beyond(density, Boundary("circle", 0.49)).sum() == 1
