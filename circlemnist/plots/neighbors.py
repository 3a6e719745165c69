"""Query digits with their nearest gallery images, right and wrong framed differently."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from circlemnist.data.datasets import CLASS_NAMES
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.plots.panels import heading
from circlemnist.plots.style import (
    Array,
    Style,
    Theme,
    draw_image,
    frame_image,
    new_figure,
    shades,
)

QUERIES, NEIGHBORS = 8, 7


@dataclass(frozen=True)
class Queries:
    """Images and the nearest ones of a gallery.

    Attributes:
        images: (Q, 28, 28) uint8.
        labels: (Q,) int, index into `names`.
        neighbor_images: (Q, K, 28, 28) uint8, nearest first.
        neighbor_labels: (Q, K) int.
        similarities: (Q, K) float, cosines to the query, or distances.
        names: of the classes.
    """

    images: Array
    labels: Array
    neighbor_images: Array
    neighbor_labels: Array
    similarities: Array
    names: Sequence[str]


def draw(trained: EvaluatedRun, style: Style) -> Figure:
    """Draw the hardest test images with their nearest training images."""
    arrays, dataset = trained.report.arrays, trained.dataset
    same = arrays.neighbor_labels == arrays.labels[:, None]
    unseen = ~trained.report.seen  # no image of the gallery is of their classes
    order = np.lexsort((same.mean(1), same[:, :NEIGHBORS].sum(1), same[:, 0], unseen))
    hardest = order[: min(QUERIES, len(order) - int(unseen.sum()))]
    queries = Queries(
        images=dataset.test.images.numpy()[hardest],
        labels=arrays.labels[hardest],
        neighbor_images=dataset.train.images.numpy()[arrays.neighbors[hardest, :NEIGHBORS]],
        neighbor_labels=arrays.neighbor_labels[hardest, :NEIGHBORS],
        similarities=trained.similarity.sign * arrays.neighbor_similarities[hardest, :NEIGHBORS],
        names=CLASS_NAMES[trained.report.dataset],
    )
    shown = f"the {len(hardest)} hardest {trained.report.split_name} images"
    title = heading(trained, f"{shown}, and the nearest by {trained.similarity.name}")
    return neighbors_figure(queries, title, style.theme)


def neighbors_figure(queries: Queries, title: str, theme: Theme) -> Figure:
    """Draw a row for each query: its image, then its nearest; those of another class in dashes."""
    names, ink = queries.names, shades(theme.paper, theme.ink)
    right = queries.neighbor_labels == queries.labels[:, None]
    rows, columns = right.shape
    # a long name leaves no room for the similarity beside it
    long = max(len(names[label]) for label in queries.neighbor_labels.flat) > 3
    between = "\n" if long else "  "
    with new_figure(title, theme, 8, (1.2 if long else 1.05) * rows + 1) as figure:
        panels = figure.subplots(rows, columns + 1, squeeze=False)
        for row in range(rows):
            query = panels[row, 0]
            draw_image(query, queries.images[row], ink, names[queries.labels[row]], 10)
            for spine in query.spines.values():
                spine.set(visible=True, edgecolor=theme.ink, linestyle="-", linewidth=0.8)
            for column in range(columns):
                axes = panels[row, column + 1]
                name = names[queries.neighbor_labels[row, column]]
                caption = f"{name}{between}{queries.similarities[row, column]:.2f}"
                draw_image(axes, queries.neighbor_images[row, column], ink, caption, 10)
                frame_image(axes, right[row, column], theme)
        panels[0, 0].set_title("query", fontsize=11)
        panels[0, 1].set_title("nearest", fontsize=11)
    return figure
