"""How a training went, epoch by epoch; the similarities as in the paper's Fig. 4."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from circlemnist.errors import UserError
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.metrics import knn_accuracy, nearest_others
from circlemnist.plots.captions import heading
from circlemnist.plots.style import Array, Blank, Style
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
        seen = trained.snapshots
        of_seen = ~np.isin(seen.labels, trained.config.unseen_classes)
        labels = torch.from_numpy(seen.labels[of_seen])
        shares = [
            knn_accuracy(labels[nearest_others(embeddings, 1, trained.similarity)[1]], labels, 1)
            for embeddings in torch.from_numpy(seen.embeddings[:, of_seen]).float()
        ]
        one_nn = (seen.steps / trained.steps_an_epoch, np.array(shares))
    return history_figure(rows, one_nn, Blank(heading(trained, "training"), style.theme))


def history_figure(
    rows: Sequence[Epoch], one_nn: tuple[Array, Array] | None, blank: Blank
) -> Figure:
    """Draw loss, mean similarities and learning rate over the epochs, and 1-NN where it is known.

    Args:
        rows: of the history, an epoch each.
        one_nn: (T,) epochs, of any fraction, and (T,) shares 0-1 at them.
    """
    theme = blank.theme
    epochs = np.array([row.epoch for row in rows])
    columns = {
        key: np.array([getattr(row, key) for row in rows])
        for key in ("loss", "mean_sp", "mean_sn", "lr")
    }
    with blank.figure(8, 7) as figure:
        panels = figure.subplots(4 if one_nn else 3, 1, sharex=True)
        curve(panels[0], epochs, columns["loss"], theme.ink)
        panels[0].set_ylabel("loss")
        scale_loss(panels[0], columns["loss"])
        gap = columns["mean_sp"][-1] - columns["mean_sn"][-1]
        # names of neighbouring lines stand apart
        sides = ("center", "center") if abs(gap) > NEAR else ("bottom", "top")
        for name, key, color, side in (
            ("mean $s_p$", "mean_sp", theme.like, sides[0 if gap >= 0 else 1]),
            ("mean $s_n$", "mean_sn", theme.unlike, sides[1 if gap >= 0 else 0]),
        ):
            curve(panels[1], epochs, columns[key], color)
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
        curve(panels[2], epochs, columns["lr"], theme.ink)
        panels[2].set_ylabel("lr")
        if one_nn:
            curve(panels[3], one_nn[0], 100 * one_nn[1], theme.ink)
            panels[3].set_ylabel("1-NN, %,\nof a sample")
        for axes in panels:
            axes.grid(axis="y", linewidth=0.6)
            axes.set_axisbelow(True)
        panels[-1].set_xlabel("epoch")
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.align_ylabels()
    return figure


def scale_loss(axes: Axes, loss: Array) -> None:
    """Make the axis of a loss (E,) logarithmic where it is positive and falls far."""
    if loss.min() > 0 and loss.max() > 20 * loss.min():
        axes.set_yscale("log")


def curve(axes: Axes, x: Array, y: Array, color: str) -> None:
    """Draw values over epochs, with a dot at each while they are few."""
    axes.plot(x, y, color=color, linewidth=1.8, marker="o", markersize=4 if len(x) < 40 else 0)
