"""How each group was trained: its cosines on common axes, its loss on a scale of its own."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from circlemnist.data.classes import DISPLAY_NAMES
from circlemnist.evaluation.group import Group
from circlemnist.plots.history import curve, scale_loss
from circlemnist.plots.side_by_side.panels import Grid, caption, drawn, number_lowest
from circlemnist.plots.style import Array, Blank, Style, Theme


def draw(groups: Sequence[Group], style: Style) -> Figure:
    """Draw the mean cosines and the loss of every run, those of a group in one panel."""
    groups, which = drawn(groups)
    grid, theme = Grid.of(len(groups)), style.theme
    datasets = dict.fromkeys(DISPLAY_NAMES[group.runs[0].images[0]] for group in groups)
    blank = Blank(f"{', '.join(datasets)}, training{which}", theme)
    with blank.figure(grid.width, 1.3 + grid.rows * (0.85 * grid.side + 0.4)) as figure:
        panels = figure.subplots(
            2 * grid.rows,
            grid.columns,
            sharex=True,
            squeeze=False,
            height_ratios=[2, 1] * grid.rows,
        )
        upper, lower = panels[::2].flat, panels[1::2].flat
        for place, group in enumerate(groups):
            _draw_cosines(upper[place], group, theme, named=grid.place(place)[1] == 0)
            _draw_loss(lower[place], group, theme, named=grid.place(place)[1] == 0)
            upper[place].set_title(caption(group, grid), fontsize=11)
        for axes in (*upper[len(groups) :], *lower[len(groups) :]):
            axes.set_axis_off()
        number_lowest(lower[: len(groups)], grid)
        for place in range(len(groups)):
            if grid.is_lowest(place):
                lower[place].set_xlabel("epoch")
        names = (("mean $s_p$", theme.like), ("mean $s_n$", theme.unlike), ("loss", theme.ink))
        lines = [Line2D([], [], color=color, linewidth=1.8, label=name) for name, color in names]
        figure.legend(handles=lines, loc="outside lower center", ncols=3)
    return figure


def _draw_cosines(axes: Axes, group: Group, theme: Theme, named: bool) -> None:
    for columns in _histories(group):
        curve(axes, columns["epoch"], columns["mean_sp"], theme.like)
        curve(axes, columns["epoch"], columns["mean_sn"], theme.unlike)
    axes.set(ylim=(-1.05, 1.05), yticks=(-1, 0, 1))
    axes.tick_params(labelleft=named)
    if named:
        axes.set_ylabel("cosine")
    axes.grid(axis="y", linewidth=0.6)
    axes.set_axisbelow(True)


def _draw_loss(axes: Axes, group: Group, theme: Theme, named: bool) -> None:
    histories = _histories(group)
    for columns in histories:
        curve(axes, columns["epoch"], columns["loss"], theme.ink)
    if histories:
        scale_loss(axes, np.concatenate([columns["loss"] for columns in histories]))
    if named:
        axes.set_ylabel("loss")
    axes.tick_params(axis="y", labelsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    axes.grid(axis="y", linewidth=0.6)
    axes.set_axisbelow(True)


def _histories(group: Group) -> list[dict[str, Array]]:
    """The columns of the history of each run that has one."""
    histories = [measured.run.history() for measured in group.runs]
    names = ("epoch", "loss", "mean_sp", "mean_sn")
    return [
        {name: np.array([getattr(row, name) for row in rows]) for name in names}
        for rows in histories
        if rows
    ]
