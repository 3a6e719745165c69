"""Queries with their nearest images: framed by being right, named without a touch."""

from itertools import pairwise

import numpy as np
import pytest

from circlemnist.plots.neighbors import Tile, tiles_figure
from tests.plots.figures import CLOTHES, TITLED, boxes_of


@pytest.mark.slow
@pytest.mark.parametrize("columns", [7, 8])
def test_neighbors_with_long_names_do_not_touch(columns: int) -> None:
    image = np.zeros((28, 28), np.uint8)
    rows = [
        [
            Tile(image, CLOTHES[row], "query"),
            *(
                Tile(
                    image,
                    f"{CLOTHES[(row + column) % 10]}\n0.98",
                    "wrong" if column else "right",
                )
                for column in range(columns)
            ),
        ]
        for row in range(10)
    ]
    figure = tiles_figure(rows, ("query", "nearest"), *TITLED, 1.2, 10)
    boxes = boxes_of(figure, [axes.xaxis.label for axes in figure.axes])
    assert len(boxes) == 10 * (columns + 1)
    assert all(figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1 for box in boxes)
    rows = [boxes[at : at + columns + 1] for at in range(0, len(boxes), columns + 1)]
    for row in rows:
        assert all(left.x1 < right.x0 for left, right in pairwise(row))
    solid = [a for a in figure.axes if a.spines["left"].get_linestyle() == "-"]
    assert len(solid) == 10 + 10  # the queries, and the one of each that is right
