"""Queries with their nearest images: framed by being right, named without a touch."""

from itertools import pairwise

import numpy as np
import pytest

from circlemnist.plots.neighbors import Queries, neighbors_figure
from tests.plots.figures import CLOTHES, TITLED, boxes_of


@pytest.mark.slow
@pytest.mark.parametrize("columns", [7, 8])
def test_neighbors_with_long_names_do_not_touch(columns: int) -> None:
    images = np.zeros((10, columns, 28, 28), np.uint8)
    queries = Queries(
        images[:, 0],
        np.arange(10),
        images,
        np.add.outer(np.arange(10), np.arange(columns)) % 10,
        np.full((10, columns), 0.98),
        CLOTHES,
    )
    figure = neighbors_figure(queries, *TITLED)
    boxes = boxes_of(figure, [axes.xaxis.label for axes in figure.axes])
    assert len(boxes) == 10 * (columns + 1)
    assert all(figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1 for box in boxes)
    rows = [boxes[at : at + columns + 1] for at in range(0, len(boxes), columns + 1)]
    for row in rows:
        assert all(left.x1 < right.x0 for left, right in pairwise(row))
    solid = [a for a in figure.axes if a.spines["left"].get_linestyle() == "-"]
    assert len(solid) == 10 + 10  # the queries, and the one of each that is right
