"""The result of a sweep: a heat map of two numbers, a line over one number, or sorted dots."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from circlemnist.evaluation.group import Group, differing_settings, in_words, value_in_words
from circlemnist.evaluation.metric_names import METRICS, Metric
from circlemnist.plots.layout import without_formulas
from circlemnist.plots.style import Array, Style, Theme, draw_grid, legible, new_figure, shades

DOT_ROWS = 40  # groups that have a row each
NAME_WIDTH = 44  # characters of a line of the name of a row
FULL = 0.5  # of a grid: where less of it was tried, as in a search, values are drawn to scale
SMALLEST, LARGEST = 6.0, 13.0  # points, of a number that can be read in its cell
WIDTH, ROW, HEIGHT = 6.2, 0.6, 6.4  # inches: of a heat map, of its rows, the most of all of them
TICKS = 20  # names along an axis


@dataclass(frozen=True)
class Values:
    """A metric of N groups as it is drawn, shares in per cent."""

    metric: Metric
    settings: dict[str, list[Any]]  # N values of each setting that differs
    seeds: list[Array]  # N times (S,)
    means: Array  # (N,)
    deviations: Array  # (N,), 0 where there is one seed

    @property
    def best(self) -> int:
        return int(self.means.argmin() if self.metric.low else self.means.argmax())

    @property
    def label(self) -> str:
        return self.metric.title + self.metric.unit

    def name(self, number: int) -> str:
        """Return the settings of a group in words."""
        return in_words({name: values[number] for name, values in self.settings.items()})


def draw_sweep(groups: Sequence[Group], key: str, style: Style, about: str = "") -> Figure:
    """Draw a metric of the groups of a sweep, by the settings that vary.

    Two numbers make a heat map of means over the seeds, or dots to scale where less than half of
    their combinations was tried; one number a line; words and all else dots, sorted, each seed's
    shown.

    Args:
        groups: one or more, with the same settings.
        key: of the metric, which all of them have.
        about: which images were evaluated, for the title.
    """
    metric = METRICS[key]
    values = Values(
        metric,
        {name: [g.settings[name] for g in groups] for name in differing_settings(groups)},
        [metric.factor * group.values(key) for group in groups],
        np.array([metric.factor * group.mean(key) for group in groups]),
        np.array([metric.factor * (group.deviation(key) or 0.0) for group in groups]),
    )
    columns = list(values.settings.values())
    words = any(isinstance(value, bool | str | None) for column in columns for value in column)
    draw, means = dots, "mean and standard deviation"
    if not words and len(columns) == 1:
        draw = line
    elif not words and len(columns) == 2:
        combinations = len(set(columns[0])) * len(set(columns[1]))
        draw, means = heat_map if len(groups) >= FULL * combinations else plane, "mean"
    best, seeds = values.best, max(len(group.seeds) for group in groups)
    heading = f"{without_formulas(about)}: {values.label}" if about else values.label
    over = f"{means} of {seeds} seeds; " if seeds > 1 else ""
    result = f"best {metric.number(values.means[best])} at {values.name(best)}"
    return draw(values, f"{heading}\n{over}{result}", style.theme)


def heat_map(values: Values, title: str, theme: Theme) -> Figure:
    """Draw the means over two numbers, each in a cell of its own, the best one framed.

    The cells have one size, in the order of the numbers, however far apart these are. Each has its
    value written in it where that can be read.
    """
    ticks = [sorted(set(column)) for column in values.settings.values()]
    columns, rows = (
        [places.index(value) for value in column]
        for places, column in zip(ticks, values.settings.values(), strict=True)
    )
    means = np.full([len(places) for places in reversed(ticks)], np.nan)
    means[rows, columns] = values.means
    height = min(ROW * len(means), HEIGHT)
    place: dict[str, Any] = {"aspect": "auto", "origin": "lower", "interpolation": "nearest"}
    with new_figure(title, theme, 8, max(height + 1.8, 3.5)) as figure:
        axes = figure.add_subplot()
        image = axes.imshow(np.ma.masked_invalid(means), **_colors(values, theme), **place)
        axes.set(**dict(zip(("xlabel", "ylabel"), values.settings, strict=True)))
        for axis, places in zip((axes.xaxis, axes.yaxis), ticks, strict=True):
            step = -(-len(places) // TICKS)
            axis.set_ticks(range(0, len(places), step), map(value_in_words, places[::step]))
        axes.tick_params(length=0)
        widest = 0.62 * len(values.metric.number(values.means.max()))
        size = min(72 * 0.85 * WIDTH / means.shape[1] / widest, 72 * 0.6 * height / len(means))
        for column, row, mean in zip(columns, rows, values.means, strict=True):
            if size >= SMALLEST:
                text = axes.text(column, row, values.metric.number(mean), ha="center", va="center")
                text.set(fontsize=min(size, LARGEST), color=legible(image.to_rgba(mean)))
                text.set_in_layout(False)  # it lies within its cell
        corner = (columns[values.best] - 0.5, rows[values.best] - 0.5)
        frame: dict[str, Any] = {"edgecolor": theme.ink, "linewidth": 2.0, "clip_on": False}
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, **frame))
        _draw_color_bar(figure, axes, image, values)
    return figure


def plane(values: Values, title: str, theme: Theme) -> Figure:
    """Draw each mean as a dot where its two numbers are, the best one ringed."""
    x, y = (np.array(column, float) for column in values.settings.values())
    with new_figure(title, theme, 8, 7) as figure:
        axes = figure.add_subplot()
        colors = _colors(values, theme)
        colors |= {"edgecolors": theme.ink, "label": "_means"}
        points = axes.scatter(x, y, c=values.means, s=90, **colors)
        ring: dict[str, Any] = {"marker": "o", "markersize": 18, "fillstyle": "none"}
        axes.plot(x[values.best], y[values.best], color=theme.ink, **ring)
        axes.set(**dict(zip(("xlabel", "ylabel"), values.settings, strict=True)))
        for axis, numbers in ((axes.xaxis, x), (axes.yaxis, y)):
            if _is_geometric(numbers):
                _make_logarithmic(axis)
        _draw_color_bar(figure, axes, points, values)
    return figure


def line(values: Values, title: str, theme: Theme) -> Figure:
    """Draw the means over a number as a line, with their standard deviations and each seed."""
    ((name, column),) = values.settings.items()
    order = np.argsort(column)
    x = np.array(column, float)[order]
    means, deviations = values.means[order], values.deviations[order]
    with new_figure(title, theme, 8, 5.5) as figure:
        axes = figure.add_subplot()
        if sum(map(len, values.seeds)) > len(x):
            low, high = means - deviations, means + deviations
            axes.fill_between(x, low, high, color=theme.same, alpha=0.2, lw=0, label="_deviations")
            places = np.repeat(column, [len(seeds) for seeds in values.seeds])
            seeds = np.concatenate(values.seeds)
            more: dict[str, Any] = {"linewidths": 0, "zorder": 3, "label": "_seeds"}
            axes.scatter(places, seeds, s=22, color=theme.same, **more)
        # through the many values of a search a line would jump up and down
        style = "-" if len(x) <= TICKS else ""
        axes.plot(x, means, color=theme.ink, lw=1.8, linestyle=style, marker="o", markersize=6)
        logarithmic = _is_geometric(x)
        if logarithmic:
            _make_logarithmic(axes.xaxis)
        scaled = np.log(x) if logarithmic else x
        if len(x) == 1 or np.diff(scaled).min() >= 0.06 * np.ptp(scaled):
            axes.set_xticks(x, [value_in_words(value) for value in x.tolist()])
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set(xlabel=name, ylabel=values.label)
        axes.ticklabel_format(axis="y", useOffset=False)
        draw_grid(axes)
    return figure


def dots(values: Values, title: str, theme: Theme) -> Figure:
    """Draw a row for each group, the best on top: its seeds, mean and standard deviation."""
    count = len(values.means)
    order = np.argsort(values.means if values.metric.low else -values.means, kind="stable")
    shown, rows = order[:DOT_ROWS], np.arange(min(count, DOT_ROWS))
    left_out = f", the best {DOT_ROWS} of {count:,}" if count > DOT_ROWS else ""
    if len(values.settings) == 1:
        ((label, column),) = values.settings.items()
        names = [value_in_words(column[number]) for number in shown]
    else:
        label, names = "", [fill(values.name(number), NAME_WIDTH) for number in shown]
    lines = max(name.count("\n") for name in names) + 1
    height = 2 + max(0.34, 0.22 * lines) * max(len(shown), 4)
    with new_figure(title, theme, 8, height) as figure:
        axes = figure.add_subplot()
        bars: dict[str, Any] = {"color": theme.ink, "elinewidth": 1.5, "capsize": 3, "zorder": 2}
        means, deviations = values.means[shown], values.deviations[shown]
        axes.errorbar(means, rows, xerr=deviations, fmt="D", markersize=7, **bars)
        rim: dict[str, Any] = {"edgecolors": theme.paper, "lw": 0.6, "zorder": 3, "label": "_seeds"}
        seeds = [values.seeds[number] for number in shown]
        places = np.repeat(rows, [len(of_row) for of_row in seeds])
        axes.scatter(np.concatenate(seeds), places, s=22, color=theme.same, **rim)
        axes.set_yticks(rows, names)
        axes.set(ylim=(len(shown) - 0.4, -0.6), xlabel=values.label + left_out, ylabel=label)
        axes.ticklabel_format(axis="x", useOffset=False)
        draw_grid(axes, "both")
    return figure


def _colors(values: Values, theme: Theme) -> dict[str, Any]:
    """The better, the deeper; faint grey where nothing was evaluated.

    They reach from the best mean to the worst. But a few bad ones do not take the colours from the
    others: what is farther below the median than three times the best is above it, is the palest.
    """
    sign = -1 if values.metric.low else 1
    means = sign * values.means
    best, median, worst = float(means.max()), float(np.median(means)), float(means.min())
    if best > median:
        worst = max(worst, median - 3 * (best - median))
    low, high = sorted((sign * worst, sign * best))
    colors = shades(*(theme.paper, theme.same)[::sign]).with_extremes(bad=theme.faint)
    return {"cmap": colors, "norm": Normalize(low, high if high > low else low + 1e-9)}


def _draw_color_bar(figure: Figure, axes: Axes, image: Any, values: Values) -> None:
    """Draw the scale, pointed at the end beyond which values lie."""
    means, norm = values.means, image.norm
    extend = "min" if means.min() < norm.vmin else "max" if means.max() > norm.vmax else "neither"
    figure.colorbar(image, ax=axes, extend=extend, pad=0.02, label=values.label)


def _is_geometric(values: Array) -> bool:  # spaced by factors rather than by differences
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
