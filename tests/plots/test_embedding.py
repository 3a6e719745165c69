"""The scatter plot: a map, the plane with its circle, both sides of the sphere."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox
from PIL import Image

from circlemnist.plots.draw import save
from circlemnist.plots.embedding import embedding_figure
from circlemnist.plots.points import Panel, Points, place_above
from circlemnist.plots.projection import project
from tests.plots.figures import DIGITS, TITLED, cloud, parts


def map_of(dim: int, mistakes: np.ndarray | None = None) -> Figure:
    embeddings, labels = cloud(dim)
    points = Points(project(embeddings, "pca", 0)[0], labels, DIGITS)
    return embedding_figure([Panel(points, mistakes)], *TITLED)


def test_plane_is_drawn_as_it_is_with_the_unit_circle() -> None:
    embeddings, _ = cloud(2)
    figure = map_of(2)
    (points,) = parts(figure, "points")
    np.testing.assert_array_equal(points.get_offsets(), embeddings)
    (circle,) = points.axes.lines
    x, y = circle.get_data()
    np.testing.assert_allclose(np.hypot(x, y), 1)


def test_sphere_shows_the_points_and_the_mistakes_of_both_sides() -> None:
    figure = map_of(3, np.array([1, 5, 9]))
    for name, count in (("points", 200), ("mistakes", 3)):
        assert sum(len(part.get_offsets()) for part in parts(figure, name)) == count


@pytest.mark.parametrize("strays", [0, 3])
def test_name_is_right_above_its_cluster_though_some_points_are_elsewhere(strays: int) -> None:
    cluster = np.random.default_rng(0).normal(size=(33, 2))
    lost = np.tile([[5.0, 40.0]], (strays, 1))
    x, y = place_above(np.concatenate([cluster, lost]))
    assert abs(x) < 0.5
    assert 1 < y < 2.5
    assert place_above(cluster[:1]).tolist() == cluster[0].tolist()


@pytest.mark.parametrize("seed", range(8))
def test_images_of_mistakes_hide_no_name_and_no_other_image(seed: int) -> None:
    """Though the mistakes are where the names are, at the upper edge of the clusters."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(10), 100)
    middles = np.array([(x, y) for x in range(4) for y in range(3)])[:10]
    positions = middles[labels] + 0.18 * random.standard_normal((1000, 2))
    upper = [100 * label + positions[labels == label, 1].argmax() for label in range(6)]
    blank = np.zeros((6, 28, 28), np.uint8)
    panel = Panel(Points(positions, labels, DIGITS), np.array(upper), blank)
    figure = embedding_figure([panel], *TITLED)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (axes,) = figure.axes
    images = [box.offsetbox for box in axes.artists if isinstance(box, AnnotationBbox)]
    boxes = [part.get_window_extent(canvas.get_renderer()) for part in (*images, *axes.texts)]
    assert len(boxes) == 16
    for place, box in enumerate(boxes[:6]):
        assert not any(box.overlaps(other) for other in boxes[place + 1 :])


def test_both_halves_of_a_sphere_are_of_one_size() -> None:
    """Though all points lie on one of them."""
    positions = np.tile([[0.0, 0.0, 1.0]], (20, 1))
    figure = embedding_figure([Panel(Points(positions, np.arange(20) % 10, DIGITS))], *TITLED)
    limits = [(axes.get_xlim(), axes.get_ylim(), axes.get_zlim()) for axes in figure.axes]  # type: ignore[attr-defined]
    assert len({limit for half in limits for limit in half}) == 1


def test_no_tick_is_cut_at_the_edge_of_the_unit_circle(tmp_path: Path) -> None:
    figure = map_of(2, mistakes=np.arange(30))
    save(figure, tmp_path / "circle.png", 800)
    with Image.open(tmp_path / "circle.png") as picture:
        inked = np.flatnonzero((np.asarray(picture.convert("L")) < 128).any(0))
    assert inked[0] > 2
    assert inked[-1] < 797
