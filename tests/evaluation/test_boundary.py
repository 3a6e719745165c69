"""Decision boundaries: where each loss pulls no more, by the losses themselves."""

import math

import numpy as np
import pytest
import torch

from circlemnist.config import Config
from circlemnist.evaluation.pair_plane import Boundary, boundary_of
from circlemnist.family import FAMILY
from circlemnist.losses import build_loss
from circlemnist.plots.gradients import pulls

SHARP = 1e4  # a scale at which a boundary is as sharp as a step


@pytest.mark.parametrize("name", [name for name in FAMILY if name not in ("adacos", "center")])
def test_loss_pulls_beyond_it_and_not_within(name: str) -> None:
    """At a high scale what pulls at s_n ends on the boundary; AdaCos and Center Loss have no such
    scale, and the boundary of their softmax."""
    config = Config(loss=name)
    knobs = {**config.knobs, **({"gamma": SHARP} if "gamma" in config.knobs else {})}
    boundary = boundary_of(config)
    sn, sp = np.meshgrid(np.linspace(0.01, 0.98, 60), np.linspace(0.01, 0.98, 60))
    excess = boundary.excess(sn, sp)
    clear = np.abs(excess) > 0.01
    pull = pulls(name, sn, sp, **knobs)[0]
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
    sn, sp = np.meshgrid(np.linspace(-0.99, 0.99, 40), np.linspace(-0.99, 0.99, 41))
    loss = build_loss(name, num_classes=2, embedding_dim=2, gamma=2.0, m=m, normalize=False)
    loss.W.data = torch.eye(2, dtype=torch.float64)
    anchors = torch.from_numpy(np.stack([sp.ravel(), sn.ravel()], 1))
    values = torch.stack([loss(each[None], torch.tensor([0])) for each in anchors])
    found = values.detach().expm1().log().reshape(sn.shape) / 2
    np.testing.assert_allclose(Boundary(name, m).excess(sn, sp), found, atol=1e-6)


@pytest.mark.parametrize("name", ["softmax", "adacos", "center"])
def test_without_margin_both_classes_are_alike_on_it(name: str) -> None:
    s = np.linspace(-1, 1, 9)
    np.testing.assert_array_equal(boundary_of(Config(loss=name)).excess(s, s), 0)
    assert boundary_of(Config(loss=name)).excess(np.array(0.2), np.array(0.1)) > 0


@pytest.mark.parametrize("name", FAMILY)
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


def test_sphereface_is_one_falling_curve() -> None:
    """psi falls from 1 to 1 - 2m as the angle grows, without a step."""
    theta = torch.linspace(0, math.pi, 2001, dtype=torch.float64).numpy()
    for m in (1.0, 2.0, 3.0, 4.0):
        psi = -Boundary("sphereface", m).excess(np.zeros_like(theta), np.cos(theta))
        assert psi[0] == pytest.approx(1)
        assert psi[-1] == pytest.approx(1 - 2 * m)
        assert (np.diff(psi) < 1e-12).all()
        assert np.diff(psi).min() > -0.02 * m


def test_names() -> None:
    names = {name: boundary_of(Config(loss=name)).name for name in FAMILY}
    assert names["circle"] == names["circle-class"] == "circle"
    assert names["triplet"] == names["cosface"] == names["softmax"] == "line"
    assert names["arcface"] == "boundary"
