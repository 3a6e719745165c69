"""The confusion matrix: counts, and the share of each class that is right."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from circlemnist.data.classes import CLASS_NAMES
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.plots.captions import heading
from circlemnist.plots.style import Array, Blank, Style, shades

# of the deepest shade: where ink and paper contrast alike with it, in both themes
SWITCH = 0.67


def draw(trained: EvaluatedRun, style: Style) -> Figure:
    """Draw what the nearest training image takes each test image for."""
    arrays, names = trained.report.arrays, CLASS_NAMES[trained.report.dataset]
    counts = np.zeros((len(names), len(names)), int)
    seen = trained.report.seen
    np.add.at(counts, (arrays.labels[seen], arrays.neighbor_labels[seen, 0]), 1)
    title = heading(trained, f"1-NN of {trained.report.counted}")
    return confusion_figure(counts, names, Blank(title, style.theme))


def confusion_figure(counts: Array, names: Sequence[str], blank: Blank) -> Figure:
    """Draw counts by true and by predicted class; colour is for the mistakes.

    Args:
        counts: (C, C) int: row i, column j the images of class i taken for class j.
        names: C names of classes.
    """
    theme = blank.theme
    mistakes = counts * (1 - np.eye(len(counts), dtype=int))
    most = max(int(mistakes.max()), 1)
    with blank.figure(8, 7.4) as figure:
        axes = figure.add_subplot()
        axes.imshow(mistakes, cmap=shades(theme.paper, theme.unlike), vmin=0, vmax=most)
        for row, of_class in enumerate(counts):
            for column, count in enumerate(of_class):
                if row == column and of_class.any():
                    share = 100 * count / of_class.sum()
                    axes.text(column, row, f"{count:,}\n{share:.1f} %", **_centred(10, theme.like))
                elif count:
                    color = theme.ink if count < SWITCH * most else theme.paper
                    axes.text(column, row, f"{count:,}", **_centred(12, color))
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


def _centred(size: int, color: str) -> dict[str, Any]:
    return {"ha": "center", "va": "center", "fontsize": size, "color": color}
