"""The picture of the pair plane: the decision circle, and how the pairs moved."""

from pathlib import Path

import numpy as np
import pytest

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.runs.run import Run
from tests.plots.figures import drawn


def test_circle_has_the_radius_of_the_margin(trained: EvaluatedRun) -> None:
    (axes,) = drawn("circle", trained).axes
    circle, _ = axes.lines  # and the optimum
    radii = np.hypot(circle.get_xdata(), np.asarray(circle.get_ydata()) - 1)
    np.testing.assert_allclose(radii, 2**0.5 * 0.25, atol=1e-3)
    assert "outside the circle" in axes.get_title()
    (image,) = axes.images
    assert image.get_array().sum() == pytest.approx(1)


@pytest.mark.slow
def test_circle_shows_how_the_cloud_moved(watched_run: Path) -> None:
    axes = drawn("circle", EvaluatedRun(Run(watched_run))).axes
    captions = [a.get_title() for a in axes]
    assert captions[0].startswith("before training\n100.0 % outside")
    assert captions[-1].startswith("after 4 epochs")
    shares = [float(caption.split("\n")[1].split()[0]) for caption in captions]
    assert shares[-1] < shares[0]
