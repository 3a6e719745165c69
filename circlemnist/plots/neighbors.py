"""Query digits with their nearest gallery images, right and wrong framed differently."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from circlemnist.data.classes import CLASS_NAMES
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.plots.captions import heading
from circlemnist.plots.style import Array, Blank, Style, Theme, shades

QUERIES, NEIGHBORS = 8, 7


@dataclass(frozen=True)
class Queries:
    """Images and the nearest ones of a gallery.

    Attributes:
        images: (Q, 28, 28) uint8.
        labels: (Q,) int, index into `names`.
        neighbor_images: (Q, K, 28, 28) uint8, nearest first.
        neighbor_labels: (Q, K) int.
        measures: (Q, K) float, cosines to the query, or distances.
        names: of the classes.
    """

    images: Array
    labels: Array
    neighbor_images: Array
    neighbor_labels: Array
    measures: Array
    names: Sequence[str]


def draw(trained: EvaluatedRun, style: Style) -> Figure:
    """Draw the hardest test images with their nearest training images."""
    arrays, dataset = trained.report.arrays, trained.dataset
    like = arrays.neighbor_labels == arrays.labels[:, None]
    # of an unseen class nothing in the gallery is alike
    unseen = ~trained.report.seen
    order = np.lexsort((like.mean(1), like[:, :NEIGHBORS].sum(1), like[:, 0], unseen))
    hardest = order[: min(QUERIES, len(order) - int(unseen.sum()))]
    queries = Queries(
        images=dataset.test.images.numpy()[hardest],
        labels=arrays.labels[hardest],
        neighbor_images=dataset.train.images.numpy()[arrays.neighbors[hardest, :NEIGHBORS]],
        neighbor_labels=arrays.neighbor_labels[hardest, :NEIGHBORS],
        measures=trained.similarity.sign * arrays.neighbor_similarities[hardest, :NEIGHBORS],
        names=CLASS_NAMES[trained.report.dataset],
    )
    shown = f"the {len(hardest)} hardest {trained.report.measured} images"
    title = heading(trained, f"{shown}, and the nearest by {trained.similarity.name}")
    return neighbors_figure(queries, Blank(title, style.theme))


def neighbors_figure(queries: Queries, blank: Blank) -> Figure:
    """Draw a row for each query: its image, then its nearest; those of another class in dashes."""
    theme, names = blank.theme, queries.names
    right = queries.neighbor_labels == queries.labels[:, None]
    rows, columns = right.shape
    # a long name leaves no room for the measure beside it
    long = max(len(names[label]) for label in queries.neighbor_labels.flat) > 3
    with blank.figure(8, (1.2 if long else 1.05) * rows + 1) as figure:
        panels = figure.subplots(rows, columns + 1, squeeze=False)
        for row in range(rows):
            first = panels[row, 0]
            _show(first, queries.images[row], names[queries.labels[row]], theme)
            _frame(first, theme.ink, "-", 0.8)
            for column in range(columns):
                axes = panels[row, column + 1]
                between = "\n" if long else "  "
                name = names[queries.neighbor_labels[row, column]]
                caption = f"{name}{between}{queries.measures[row, column]:.2f}"
                _show(axes, queries.neighbor_images[row, column], caption, theme)
                if right[row, column]:
                    _frame(axes, theme.like, "-", 1.8)
                else:
                    _frame(axes, theme.unlike, (0, (2, 1.2)), 2.6)
        panels[0, 0].set_title("query", fontsize=11)
        panels[0, 1].set_title("nearest", fontsize=11)
    return figure


def _show(axes: Axes, image: Array, caption: str, theme: Theme) -> None:
    axes.imshow(image, cmap=shades(theme.paper, theme.ink), vmin=0, vmax=255)
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(caption, fontsize=10, labelpad=3)


def _frame(axes: Axes, color: str, line: Any, width: float) -> None:
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor=color, linestyle=line, linewidth=width)
