"""Pictures of a sweep say what its cells reached: numbers are read back from what is drawn."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from circlemnist.evaluation.group import Cell
from circlemnist.limits import Value
from circlemnist.plots.style import DARK, LIGHT, Style, Theme, legible
from circlemnist.plots.sweep import draw_cells
from tests.plots.figures import boxes_of, words

GAMMAS, MARGINS = (256, 16, 128, 32, 64), (0.4, 0.0, 0.25, 0.1)
LOSSES = ("circle", "triplet", "arcface", "center")


def cells_of(metric: str = "1nn", seeds: int = 1, **varied: tuple[Value, ...]) -> list[Cell]:
    """A cell of each combination and seed, no two values alike."""
    random = np.random.default_rng(0)
    combinations = itertools.product(*varied.values(), range(seeds))
    return [
        Cell(dict(zip(varied, values, strict=True)), seed, {metric: float(random.uniform(0.9, 1))})
        for *values, seed in combinations
    ]


def reached(cells: list[Cell], metric: str = "1nn", **chosen: Value) -> list[float]:
    """The values, in per cent, of the cells with these settings."""
    return [100 * c.metrics[metric] for c in cells if chosen.items() <= c.varied.items()]


def axes_of(figure: Figure) -> Axes:
    return figure.axes[0]


def contrast(a: object, b: object) -> float:
    """Of two colours, as the Web Content Accessibility Guidelines define it."""

    def luminance(color: object) -> float:
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in to_rgb(color)  # type: ignore[arg-type]
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(a), luminance(b)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize("metric", ["1nn", "eer"])
def test_a_heat_map_holds_the_means_in_the_order_of_the_numbers(theme: Theme, metric: str) -> None:
    cells = cells_of(metric, seeds=3, gamma=GAMMAS, m=MARGINS)
    axes = axes_of(draw_cells(cells, metric, Style(theme)))
    (image,) = axes.images
    assert image.get_interpolation() == "nearest"
    expected = [
        [np.mean(reached(cells, metric, gamma=gamma, m=m)) for gamma in sorted(GAMMAS)]
        for m in sorted(MARGINS)
    ]
    np.testing.assert_allclose(image.get_array(), expected)
    # no value is far off, and so the colours reach from the least to the most
    assert image.get_clim() == pytest.approx((np.min(expected), np.max(expected)))
    assert [t.get_text() for t in axes.get_xticklabels()] == ["16", "32", "64", "128", "256"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["0", "0.1", "0.25", "0.4"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("gamma", "m")
    # a row higher up is a larger m
    assert axes.get_ylim() == (-0.5, 3.5)
    texts = {tuple(map(round, text.get_position())): text for text in axes.texts}
    assert len(texts) == 20
    for (column, row), text in texts.items():
        assert text.get_text() == f"{expected[row][column]:.2f}"
        color = image.cmap(image.norm(expected[row][column]))
        assert contrast(text.get_color(), color) >= 4.5


@pytest.mark.parametrize("metric", ["1nn", "eer"])
def test_the_best_cell_is_framed_deepest_and_named(metric: str) -> None:
    cells = cells_of(metric, gamma=GAMMAS, m=MARGINS)
    best = (min if metric == "eer" else max)(cells, key=lambda cell: cell.metrics[metric])
    figure = draw_cells(cells, metric, Style())
    axes = axes_of(figure)
    (frame,) = axes.patches
    column, row = (np.array(frame.get_xy()) + 0.5).astype(int)  # type: ignore[attr-defined]
    assert sorted(GAMMAS)[column] == best.varied["gamma"]
    assert sorted(MARGINS)[row] == best.varied["m"]
    image = axes.images[0]
    drawn = image.to_rgba(image.get_array())[row, column]
    np.testing.assert_allclose(drawn[:3], to_rgb(LIGHT.same), atol=0.01)
    (title,) = (text for text in words(figure) if "best" in text)
    value = 100 * best.metrics[metric]
    assert f"best {value:.2f} at gamma {best.varied['gamma']}, m {best.varied['m']:g}" in title


def test_one_collapsed_training_leaves_the_others_their_colours() -> None:
    cells = cells_of(gamma=GAMMAS, m=MARGINS)
    cells[7].metrics["1nn"] = 0.1
    figure = draw_cells(cells, "1nn", Style())
    image = axes_of(figure).images[0]
    lowest, highest = image.get_clim()
    assert lowest > 80
    assert highest == pytest.approx(100 * max(cell.metrics["1nn"] for cell in cells))
    assert "10.00" in words(figure)
    assert image.colorbar is not None
    assert image.colorbar.extend == "min"


def test_a_grid_that_is_not_full_shows_what_there_is() -> None:
    cells = cells_of(gamma=GAMMAS, m=MARGINS)
    axes = axes_of(draw_cells(cells[:-1], "1nn", Style()))
    assert len(axes.texts) == 19
    assert np.ma.count_masked(axes.images[0].get_array()) == 1


def test_many_cells_are_colours_alone() -> None:
    cells = cells_of(gamma=tuple(range(1, 101)), m=tuple(n / 100 for n in range(100)))
    axes = axes_of(draw_cells(cells, "1nn", Style()))
    array = axes.images[0].get_array()
    assert array is not None
    assert array.shape == (100, 100)
    assert not axes.texts
    boxes = boxes_of(axes.figure, axes.get_xticklabels())  # type: ignore[arg-type]
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seeds", [1, 4])
@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (GAMMAS, "log"),
        ((1, 3, 10, 30, 100), "log"),
        (MARGINS, "linear"),
        ((0.1, 0.2, 0.3), "linear"),
        ((2, 8), "linear"),
        ((5,), "linear"),
    ],
)
def test_a_line_goes_through_the_means_with_their_spread(
    values: tuple[Value, ...], scale: str, seeds: int
) -> None:
    cells = cells_of(seeds=seeds, gamma=values)
    axes = axes_of(draw_cells(cells, "1nn", Style()))
    (line,) = axes.lines
    found = {value: np.array(reached(cells, gamma=value)) for value in sorted(values)}
    np.testing.assert_allclose(line.get_xdata(), list(found))
    np.testing.assert_allclose(line.get_ydata(), [of.mean() for of in found.values()])
    assert axes.get_xscale() == scale
    assert [text.get_text() for text in axes.get_xticklabels()] == [f"{x:g}" for x in found]
    if seeds > 1:
        band, dots = axes.collections
        assert sorted(np.asarray(dots.get_offsets())[:, 1]) == pytest.approx(sorted(reached(cells)))
        corners = band.get_paths()[0].vertices
        for value, of in found.items():
            edges = corners[np.isclose(corners[:, 0], float(value)), 1]
            assert edges.min() == pytest.approx(of.mean() - of.std(ddof=1))
            assert edges.max() == pytest.approx(of.mean() + of.std(ddof=1))
    else:
        assert not axes.collections


@pytest.mark.parametrize("metric", ["1nn", "eer"])
def test_names_are_dots_of_each_seed_the_best_on_top(metric: str) -> None:
    cells = cells_of(metric, seeds=3, loss=LOSSES)
    axes = axes_of(draw_cells(cells, metric, Style()))
    means = {loss: float(np.mean(reached(cells, metric, loss=loss))) for loss in LOSSES}
    ordered = sorted(means, key=lambda loss: means[loss], reverse=metric != "eer")
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == ordered
    bottom, top = axes.get_ylim()
    assert bottom > top  # the first row is the highest
    (container,) = axes.containers
    np.testing.assert_allclose(container[0].get_xdata(), [means[loss] for loss in ordered])
    dots = np.asarray(axes.collections[-1].get_offsets())
    for row, loss in enumerate(ordered):
        of = reached(cells, metric, loss=loss)
        assert sorted(dots[dots[:, 1] == row, 0]) == pytest.approx(sorted(of))
        (start, end) = container[2][0].get_segments()[row][:, 0]
        assert (end - start) / 2 == pytest.approx(np.std(of, ddof=1))


def test_three_settings_are_rows_that_name_them() -> None:
    cells = cells_of(gamma=(16, 32), m=(0, 0.1), augment=(True, False))
    axes = axes_of(draw_cells(cells, "1nn", Style()))
    labels = {text.get_text() for text in axes.get_yticklabels()}
    assert len(labels) == 8
    assert "gamma 16, m 0.1, augment off" in labels


def test_only_the_best_of_many_combinations_have_a_row() -> None:
    cells = cells_of(a=tuple(range(100)), b=tuple(range(20)), c=tuple("vwxyz"))
    axes = axes_of(draw_cells(cells, "1nn", Style()))
    best = sorted(reached(cells), reverse=True)[:40]
    np.testing.assert_allclose(axes.containers[0][0].get_xdata(), best)
    assert "the best 40 of 10,000" in axes.get_xlabel()


def test_a_setting_that_is_the_same_in_all_cells_makes_no_axis() -> None:
    axes = axes_of(draw_cells(cells_of(gamma=GAMMAS, m=(0.25,)), "1nn", Style()))
    assert axes.get_xlabel() == "gamma"
    assert len(axes.lines) == 1
    alone = draw_cells(cells_of(gamma=(80,), m=(0.25,)), "1nn", Style())
    assert [text.get_text() for text in axes_of(alone).texts] == [
        f"{reached(cells_of(gamma=(80,), m=(0.25,)))[0]:.2f}"
    ]


def test_a_search_is_drawn_to_scale() -> None:
    random = np.random.default_rng(1)
    cells = [
        Cell({"lr": 10**exponent, "m": margin}, 0, {"1nn": value})
        for exponent, margin, value in random.uniform((-2, 0, 0.9), (0, 0.5, 1), (50, 3)).tolist()
    ]
    axes = axes_of(draw_cells(cells, "1nn", Style()))
    dots = axes.collections[0]
    expected = [(cell.varied["lr"], cell.varied["m"]) for cell in cells]
    np.testing.assert_allclose(np.asarray(dots.get_offsets()), expected)
    np.testing.assert_allclose(dots.get_array(), reached(cells))
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
    best = max(cells, key=lambda cell: cell.metrics["1nn"])
    (ring,) = axes.lines
    assert (ring.get_xdata(), ring.get_ydata()) == ([best.varied["lr"]], [best.varied["m"]])
    boxes = boxes_of(axes.figure, axes.get_xticklabels())  # type: ignore[arg-type]
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


def test_what_was_measured_is_in_the_title() -> None:
    figure = draw_cells(cells_of(gamma=GAMMAS), "1nn", Style(), "digits, 200 held-out images")
    assert any(text.startswith("digits, 200 held-out images: 1-NN, %\n") for text in words(figure))


def test_cosines_are_written_with_four_digits() -> None:
    cells = [Cell({"m": m}, 0, {"mean_sn": value}) for m, value in ((0.1, 0.05), (0.2, -0.1))]
    figure = draw_cells(cells, "mean_sn", Style())
    assert any("best -0.1000 at m 0.2" in text for text in words(figure))


@given(st.tuples(*[st.floats(0, 1)] * 3))
def test_black_or_white_reads_on_every_colour(color: tuple[float, float, float]) -> None:
    assert contrast(legible(color), color) >= math.sqrt(21) - 1e-9


def test_rows_of_a_search_of_many_settings_have_their_whole_names() -> None:
    varied = {"gamma": (80.5, 17.25), "m": (0.4107, 0.1), "lr": (0.0823, 0.1), "loss": LOSSES[:2]}
    figure = draw_cells(
        cells_of(plain_share=(0.25, 0.5), elastic=(0.2, 0.4), **varied), "1nn", Style()
    )
    axes = axes_of(figure)
    for box in boxes_of(figure, axes.get_yticklabels()):
        assert box.x0 >= 0
    assert axes.get_window_extent().width > 0.4 * figure.bbox.width
    names = [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()]
    assert all(name.count(",") == 5 for name in names)
    heights = [box.height for box in boxes_of(figure, axes.get_yticklabels())]
    rows = axes.get_window_extent().height / len(names)
    assert max(heights) < rows
