"""Pictures of a sweep show its groups: numbers are read back from what is drawn."""

import itertools
import re
from statistics import mean, stdev

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from circlemnist.evaluation.group import Group
from circlemnist.evaluation.metric_names import METRICS
from circlemnist.limits import Value
from circlemnist.plots.style import DARK, LIGHT, Style, Theme
from circlemnist.plots.sweep import draw_sweep
from tests.plots.figures import boxes_of, parts, words

GAMMAS, MARGINS = (256, 16, 128, 32, 64), (0.4, 0.0, 0.25, 0.1)
LOSSES = ("circle", "triplet", "arcface", "center")
EVERY = [(gamma, m) for m in sorted(MARGINS) for gamma in sorted(GAMMAS)]


def groups_of(metric: str = "1nn", seeds: int = 1, **varied: tuple[Value, ...]) -> list[Group]:
    """A group of each combination, no two values alike."""
    random = np.random.default_rng(0)
    return [
        Group(
            "",
            dict(zip(varied, values, strict=True)),
            {seed: {metric: float(random.uniform(0.9, 1))} for seed in range(seeds)},
        )
        for values in itertools.product(*varied.values())
    ]


def percents(groups: list[Group], metric: str = "1nn") -> dict[tuple[object, ...], list[float]]:
    """The values of the seeds of each group, in per cent, by its settings."""
    return {
        tuple(group.settings.values()): [100 * run[metric] for run in group.metrics.values()]
        for group in groups
    }


def axes_of(shown: list[Group] | Figure, metric: str = "1nn") -> Axes:
    """The panel of a picture, which may have a colour bar beside it."""
    figure = shown if isinstance(shown, Figure) else draw_sweep(shown, metric, Style())
    (axes,) = (axes for axes in figure.axes if axes.get_label() != "<colorbar>")
    return axes


def assert_apart(axes: Axes) -> None:
    """The names of the x axis do not overlap."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    boxes = boxes_of(figure, axes.get_xticklabels())
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


def contrast(a: object, b: object) -> float:
    """Of two colours, as the Web Content Accessibility Guidelines define it."""

    def luminance(color: object) -> float:
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(a), luminance(b)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("theme", "metric"), [(LIGHT, "1nn"), (DARK, "eer")])
def test_a_heat_map_holds_the_means_in_the_order_of_the_numbers(theme: Theme, metric: str) -> None:
    """The best is framed, deepest and named."""
    groups = groups_of(metric, seeds=3, gamma=GAMMAS, m=MARGINS)
    figure = draw_sweep(groups, metric, Style(theme))
    axes = axes_of(figure)
    (image,) = axes.images
    values = percents(groups, metric)
    expected = np.array([mean(values[cell]) for cell in EVERY]).reshape(4, 5)
    np.testing.assert_allclose(image.get_array(), expected)
    # no value is far off, and so the colours reach from the least to the most
    assert image.get_clim() == pytest.approx((expected.min(), expected.max()))
    assert [t.get_text() for t in axes.get_xticklabels()] == ["16", "32", "64", "128", "256"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["0", "0.1", "0.25", "0.4"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("gamma", "m")
    assert axes.get_ylim() == (-0.5, 3.5)  # a row higher up is a larger m
    texts = {tuple(map(round, text.get_position())): text for text in axes.texts}
    assert len(texts) == 20
    for (column, row), text in texts.items():
        assert text.get_text() == f"{expected[row][column]:.2f}"
        color = image.cmap(image.norm(expected[row][column]))
        assert contrast(text.get_color(), color) >= 4.5
    (frame,) = axes.patches
    column, row = (np.array(frame.get_xy()) + 0.5).astype(int)
    best = (np.argmin if metric == "eer" else np.argmax)(expected)
    assert 5 * row + column == best
    drawn = image.to_rgba(image.get_array())[row, column]
    np.testing.assert_allclose(drawn[:3], to_rgb(theme.same), atol=0.01)
    (title,) = (text for text in words(figure) if "best" in text)
    gamma, m = EVERY[best]
    assert f"best {expected.ravel()[best]:.2f} at gamma {gamma}, m {m:g}" in title


def test_one_collapsed_training_leaves_the_others_their_colours() -> None:
    """And what was not tried is no cell."""
    groups = groups_of(gamma=GAMMAS, m=MARGINS)[:-1]
    groups[7].metrics[0]["1nn"] = 0.1
    figure = draw_sweep(groups, "1nn", Style())
    (image,) = axes_of(figure).images
    assert np.ma.count_masked(image.get_array()) == 1
    lowest, highest = image.get_clim()
    assert lowest > 80
    assert highest == pytest.approx(max(percents(groups).values())[0])
    assert "10.00" in words(figure)
    assert image.colorbar is not None
    assert image.colorbar.extend == "min"


def test_many_cells_are_colours_alone() -> None:
    axes = axes_of(groups_of(gamma=tuple(range(1, 101)), m=tuple(n / 100 for n in range(100))))
    (image,) = axes.images
    assert np.shape(image.get_array()) == (100, 100)
    assert not axes.texts
    assert_apart(axes)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seeds", [1, 4])
@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (GAMMAS, "log"),
        ((1, 3, 10, 30, 100), "log"),
        (MARGINS, "linear"),
        ((5,), "linear"),
    ],
)
def test_a_line_goes_through_the_means_with_their_spread(
    values: tuple[Value, ...], scale: str, seeds: int
) -> None:
    groups = groups_of(seeds=seeds, gamma=values)
    axes = axes_of(groups)
    (line,) = axes.lines
    expected = {x: ys for (x,), ys in sorted(percents(groups).items())}
    np.testing.assert_allclose(line.get_xdata(), list(expected))
    np.testing.assert_allclose(line.get_ydata(), list(map(mean, expected.values())))
    assert axes.get_xscale() == scale
    assert [text.get_text() for text in axes.get_xticklabels()] == [f"{x:g}" for x in expected]
    if seeds == 1:
        assert not axes.collections
        return
    (band,), (dots,) = parts(axes, "deviations"), parts(axes, "seeds")
    points = [(x, y) for x, ys in expected.items() for y in ys]
    np.testing.assert_allclose(sorted(map(tuple, dots.get_offsets())), sorted(points))
    corners = band.get_paths()[0].vertices
    for x, ys in expected.items():
        edges = corners[np.isclose(corners[:, 0], float(x)), 1]
        spread = mean(ys) - stdev(ys), mean(ys) + stdev(ys)
        assert (edges.min(), edges.max()) == pytest.approx(spread)


@pytest.mark.parametrize("metric", ["1nn", "eer"])
def test_names_are_dots_of_each_seed_the_best_on_top(metric: str) -> None:
    groups = groups_of(metric, seeds=3, loss=LOSSES)
    axes = axes_of(groups, metric)
    values = {loss: shares for (loss,), shares in percents(groups, metric).items()}
    ordered = sorted(values, key=lambda loss: mean(values[loss]), reverse=metric != "eer")
    assert [text.get_text() for text in axes.get_yticklabels()] == ordered
    bottom, top = axes.get_ylim()
    assert bottom > top  # the first row is the highest
    (container,) = axes.containers  # the error bars
    np.testing.assert_allclose(container[0].get_xdata(), [mean(values[loss]) for loss in ordered])
    (seeds,) = parts(axes, "seeds")
    dots = np.asarray(seeds.get_offsets())
    for row, loss in enumerate(ordered):
        assert sorted(dots[dots[:, 1] == row, 0]) == pytest.approx(sorted(values[loss]))
        (start, end) = container[2][0].get_segments()[row][:, 0]
        assert (end - start) / 2 == pytest.approx(stdev(values[loss]))


def test_a_setting_that_is_the_same_in_all_groups_makes_no_axis() -> None:
    axes = axes_of(groups_of(gamma=GAMMAS, m=(0.25,)))
    assert axes.get_xlabel() == "gamma"
    assert len(axes.lines) == 1
    alone = groups_of(gamma=(80,), m=(0.25,))
    ((value,),) = percents(alone).values()
    assert [text.get_text() for text in axes_of(alone).texts] == [f"{value:.2f}"]


def test_a_search_is_drawn_to_scale() -> None:
    random = np.random.default_rng(1)
    groups = [
        Group("", {"lr": 10**exponent, "m": margin}, {0: {"1nn": value}})
        for exponent, margin, value in random.uniform((-2, 0, 0.9), (0, 0.5, 1), (50, 3)).tolist()
    ]
    axes = axes_of(groups)
    values, (dots,) = percents(groups), parts(axes, "means")
    np.testing.assert_allclose(np.asarray(dots.get_offsets()), list(values))
    np.testing.assert_allclose(dots.get_array(), np.ravel(list(values.values())))
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("lr", "m")
    deepest = dots.to_rgba(dots.get_array()).sum(1).argmin()
    assert deepest == np.argmax(dots.get_array())
    assert dots.colorbar.ax.get_ylabel() == "1-NN, %"
    (ring,) = axes.lines
    (place,) = zip(ring.get_xdata(), ring.get_ydata(), strict=True)
    assert place == max(values, key=lambda settings: values[settings])
    assert_apart(axes)


def test_titles_name_the_images_and_write_cosines_with_four_digits() -> None:
    figure = draw_sweep(groups_of(gamma=GAMMAS), "1nn", Style(), "digits, 200 validation images")
    assert any(
        text.startswith("digits, 200 validation images: 1-NN, %\n") for text in words(figure)
    )
    groups = [Group("", {"m": m}, {0: {"mean_sn": s}}) for m, s in ((0.1, 0.05), (0.2, -0.1))]
    titles = words(draw_sweep(groups, "mean_sn", Style()))
    assert any("best -0.1000 at m 0.2" in text for text in titles)
    assert axes_of(groups, "mean_sn").get_ylabel() == METRICS["mean_sn"].title  # of no unit


def test_rows_of_a_search_of_many_settings_are_the_best_with_their_whole_names() -> None:
    varied = {"gamma": (80.5, 17), "m": (0.41072, 0.1), "loss": LOSSES[:2], "halves": (True, False)}
    groups = groups_of(plain_share=(0.25, 0.5), elastic=(0.2, 0.4), **varied)
    figure = draw_sweep(groups, "1nn", Style())
    axes = axes_of(figure)
    (dots,) = parts(axes, "seeds")
    best = sorted(percents(groups).values(), reverse=True)[:40]
    np.testing.assert_allclose(np.asarray(dots.get_offsets())[:, 0], np.ravel(best))
    assert "the best 40 of 64" in axes.get_xlabel()
    boxes = boxes_of(figure, axes.get_yticklabels())
    assert min(box.x0 for box in boxes) >= 0
    window = axes.get_window_extent()
    assert window.width > 0.4 * figure.bbox.width
    assert max(box.height for box in boxes) < window.height / len(boxes)
    names = [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()]
    assert len(set(names)) == 40
    expected = r"plain_share 0.25, elastic 0.[24], gamma 17, m 0.4107, loss circle, halves off"
    assert any(re.fullmatch(expected, name) for name in names)
