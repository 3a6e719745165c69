"""What a sweep found: a heat map of two numbers, a line over one, or sorted dots."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from circlemnist.evaluation.group import Cell, Outcome, best_of, described, outcomes_of, written
from circlemnist.evaluation.metric_names import METRICS, Metric
from circlemnist.limits import Value
from circlemnist.plots.heat_map import TICKS, heat_map, plane
from circlemnist.plots.scales import geometric, make_log
from circlemnist.plots.style import Blank, Style

DOT_ROWS = 40  # combinations that have a row each
NAME_WIDTH = 44  # characters of a line of the name of a row
FULL = 0.5  # of a grid: where less of it was tried, as in a search, values are drawn to scale


def draw_cells(cells: Sequence[Cell], metric: str, style: Style, about: str = "") -> Figure:
    """Draw what a sweep reached, by what was varied.

    Two numbers make a heat map whose cells are the means over the seeds, or dots to scale where
    less than half of their combinations was tried; one number a line; names and all else dots,
    sorted, each seed's shown.

    Args:
        cells: one or more, with the same settings varied.
        metric: a key of their metrics.
        style: of the picture.
        about: what was measured, for the title.
    """
    measure = METRICS[metric]
    outcomes = outcomes_of(cells, metric, measure.factor)
    keys = list(outcomes[0].varied)
    numbers = all(_is_number(value) for each in outcomes for value in each.varied.values())
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
    blank = Blank(f"{heading}{measure.unit}\n{over}{reached}", style.theme)
    return figure(outcomes, measure, blank)


def line(outcomes: Sequence[Outcome], measure: Metric, blank: Blank) -> Figure:
    """Draw the means over a number as a line, with their standard deviations and each seed."""
    theme, (key,) = blank.theme, outcomes[0].varied
    ordered = sorted(outcomes, key=lambda outcome: outcome.varied[key])
    x = np.array([outcome.varied[key] for outcome in ordered], float)
    means, spread = (np.array(of) for of in zip(*map(_spread, ordered), strict=True))
    with blank.figure(8, 5.5) as figure:
        axes = figure.add_subplot()
        if any(len(outcome.values) > 1 for outcome in ordered):
            axes.fill_between(x, means - spread, means + spread, color=theme.like, alpha=0.2, lw=0)
            seeds = np.concatenate([outcome.values for outcome in ordered])
            of = np.repeat(x, [len(outcome.values) for outcome in ordered])
            axes.scatter(of, seeds, s=22, color=theme.like, linewidths=0, zorder=3)
        # through the many values of a search a line would jump up and down
        style = "-" if len(x) <= TICKS else ""
        axes.plot(x, means, color=theme.ink, lw=1.8, linestyle=style, marker="o", markersize=6)
        log = geometric(x)
        if log:
            make_log(axes.xaxis)
        places = np.log(x) if log else x
        if len(x) == 1 or np.diff(places).min() >= 0.06 * np.ptp(places):
            axes.set_xticks(x, [written(value) for value in x.tolist()])
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set(xlabel=key, ylabel=measure.title + measure.unit)
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.grid(axis="y", linewidth=0.6)
        axes.set_axisbelow(True)
    return figure


def dots(outcomes: Sequence[Outcome], measure: Metric, blank: Blank) -> Figure:
    """Draw a row for each combination, the best on top: its seeds, mean and standard deviation."""
    theme, keys = blank.theme, list(outcomes[0].varied)
    ordered = sorted(outcomes, key=lambda outcome: outcome.mean, reverse=not measure.low)
    shown = ordered[:DOT_ROWS]
    left_out = f", the best {DOT_ROWS} of {len(ordered):,}" if len(ordered) > DOT_ROWS else ""
    rows = np.arange(len(shown))
    means, spread = (np.array(of) for of in zip(*map(_spread, shown), strict=True))
    only = len(keys) == 1
    names = [
        written(outcome.varied[keys[0]]) if only else fill(described(outcome.varied), NAME_WIDTH)
        for outcome in shown
    ]
    lines = max(name.count("\n") for name in names) + 1
    with blank.figure(8, 2 + max(0.34, 0.22 * lines) * max(len(shown), 4)) as figure:
        axes = figure.add_subplot()
        seeds = np.concatenate([outcome.values for outcome in shown])
        of = np.repeat(rows, [len(outcome.values) for outcome in shown])
        bars: dict[str, Any] = {"color": theme.ink, "elinewidth": 1.5, "capsize": 3, "zorder": 2}
        axes.errorbar(means, rows, xerr=spread, fmt="D", markersize=7, **bars)
        axes.scatter(seeds, of, s=22, color=theme.like, edgecolors=theme.paper, lw=0.6, zorder=3)
        axes.set_yticks(rows, names)
        axes.set(ylim=(len(shown) - 0.4, -0.6), xlabel=f"{measure.title}{measure.unit}{left_out}")
        axes.ticklabel_format(axis="x", useOffset=False)
        if only:
            axes.set_ylabel(keys[0])
        axes.grid(linewidth=0.6)
        axes.set_axisbelow(True)
    return figure


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _spread(outcome: Outcome) -> tuple[float, float]:
    return outcome.mean, outcome.deviation
