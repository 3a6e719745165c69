"""What two numbers lead to: a heat map of a grid, dots to scale of a search."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from circlemnist.evaluation.group import Outcome, best_of, written
from circlemnist.evaluation.metric_names import Metric
from circlemnist.plots.scales import geometric, make_log
from circlemnist.plots.style import Array, Blank, Theme, legible, shades

SMALLEST, LARGEST = 6.0, 13.0  # points, of a number that can be read in its cell
WIDTH, ROW, HEIGHT = 6.2, 0.6, 6.4  # inches: of a heat map, of its rows, the most of all of them
TICKS = 20  # names along an axis


def heat_map(outcomes: Sequence[Outcome], measure: Metric, blank: Blank) -> Figure:
    """Draw the means over two numbers, each in a cell of its own, the best one framed.

    The cells are alike in size, in the order of the numbers, however far apart these are. Each has
    its value written in it where that can be read. A few bad values do not take the colours from
    the others: what is farther below the middle than three times the best is above it has the
    faintest.
    """
    theme, keys = blank.theme, list(outcomes[0].varied)
    xs, ys = (sorted({outcome.varied[key] for outcome in outcomes}) for key in keys)
    at_x, at_y = ({value: place for place, value in enumerate(axis)} for axis in (xs, ys))
    means = np.full((len(ys), len(xs)), np.nan)
    for outcome in outcomes:
        means[at_y[outcome.varied[keys[1]]], at_x[outcome.varied[keys[0]]]] = outcome.mean
    height = min(ROW * len(ys), HEIGHT)
    norm, colors = _scale(means[np.isfinite(means)], measure), _colors(measure, theme)
    with blank.figure(8, max(height + 1.8, 3.5)) as figure:
        axes = figure.add_subplot()
        image = axes.imshow(
            np.ma.masked_invalid(means),
            cmap=colors,
            norm=norm,
            aspect="auto",
            origin="lower",
            interpolation="nearest",
        )
        for axis, values, key in ((axes.xaxis, xs, keys[0]), (axes.yaxis, ys, keys[1])):
            shown = range(0, len(values), -(-len(values) // TICKS))
            axis.set_ticks(list(shown), [written(values[place]) for place in shown])
            axis.set_label_text(key)
        axes.tick_params(length=0)
        size = _size(WIDTH / len(xs), height / len(ys), len(measure.number(np.nanmax(means))))
        if size >= SMALLEST:
            _write(axes, means, colors(norm(means)), measure, size)
        best = best_of(outcomes, measure)
        corner = (at_x[best.varied[keys[0]]] - 0.5, at_y[best.varied[keys[1]]] - 0.5)
        frame: dict[str, Any] = {"edgecolor": theme.ink, "linewidth": 2.0, "clip_on": False}
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, **frame))
        bar = figure.colorbar(image, ax=axes, extend=_extend(means, norm), pad=0.02)
        bar.set_label(measure.title + measure.unit)
    return figure


def plane(outcomes: Sequence[Outcome], measure: Metric, blank: Blank) -> Figure:
    """Draw each mean as a dot where its two numbers are, the best one ringed."""
    theme, keys = blank.theme, list(outcomes[0].varied)
    x, y = (np.array([outcome.varied[key] for outcome in outcomes], float) for key in keys)
    means = np.array([outcome.mean for outcome in outcomes])
    norm, best = _scale(means, measure), best_of(outcomes, measure)
    with blank.figure(8, 7) as figure:
        axes = figure.add_subplot()
        colors = _colors(measure, theme)
        drawn = axes.scatter(x, y, c=means, cmap=colors, norm=norm, s=90, edgecolors=theme.ink)
        ring: dict[str, Any] = {"marker": "o", "markersize": 18, "fillstyle": "none"}
        axes.plot(*([best.varied[key]] for key in keys), color=theme.ink, **ring)
        axes.set(xlabel=keys[0], ylabel=keys[1])
        for axis, values in ((axes.xaxis, x), (axes.yaxis, y)):
            if geometric(values):
                make_log(axis)
        bar = figure.colorbar(drawn, ax=axes, extend=_extend(means, norm), pad=0.02)
        bar.set_label(measure.title + measure.unit)
    return figure


def _scale(means: Array, measure: Metric) -> Normalize:
    """From the best value to the worst, or to where the middle is thrice as far from the best."""
    sign = -1 if measure.low else 1
    values = sign * means
    best, middle, worst = float(values.max()), float(np.median(values)), float(values.min())
    if best > middle:
        worst = max(worst, middle - 3 * (best - middle))
    low, high = sorted((sign * worst, sign * best))
    return Normalize(low, high if high > low else low + 1e-9)


def _extend(means: Array, norm: Normalize) -> str:
    """At which end of the colour bar values lie beyond it."""
    assert norm.vmin is not None
    assert norm.vmax is not None
    below, above = np.nanmin(means) < norm.vmin, np.nanmax(means) > norm.vmax
    return "min" if below else "max" if above else "neither"


def _colors(measure: Metric, theme: Theme) -> Colormap:
    """The better, the deeper; faint grey where nothing was measured."""
    ends = (theme.like, theme.paper) if measure.low else (theme.paper, theme.like)
    return shades(*ends).with_extremes(bad=theme.faint)


def _size(width: float, height: float, letters: int) -> float:
    """Points of a text of so many letters that fits into a cell of that size in inches."""
    return min(72 * 0.85 * width / (0.62 * letters), 72 * 0.6 * height, LARGEST)


def _write(axes: Axes, means: Array, colors: Array, measure: Metric, size: float) -> None:
    for (row, column), mean in np.ndenumerate(means):
        if np.isfinite(mean):
            text = axes.text(column, row, measure.number(mean), ha="center", va="center")
            text.set(fontsize=size, color=legible(colors[row, column]))
            text.set_in_layout(False)  # it lies within its cell
