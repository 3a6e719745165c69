"""The result of a sweep: a heat map of two numbers, a line over one number, or sorted dots."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from circlemnist.evaluation.group import Cell, Outcome, best_of, described, outcomes_of, written
from circlemnist.evaluation.metric_names import METRICS, Metric
from circlemnist.limits import Value
from circlemnist.plots.style import Array, Style, Theme, draw_grid, legible, new_figure, shades

DOT_ROWS = 40  # combinations that have a row each
NAME_WIDTH = 44  # characters of a line of the name of a row
FULL = 0.5  # of a grid: where less of it was tried, as in a search, values are drawn to scale
SMALLEST, LARGEST = 6.0, 13.0  # points, of a number that can be read in its cell
WIDTH, ROW, HEIGHT = 6.2, 0.6, 6.4  # inches: of a heat map, of its rows, the most of all of them
TICKS = 20  # names along an axis


def draw_cells(cells: Sequence[Cell], metric: str, style: Style, about: str = "") -> Figure:
    """Draw the metric that a sweep reached, by what was varied.

    Two numbers make a heat map whose cells are the means over the seeds, or dots to scale where
    less than half of their combinations was tried; one number a line; names and all else dots,
    sorted, each seed's shown.

    Args:
        cells: one or more, with the same settings varied.
        metric: a key of their metrics.
        style: of the picture.
        about: which images were evaluated, for the title.
    """
    measure = METRICS[metric]
    outcomes = outcomes_of(cells, metric, measure.factor)
    keys = list(outcomes[0].varied)
    numbers = all(_is_number(value) for outcome in outcomes for value in outcome.varied.values())
    figure, means = dots, "mean and standard deviation"
    if numbers and len(keys) == 1:
        figure = line
    elif numbers and len(keys) == 2:
        x, y = (len({outcome.varied[key] for outcome in outcomes}) for key in keys)
        figure, means = heat_map if len(outcomes) >= FULL * x * y else plane, "mean"
    best, seeds = best_of(outcomes, measure), max(len(outcome.values) for outcome in outcomes)
    over = f"{means} of {seeds} seeds; " if seeds > 1 else ""
    heading = f"{about}: {measure.title}" if about else measure.title
    reached = f"best {measure.number(best.mean)} at {described(best.varied)}"
    title = f"{heading}{measure.unit}\n{over}{reached}"
    return figure(outcomes, measure, title, style.theme)


def heat_map(outcomes: Sequence[Outcome], measure: Metric, title: str, theme: Theme) -> Figure:
    """Draw the means over two numbers, each in a cell of its own, the best one framed.

    The cells are alike in size, in the order of the numbers, however far apart these are. Each has
    its value written in it where that can be read. A few bad values do not take the colours from
    the others: what is farther below the middle than three times the best is above it has the
    faintest.
    """
    keys = list(outcomes[0].varied)
    xs, ys = (sorted({outcome.varied[key] for outcome in outcomes}) for key in keys)
    means = np.full((len(ys), len(xs)), np.nan)
    for outcome in outcomes:
        means[_cell(outcome, xs, ys)] = outcome.mean
    height = min(ROW * len(ys), HEIGHT)
    norm, colors = _scale(means[np.isfinite(means)], measure), _colors(measure, theme)
    with new_figure(title, theme, 8, max(height + 1.8, 3.5)) as figure:
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
        letters = len(measure.number(np.nanmax(means)))
        size = min(72 * 0.85 * WIDTH / len(xs) / (0.62 * letters), 72 * 0.6 * height / len(ys))
        if size >= SMALLEST:
            _write(axes, means, colors(norm(means)), measure, min(size, LARGEST))
        row, column = _cell(best_of(outcomes, measure), xs, ys)
        frame: dict[str, Any] = {"edgecolor": theme.ink, "linewidth": 2.0, "clip_on": False}
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, **frame))
        _draw_color_bar(figure, axes, image, measure, means)
    return figure


def plane(outcomes: Sequence[Outcome], measure: Metric, title: str, theme: Theme) -> Figure:
    """Draw each mean as a dot where its two numbers are, the best one ringed."""
    keys = list(outcomes[0].varied)
    x, y = (np.array([outcome.varied[key] for outcome in outcomes], float) for key in keys)
    means = np.array([outcome.mean for outcome in outcomes])
    norm, best = _scale(means, measure), best_of(outcomes, measure)
    with new_figure(title, theme, 8, 7) as figure:
        axes = figure.add_subplot()
        colors = _colors(measure, theme)
        points = axes.scatter(x, y, c=means, cmap=colors, norm=norm, s=90, edgecolors=theme.ink)
        ring: dict[str, Any] = {"marker": "o", "markersize": 18, "fillstyle": "none"}
        axes.plot(*([best.varied[key]] for key in keys), color=theme.ink, **ring)
        axes.set(xlabel=keys[0], ylabel=keys[1])
        for axis, values in ((axes.xaxis, x), (axes.yaxis, y)):
            if _is_geometric(values):
                _make_logarithmic(axis)
        _draw_color_bar(figure, axes, points, measure, means)
    return figure


def line(outcomes: Sequence[Outcome], measure: Metric, title: str, theme: Theme) -> Figure:
    """Draw the means over a number as a line, with their standard deviations and each seed."""
    (key,) = outcomes[0].varied
    ordered = sorted(outcomes, key=lambda outcome: outcome.varied[key])
    x = np.array([outcome.varied[key] for outcome in ordered], float)
    means, deviations, places, seeds = _statistics(ordered, x)
    with new_figure(title, theme, 8, 5.5) as figure:
        axes = figure.add_subplot()
        if len(seeds) > len(x):
            low, high = means - deviations, means + deviations
            axes.fill_between(x, low, high, color=theme.same, alpha=0.2, lw=0)
            axes.scatter(places, seeds, s=22, color=theme.same, linewidths=0, zorder=3)
        # through the many values of a search a line would jump up and down
        style = "-" if len(x) <= TICKS else ""
        axes.plot(x, means, color=theme.ink, lw=1.8, linestyle=style, marker="o", markersize=6)
        logarithmic = _is_geometric(x)
        if logarithmic:
            _make_logarithmic(axes.xaxis)
        scaled = np.log(x) if logarithmic else x
        if len(x) == 1 or np.diff(scaled).min() >= 0.06 * np.ptp(scaled):
            axes.set_xticks(x, [written(value) for value in x.tolist()])
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set(xlabel=key, ylabel=measure.title + measure.unit)
        axes.ticklabel_format(axis="y", useOffset=False)
        draw_grid(axes)
    return figure


def dots(outcomes: Sequence[Outcome], measure: Metric, title: str, theme: Theme) -> Figure:
    """Draw a row for each combination, the best on top: its seeds, mean and standard deviation."""
    keys = list(outcomes[0].varied)
    ordered = sorted(outcomes, key=lambda outcome: outcome.mean, reverse=not measure.low)
    shown = ordered[:DOT_ROWS]
    left_out = f", the best {DOT_ROWS} of {len(ordered):,}" if len(ordered) > DOT_ROWS else ""
    rows = np.arange(len(shown))
    means, deviations, places, seeds = _statistics(shown, rows)
    only = len(keys) == 1
    names = [
        written(outcome.varied[keys[0]]) if only else fill(described(outcome.varied), NAME_WIDTH)
        for outcome in shown
    ]
    lines = max(name.count("\n") for name in names) + 1
    height = 2 + max(0.34, 0.22 * lines) * max(len(shown), 4)
    with new_figure(title, theme, 8, height) as figure:
        axes = figure.add_subplot()
        bars: dict[str, Any] = {"color": theme.ink, "elinewidth": 1.5, "capsize": 3, "zorder": 2}
        axes.errorbar(means, rows, xerr=deviations, fmt="D", markersize=7, **bars)
        rim: dict[str, Any] = {"edgecolors": theme.paper, "lw": 0.6, "zorder": 3}
        axes.scatter(seeds, places, s=22, color=theme.same, **rim)
        axes.set_yticks(rows, names)
        axes.set(ylim=(len(shown) - 0.4, -0.6), xlabel=f"{measure.title}{measure.unit}{left_out}")
        axes.ticklabel_format(axis="x", useOffset=False)
        if only:
            axes.set_ylabel(keys[0])
        draw_grid(axes, "both")
    return figure


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _statistics(outcomes: Sequence[Outcome], places: Array) -> tuple[Array, Array, Array, Array]:
    """Means and deviations of N outcomes, and of all their seeds the places and the values."""
    means = np.array([outcome.mean for outcome in outcomes])
    deviations = np.array([outcome.deviation for outcome in outcomes])
    seeds = np.concatenate([outcome.values for outcome in outcomes])
    return means, deviations, np.repeat(places, [len(o.values) for o in outcomes]), seeds


def _cell(outcome: Outcome, xs: list[Value], ys: list[Value]) -> tuple[int, int]:
    """The row and the column of a combination of two numbers."""
    x, y = outcome.varied.values()
    return ys.index(y), xs.index(x)


def _scale(means: Array, measure: Metric) -> Normalize:
    """From the best value to the worst, or to where the middle is thrice as far from the best."""
    sign = -1 if measure.low else 1
    values = sign * means
    best, middle, worst = float(values.max()), float(np.median(values)), float(values.min())
    if best > middle:
        worst = max(worst, middle - 3 * (best - middle))
    low, high = sorted((sign * worst, sign * best))
    return Normalize(low, high if high > low else low + 1e-9)


def _colors(measure: Metric, theme: Theme) -> Colormap:
    """The better, the deeper; faint grey where nothing was evaluated."""
    ends = (theme.same, theme.paper) if measure.low else (theme.paper, theme.same)
    return shades(*ends).with_extremes(bad=theme.faint)


def _draw_color_bar(figure: Figure, axes: Axes, image: Any, measure: Metric, means: Array) -> None:
    """Draw the scale, pointed at the end beyond which values lie."""
    below, above = np.nanmin(means) < image.norm.vmin, np.nanmax(means) > image.norm.vmax
    extend = "min" if below else "max" if above else "neither"
    bar = figure.colorbar(image, ax=axes, extend=extend, pad=0.02)
    bar.set_label(measure.title + measure.unit)


def _write(axes: Axes, means: Array, colors: Array, measure: Metric, size: float) -> None:
    for (row, column), mean in np.ndenumerate(means):
        if np.isfinite(mean):
            text = axes.text(column, row, measure.number(mean), ha="center", va="center")
            text.set(fontsize=size, color=legible(colors[row, column]))
            text.set_in_layout(False)  # it lies within its cell


def _is_geometric(values: Array) -> bool:
    """Tell whether numbers are spaced by factors rather than by differences."""
    ordered = np.unique(values)
    if len(ordered) < 3 or ordered[0] <= 0:
        return False
    steps, factors = np.diff(ordered), np.diff(np.log(ordered))
    return bool(factors.std() / factors.mean() < steps.std() / steps.mean())


def _make_logarithmic(axis: Axis) -> None:
    """Make an axis logarithmic, its numbers written out at 1, 2 and 5 of each decade."""
    (axis.axes.set_xscale if isinstance(axis, XAxis) else axis.axes.set_yscale)("log")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
