"""The pair plane: how pairs spread over it, and the decision circle."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.patches import Circle

from circlemnist.evaluation.pair_plane import pair_density, share_outside
from circlemnist.evaluation.trained_run import TrainedRun
from circlemnist.runs.run import Run
from tests.plots.figures import drawn


def test_circle_has_the_radius_of_the_margin(trained: TrainedRun) -> None:
    (axes,) = drawn("circle", trained).axes
    (circle,) = (patch for patch in axes.patches if isinstance(patch, Circle))
    assert circle.center == (0, 1)
    assert circle.radius == pytest.approx(2**0.5 * 0.25)
    (image,) = axes.images
    assert image.get_array().sum() == pytest.approx(1)


@pytest.mark.slow
def test_circle_shows_how_the_cloud_moved(watched_run: Path) -> None:
    axes = drawn("circle", TrainedRun(Run(watched_run))).axes
    captions = [a.get_title() for a in axes]
    assert captions[0].startswith("before training\n100.0 % outside")
    assert captions[-1].startswith("after 4 epochs")
    shares = [float(caption.split("\n")[1].split()[0]) for caption in captions]
    assert shares[-1] < shares[0]


def test_density_equals_a_loop_over_all_triples() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    x = torch.nn.functional.normalize(torch.randn(6, 3, dtype=torch.float64))
    s, bins = x @ x.T, 10
    expected = np.zeros((bins, bins))
    anchors = 0
    for a in range(6):
        positives = [i for i in range(6) if i != a and labels[i] == labels[a]]
        negatives = [i for i in range(6) if labels[i] != labels[a]]
        for p in positives:
            for n in negatives:
                row, column = (min(int((s[a, i] + 1) * bins / 2), bins - 1) for i in (p, n))
                expected[row, column] += 1 / (len(positives) * len(negatives))
        anchors += bool(positives and negatives)
    np.testing.assert_allclose(pair_density(x, labels, bins), expected / anchors, atol=1e-12)


def test_share_outside_is_that_of_the_density() -> None:
    density = np.zeros((20, 20))
    density[19, 10] = 0.75  # s_p 0.95, s_n 0.05
    density[10, 19] = 0.25  # s_p 0.05, s_n 0.95
    assert share_outside(density, 0.25) == pytest.approx(0.25)
    assert share_outside(density, 0.01) == pytest.approx(1)
    assert share_outside(density, 0.99) == pytest.approx(0)
