"""The confusion matrix: counts, and the accuracy of each class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from circlemnist.data.datasets import CLASS_NAMES
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.plots.panels import heading
from circlemnist.plots.style import Array, Style, Theme, new_figure, shades

# of the deepest shade: where ink and paper contrast alike with it, in both themes
SWITCH = 0.67


def draw(trained: EvaluatedRun, style: Style) -> Figure:
    """Draw what the nearest training image takes each test image for."""
    arrays, names = trained.report.arrays, CLASS_NAMES[trained.report.dataset]
    counts = np.zeros((len(names), len(names)), int)
    seen = trained.report.seen
    np.add.at(counts, (arrays.labels[seen], arrays.neighbor_labels[seen, 0]), 1)
    title = heading(trained, f"1-NN of {trained.report.counted}")
    return confusion_figure(counts, names, title, style.theme)


def confusion_figure(counts: Array, names: Sequence[str], title: str, theme: Theme) -> Figure:
    """Draw counts by true and by predicted class; colour is for the mistakes.

    Args:
        counts: (C, C) int: row i, column j the images of class i taken for class j.
        names: C names of classes.
    """
    mistakes = counts * (1 - np.eye(len(counts), dtype=int))
    most = max(int(mistakes.max()), 1)
    totals = counts.sum(1)
    centred: dict[str, Any] = {"ha": "center", "va": "center"}
    with new_figure(title, theme, 8, 7.4) as figure:
        axes = figure.add_subplot()
        axes.imshow(mistakes, cmap=shades(theme.paper, theme.different), vmin=0, vmax=most)
        for (row, column), count in np.ndenumerate(counts):
            if row == column and totals[row]:
                text = f"{count:,}\n{100 * count / totals[row]:.1f} %"
                axes.text(column, row, text, fontsize=10, color=theme.same, **centred)
            elif count:
                color = theme.ink if count < SWITCH * most else theme.paper
                axes.text(column, row, f"{count:,}", fontsize=12, color=color, **centred)
        slanted = max(map(len, names)) > 3
        axes.set_xticks(range(len(names)), names, rotation=40 if slanted else 0)
        if slanted:
            for label in axes.get_xticklabels():
                label.set(ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="class of the nearest training image", ylabel="class")
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set(visible=True, edgecolor=theme.faint)
    return figure
