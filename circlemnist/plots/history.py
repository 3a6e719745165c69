"""How a training went, epoch by epoch; the similarities as in the paper's Fig. 4."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from circlemnist.data.datasets import DISPLAY_NAMES
from circlemnist.errors import UserError
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.group import Group
from circlemnist.evaluation.metrics import knn_accuracy, nearest_others
from circlemnist.plots.panels import Grid, best_groups, group_caption, heading, number_lowest
from circlemnist.plots.style import Array, Style, Theme, draw_grid, new_figure
from circlemnist.runs.history import Epoch

NEAR = 0.4  # cosines whose names would overlap


def draw(trained: EvaluatedRun, style: Style) -> Figure:
    """Draw the history of a run, and the 1-NN of its snapshots where it has any."""
    rows, one_nn = trained.history, None
    if not rows:
        raise UserError(
            f"{trained.run.name} has ended no epoch, which a history is of: go on with `resume` "
            f"{trained.run.folder}"
        )
    if trained.has_snapshots:
        snapshots = trained.snapshots
        seen = ~np.isin(snapshots.labels, trained.config.unseen_classes)
        labels = torch.from_numpy(snapshots.labels[seen])
        shares = [
            knn_accuracy(labels[nearest_others(embeddings, 1, trained.similarity)[1]], labels, 1)
            for embeddings in torch.from_numpy(snapshots.embeddings[:, seen]).float()
        ]
        one_nn = (snapshots.steps / trained.steps_an_epoch, np.array(shares))
    return history_figure(rows, one_nn, heading(trained, "training"), style.theme)


def draw_groups(groups: Sequence[Group], style: Style) -> Figure:
    """Draw the mean cosines and the loss of every run, those of a group in one panel."""
    groups, which = best_groups(groups)
    datasets = dict.fromkeys(DISPLAY_NAMES[group.runs[0].images[0]] for group in groups)
    histories = [[rows for run in group.runs if (rows := run.run.history())] for group in groups]
    grid = Grid(len(groups))
    captions = [group_caption(group, grid) for group in groups]
    title = f"{', '.join(datasets)}, training{which}"
    return histories_figure(histories, captions, grid, title, style.theme)


def history_figure(
    rows: Sequence[Epoch], one_nn: tuple[Array, Array] | None, title: str, theme: Theme
) -> Figure:
    """Draw loss, mean similarities and learning rate over the epochs, and 1-NN where it is known.

    Args:
        rows: of the history, an epoch each.
        one_nn: (T,) epochs, of any fraction, and (T,) shares 0-1 at them.
    """
    epochs, columns = _columns(rows)
    with new_figure(title, theme, 8, 7) as figure:
        panels = figure.subplots(4 if one_nn else 3, 1, sharex=True)
        for axes, key in ((panels[0], "loss"), (panels[2], "lr")):
            _curve(axes, epochs, columns[key], theme.ink)
            axes.set_ylabel(key)
        _scale_loss(panels[0], columns["loss"])
        gap = columns["mean_sp"][-1] - columns["mean_sn"][-1]
        # names of neighbouring lines stand apart
        sides = ("center", "center") if abs(gap) > NEAR else ("bottom", "top")
        for name, key, color, side in (
            ("mean $s_p$", "mean_sp", theme.same, sides[0 if gap >= 0 else 1]),
            ("mean $s_n$", "mean_sn", theme.different, sides[1 if gap >= 0 else 0]),
        ):
            _curve(panels[1], epochs, columns[key], color)
            panels[1].annotate(
                name,
                (epochs[-1], columns[key][-1]),
                xytext=(8, 0),
                textcoords="offset points",
                va=side,
                color=color,
                annotation_clip=False,
            )
        panels[1].set(ylabel="cosine", ylim=(-1.05, 1.05))
        if one_nn:
            _curve(panels[3], one_nn[0], 100 * one_nn[1], theme.ink)
            panels[3].set_ylabel("1-NN, %,\nof a sample")
        for axes in panels:
            draw_grid(axes)
        panels[-1].set_xlabel("epoch")
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.align_ylabels()
    return figure


def histories_figure(
    histories: Sequence[Sequence[Sequence[Epoch]]],
    captions: Sequence[str],
    grid: Grid,
    title: str,
    theme: Theme,
) -> Figure:
    """Draw the cosines of each group on common axes, and its loss on a scale of its own.

    Args:
        histories: the rows of each run of each group, of those runs that have ended an epoch.
        captions: of the groups.
    """
    with new_figure(title, theme, grid.width, 1.3 + grid.rows * (0.85 * grid.side + 0.4)) as figure:
        ratios = [2, 1] * grid.rows
        panels = figure.subplots(
            2 * grid.rows, grid.columns, sharex=True, squeeze=False, height_ratios=ratios
        )
        upper, lower = panels[::2].flat, panels[1::2].flat
        for place, (runs, caption) in enumerate(zip(histories, captions, strict=True)):
            leftmost = grid.place(place)[1] == 0
            _draw_group(upper[place], lower[place], runs, theme, leftmost)
            upper[place].set_title(caption, fontsize=11)
            if grid.is_lowest(place):
                lower[place].set_xlabel("epoch")
        for axes in (*upper[grid.count :], *lower[grid.count :]):
            axes.set_axis_off()
        number_lowest(lower[: grid.count], grid)
        names = (("mean $s_p$", theme.same), ("mean $s_n$", theme.different), ("loss", theme.ink))
        lines = [Line2D([], [], color=color, linewidth=1.8, label=name) for name, color in names]
        figure.legend(handles=lines, loc="outside lower center", ncols=3)
    return figure


def _draw_group(
    upper: Axes, lower: Axes, runs: Sequence[Sequence[Epoch]], theme: Theme, leftmost: bool
) -> None:
    losses = []
    for rows in runs:
        epochs, columns = _columns(rows)
        _curve(upper, epochs, columns["mean_sp"], theme.same)
        _curve(upper, epochs, columns["mean_sn"], theme.different)
        _curve(lower, epochs, columns["loss"], theme.ink)
        losses.append(columns["loss"])
    if losses:
        _scale_loss(lower, np.concatenate(losses))
    upper.set(ylim=(-1.05, 1.05), yticks=(-1, 0, 1))
    upper.tick_params(labelleft=leftmost)
    lower.tick_params(axis="y", labelsize=9)
    if leftmost:
        upper.set_ylabel("cosine")
        lower.set_ylabel("loss")
    lower.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    draw_grid(upper)
    draw_grid(lower)


def _columns(rows: Sequence[Epoch]) -> tuple[Array, dict[str, Array]]:
    """The epochs, (E,) int, and loss, similarities and learning rate by name, (E,) float each."""
    keys = ("loss", "mean_sp", "mean_sn", "lr")
    columns = {key: np.array([getattr(row, key) for row in rows]) for key in keys}
    return np.array([row.epoch for row in rows]), columns


def _scale_loss(axes: Axes, loss: Array) -> None:
    """Make the axis of a loss (E,) logarithmic where it is positive and falls far."""
    if loss.min() > 0 and loss.max() > 20 * loss.min():
        axes.set_yscale("log")


def _curve(axes: Axes, x: Array, y: Array, color: str) -> None:
    """Draw values over epochs, with a dot at each while they are few."""
    axes.plot(x, y, color=color, linewidth=1.8, marker="o", markersize=4 if len(x) < 40 else 0)
