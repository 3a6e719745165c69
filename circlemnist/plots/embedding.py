"""The embedding space as a scatter plot: a plane, the unit circle, or both sides of the sphere."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.linalg import orthogonal_procrustes

from circlemnist.data.classes import CLASS_NAMES
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.group import Group
from circlemnist.models.embedder import embed
from circlemnist.plots.points import DOT, Mistakes, Points, draw_plane, draw_sphere
from circlemnist.plots.projection import native_dimensions, project, project_run
from circlemnist.plots.style import Array, Grid, Style, Theme, heading, new_figure, sample

WORST = 6  # mistakes whose image is shown beside their point
TRAIN_POINTS = 10_000  # of the training split


def draw(trained: EvaluatedRun, style: Style) -> Figure:
    """Draw the splits that the style asks for, the training split beneath the test split."""
    report, parts = trained.report, []
    if style.split != "train":
        parts.append((report.arrays.embeddings, report.arrays.labels, report.counted_all))
    if style.split != "test":
        train = trained.dataset.train
        chosen = torch.linspace(0, len(train) - 1, min(TRAIN_POINTS, len(train))).long()
        images = train.images[chosen].to(trained.embedder.mean.device)
        embedded = embed(trained.embedder, images, trained.config.views).cpu().numpy()
        counted = f"{len(chosen):,} of {len(train):,} training images"
        parts.append((embedded, train.labels[chosen].numpy(), counted))
    embeddings, labels, counts = zip(*parts, strict=True)
    together = np.concatenate(embeddings)
    positions, how = project_run(trained, together, style.projection, style.split)
    points, *behind = [
        Points(part, part_labels, CLASS_NAMES[report.dataset], report.unseen)
        for part_labels, part in zip(labels, np.split(positions, [len(labels[0])]), strict=False)
    ]
    centers = trained.centers if together.shape[1] == 2 else None
    return embedding_figure(
        points,
        heading(trained, " on ".join(counts), f"{how}, "),
        style.theme,
        None if style.split == "train" else find_mistakes(trained),
        behind[0] if behind else None,
        None if centers is None else centers.numpy(),
    )


def find_mistakes(trained: EvaluatedRun) -> Mistakes:
    """Return the images whose nearest neighbour is of another class, the surest mistake first."""
    arrays = trained.report.arrays
    wrong = np.flatnonzero((arrays.neighbor_labels[:, 0] != arrays.labels) & trained.report.seen)
    right_votes = (arrays.neighbor_labels[wrong] == arrays.labels[wrong, None]).mean(1)
    wrong = wrong[np.lexsort((-arrays.neighbor_similarities[wrong, 0], right_votes))]
    return Mistakes(wrong, trained.test_images.numpy()[wrong[:WORST]])


def embedding_figure(
    points: Points,
    title: str,
    theme: Theme,
    mistakes: Mistakes | None = None,
    behind: Points | None = None,
    centers: Array | None = None,
) -> Figure:
    """Draw points in the colours of their classes, with a legend beside them.

    Points (N, 3) are drawn as the two halves of the unit sphere, seen from opposite sides. Points
    (N, 2) that all lie on the unit circle are drawn with it, others as a plane map.

    Args:
        mistakes: points to mark, of which the worst show their image in a plane map.
        behind: those of another split, drawn fainter beneath.
        centers: (C, 2) float, of the classes, in a plane map.
    """
    flat = points.positions.shape[1] == 2
    with new_figure(title, theme, *((8, 7) if flat else (10, 5.2))) as figure:
        if flat:
            draw_plane(figure.add_subplot(), points, theme, mistakes, behind)
        else:
            halves = figure.subplots(1, 2, subplot_kw={"projection": "3d"})
            draw_sphere(halves, points, theme, mistakes, behind)
        marks: dict[str, Any] = {"linestyle": "", "markersize": DOT}
        more = []
        if mistakes is not None and len(mistakes.indices):
            marks |= {"markerfacecolor": "none", "markeredgecolor": theme.ink}
            more.append(
                Line2D([], [], marker="o", label=f"{len(mistakes.indices):,} wrong", **marks)
            )
        if centers is not None:
            # a line of its own colour about it: it lies in the midst of its class
            marks |= {"markerfacecolor": theme.paper, "markeredgecolor": theme.ink}
            more += figure.axes[0].plot(*centers.T, marker="X", label="centres", **marks)
        points.write_legend(figure, theme, more)
    return figure


@dataclass(frozen=True)
class Space:
    """The embedding of a group's first run."""

    points: Points  # in the plane, or on the sphere
    how: str  # they were made, in words
    projected: bool  # from more dimensions, so that to turn them changes nothing
    on_sphere: bool  # of unit length, and so of the same size as others that are


def draw_groups(groups: Sequence[Group], style: Style) -> Figure:
    """Draw the same images in each group's first run, in the colours of their classes.

    Projections are turned to lie as the first one does. Those made alike share their scale, but for
    embeddings that are not on the sphere, which have any size.
    """
    grid, spaces, images = Grid(groups), [], []
    for group in grid.groups:
        report = EvaluatedRun(group.runs[0].run).report
        arrays, config = report.arrays, report.config
        chosen, native = sample(len(arrays.labels)), native_dimensions(config)
        positions, how = project(arrays.embeddings[chosen], style.projection, config.seed, native)
        names = CLASS_NAMES[report.dataset]
        points = Points(positions, arrays.labels[chosen], names, report.unseen)
        projected = arrays.embeddings.shape[1] > native
        spaces.append(Space(points, how, projected, config.member.on_sphere))
        images.append((report.dataset, report.counted_all))
    hows = list(dict.fromkeys(space.how for space in spaces))
    captions = [
        grid.caption(group, f"\n{space.how}" if len(hows) > 1 else "")
        for group, space in zip(grid.groups, spaces, strict=True)
    ]
    title = f"{grid.images(images)}\n{', '.join(hows)}"
    return spaces_figure(turn_spaces(spaces), captions, grid, title, style.theme)


def turn_spaces(spaces: Sequence[Space]) -> list[Space]:
    """Return spaces whose projections lie as the first one does, in the middle about 0.

    A projection is turned and mirrored only: distances stay as they are. One of other images is
    not turned.
    """
    turned: list[Space] = []
    first: Points | None = None
    for space in spaces:
        points = space.points
        if space.projected:
            positions = points.positions - points.positions.mean(0)
            if first is not None and np.array_equal(points.labels, first.labels):
                target = first.positions - first.positions.mean(0)
                positions = positions @ orthogonal_procrustes(positions, target)[0]
            positions = positions - (positions.max(0) + positions.min(0)) / 2
            points = replace(points, positions=positions)
            first = first or points
        turned.append(replace(space, points=points))
    return turned


def spaces_figure(
    spaces: Sequence[Space], captions: Sequence[str], grid: Grid, title: str, theme: Theme
) -> Figure:
    """Draw the points of each space in a panel of its own, with one legend."""
    planes: dict[str, list[Axes]] = {}
    with new_figure(title, theme, grid.width, 0.8 + grid.rows * (grid.side + 0.2)) as figure:
        # a panel is two columns wide, since a sphere has two sides
        layout = figure.add_gridspec(grid.rows, 2 * grid.columns)
        for place, (space, caption) in enumerate(zip(spaces, captions, strict=True)):
            row, left = place // grid.columns, 2 * (place % grid.columns)
            if space.points.positions.shape[1] == 2:
                axes = figure.add_subplot(layout[row, left : left + 2])
                draw_plane(axes, space.points, theme)
                axes.set_title(caption, fontsize=11)
                if space.projected and space.on_sphere:
                    planes.setdefault(space.how, []).append(axes)
            else:
                cells = (layout[row, left], layout[row, left + 1])
                halves = [figure.add_subplot(cell, projection="3d") for cell in cells]
                draw_sphere(halves, space.points, theme)
                halves[0].set_title(caption, fontsize=11, x=1.0)
        for panels in planes.values():
            limits = [(axes.get_xlim(), axes.get_ylim()) for axes in panels]
            farthest = float(np.abs(limits).max())
            for axes in panels:
                axes.set(xlim=(-farthest, farthest), ylim=(-farthest, farthest))
        widest = max((space.points for space in spaces), key=lambda points: len(points.names))
        # where they differ, the names of the groups say which are unseen
        same = len({tuple(space.points.unseen) for space in spaces}) == 1
        legend = widest if same else replace(widest, unseen=())
        legend.write_legend(figure, theme)
    return figure
