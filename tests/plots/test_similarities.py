"""The histograms of cosines and the ROC curve."""

import pytest
import torch

from circlemnist.evaluation.metrics import pair_similarities, roc_curve
from circlemnist.plots.similarities import similarities_figure
from tests.plots.figures import TITLED, boxes_of


@pytest.mark.parametrize(("noise", "good"), [(1e-3, True), (0.15, True), (100.0, False)])
def test_roc_shows_its_point_in_its_panel(noise: float, good: bool) -> None:
    labels = torch.arange(300) % 10
    noisy = torch.eye(10)[labels] + noise * torch.randn(
        300, 10, generator=torch.Generator().manual_seed(0)
    )
    pairs = pair_similarities(torch.nn.functional.normalize(noisy), labels)
    curve = roc_curve(pairs)
    figure = similarities_figure([(pairs, curve)], *TITLED)
    left, right = figure.axes
    legend = right.get_legend()
    (box,) = boxes_of(figure, legend.get_texts())
    assert right.bbox.x0 <= box.x0 <= box.x1 <= right.bbox.x1
    assert legend.get_texts()[0].get_text() == f"equal error rate {100 * curve.equal_error:.2f} %"
    (x,), (y,) = right.lines[1].get_data()
    assert right.get_xlim()[0] <= x <= right.get_xlim()[1]
    assert right.get_ylim()[0] < y < right.get_ylim()[1]
    assert right.get_ylim()[0] <= 90
    assert (curve.equal_error < 0.1) is good
    assert left.bbox.width > 0.3 * figure.bbox.width
