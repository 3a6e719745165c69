"""Pictures: what is in them, in every format, with no display."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox
from PIL import Image

from circlemnist.errors import UserError
from circlemnist.plots.embedding import Mistakes, embedding_figure
from circlemnist.plots.projection import project, project_frames
from circlemnist.plots.style import THEMES, save_figure

NAMES = tuple("0123456789")


def cloud(dim: int, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = np.arange(n) % 10
    points = random.normal(size=(10, dim))[labels] + 0.1 * random.normal(size=(n, dim))
    return points / np.linalg.norm(points, axis=1, keepdims=True), labels


def drawn(dim: int, theme: str = "light", mistakes: Mistakes | None = None) -> Figure:
    embeddings, labels = cloud(dim)
    points, _ = project(embeddings, "pca", 0)
    return embedding_figure(
        points, labels, NAMES, "the title\nthe subtitle", THEMES[theme], mistakes
    )


def test_map_has_every_point_in_the_colour_of_its_class() -> None:
    figure = drawn(64)
    (axes,) = figure.axes
    (points,) = axes.collections
    assert len(points.get_offsets()) == 200
    assert len(np.unique(points.get_facecolors(), axis=0)) == 10
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(NAMES)
    assert figure.get_suptitle() == "the title\nthe subtitle"


def test_plane_is_drawn_as_it_is_with_the_unit_circle() -> None:
    embeddings, _ = cloud(2)
    (axes,) = drawn(2).axes
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), embeddings)
    x, y = axes.lines[0].get_data()
    np.testing.assert_allclose(np.hypot(x, y), 1)


def test_sphere_shows_every_point_from_one_side_or_the_other() -> None:
    embeddings, _ = cloud(3)
    shown = [
        points.get_offsets()
        for axes in drawn(3).axes
        for points in axes.collections
        if isinstance(points, PathCollection)
    ]
    assert len(shown) == 2
    assert sum(map(len, shown)) == len(embeddings)


def test_mistakes_are_ringed_and_the_worst_show_their_image() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    figure = drawn(64, mistakes=Mistakes(np.array([7, 3, 11, 100]), images))
    (axes,) = figure.axes
    points, rings = axes.collections
    np.testing.assert_array_equal(rings.get_offsets(), points.get_offsets()[[7, 3, 11, 100]])
    boxes = [artist for artist in axes.artists if isinstance(artist, AnnotationBbox)]
    for box, image, index in zip(boxes, images, (7, 3, 11), strict=True):
        np.testing.assert_array_equal(box.offsetbox.get_data(), image)
        np.testing.assert_array_equal(box.xy, points.get_offsets()[index])
    assert figure.legends[0].get_texts()[-1].get_text() == "4 wrong"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_themes_colour_paper_and_ink(theme: str, tmp_path: Path) -> None:
    figure = drawn(64, theme)
    assert to_hex(figure.get_facecolor()) == THEMES[theme].paper
    path = tmp_path / "a.png"
    save_figure(figure, path, width=400)
    picture = Image.open(path)
    assert picture.width == 400
    assert "#{:02x}{:02x}{:02x}".format(*picture.convert("RGB").getpixel((0, 0))) == (
        THEMES[theme].paper
    )


def test_sphere_shows_the_other_split_and_the_mistakes_of_both_sides() -> None:
    embeddings, labels = cloud(3)
    mistakes = Mistakes(np.array([1, 5, 9]), np.zeros((0, 28, 28), np.uint8))
    figure = embedding_figure(
        embeddings, labels, NAMES, "t", THEMES["dark"], mistakes, (embeddings[:50], labels[:50])
    )
    shown = [
        len(points.get_offsets())
        for axes in figure.axes
        for points in axes.collections
        if isinstance(points, PathCollection)
    ]
    assert sum(shown) == 200 + 50 + 3


@pytest.mark.parametrize("method", ["tsne", pytest.param("umap", marks=pytest.mark.slow), "pca"])
def test_projection_repeats_and_keeps_classes_apart(method: str) -> None:
    embeddings, labels = cloud(16)
    points, how = project(embeddings, method, seed=0)
    assert points.shape == (200, 2)
    assert "16-D" in how
    np.testing.assert_array_equal(points, project(embeddings, method, seed=0)[0])
    nearest = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(nearest, np.inf)
    assert (labels[nearest.argmin(1)] == labels).mean() > 0.8


@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_points_of_a_movie_do_not_jump(method: str) -> None:
    """Between looks at a space that changes a little, points move a little, and classes stay."""
    embeddings, labels = cloud(16)
    noise = np.random.default_rng(1).normal(size=embeddings.shape)
    times = np.stack([embeddings + size * noise for size in (0.2, 0.15, 0.1, 0.05, 0)])
    times = (times / np.linalg.norm(times, axis=2, keepdims=True)).astype(np.float32)
    frames, how = project_frames(times, method, 0)
    assert frames.shape == (5, 200, 2)
    assert "16-D" in how
    width = np.ptp(frames[-1], axis=0).max()
    steps = np.linalg.norm(np.diff(frames, axis=0), axis=2)
    assert np.median(steps) < 0.1 * width
    nearest = np.linalg.norm(frames[-1][:, None] - frames[-1], axis=2)
    np.fill_diagonal(nearest, np.inf)
    assert (labels[nearest.argmin(1)] == labels).mean() > 0.8


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_few_dimensions_are_not_projected(dim: int) -> None:
    embeddings, _ = cloud(dim)
    points, how = project(embeddings, "tsne", 0)
    np.testing.assert_array_equal(points[:, :dim], embeddings)
    assert how == f"{dim}-D"


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")]
)
def test_picture_is_written_in_the_format_of_its_name(
    suffix: str, start: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "new folder" / f"picture{suffix}"
    save_figure(drawn(64), path)
    assert path.read_bytes().startswith(start)
    assert list(path.parent.iterdir()) == [path]


def test_svg_text_can_be_read(tmp_path: Path) -> None:
    save_figure(drawn(64), tmp_path / "a.svg")
    assert "the title" in (tmp_path / "a.svg").read_text("utf-8")


@pytest.mark.parametrize("name", ["picture.jpg", "picture", "picture.PNG.txt"])
def test_other_formats_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.png, \.svg, \.pdf"):
        save_figure(drawn(2), tmp_path / name)


def test_nothing_is_clipped_at_the_edges() -> None:
    for dim in (2, 3, 64):
        figure = drawn(dim)
        FigureCanvasAgg(figure).draw()
        edge = figure.bbox
        for text in [*figure.texts, *figure.legends[0].get_texts()]:
            box = text.get_window_extent()
            assert edge.x0 <= box.x0 <= box.x1 <= edge.x1, text
            assert edge.y0 <= box.y0 <= box.y1 <= edge.y1, text


def test_ten_colours_for_ten_classes() -> None:
    for theme in THEMES.values():
        assert len({*theme.classes, theme.paper}) == 11
