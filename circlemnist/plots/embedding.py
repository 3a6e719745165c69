"""The embedding space as a scatter plot: a plane, the unit circle, or both sides of the sphere."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.linalg import orthogonal_procrustes

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.group import Group
from circlemnist.plots.layout import Grid, drawn_names, heading, sample
from circlemnist.plots.points import DOT, Panel, Points, draw_plane, draw_sphere
from circlemnist.plots.projection import native_dimensions, project, project_run
from circlemnist.plots.style import Style, Theme, new_figure

WORST = 6  # mistakes whose image is shown beside their point


def draw(trained: EvaluatedRun, style: Style) -> Figure:
    """Draw the test split, its mistakes ringed, and centres where embeddings have two numbers."""
    report, arrays = trained.report, trained.report.arrays
    positions, how = project_run(trained, arrays.embeddings, style.projection)
    wrong = np.flatnonzero((arrays.neighbor_labels[:, 0] != arrays.labels) & report.seen)
    right_votes = (arrays.neighbor_labels[wrong] == arrays.labels[wrong, None]).mean(1)
    wrong = wrong[np.lexsort((-arrays.neighbor_similarities[wrong, 0], right_votes))]
    centers = trained.centers if arrays.embeddings.shape[1] == 2 else None
    panel = Panel(
        Points(positions, arrays.labels, drawn_names(report.config), report.unseen),
        mistakes=wrong,
        worst=trained.test_images.numpy()[wrong[:WORST]],
        centers=None if centers is None else centers.numpy(),
    )
    return embedding_figure([panel], heading(trained, report.all_images, f"{how}, "), style.theme)


def draw_groups(groups: Sequence[Group], style: Style) -> Figure:
    """Draw the same images in each group's first run, in the colours of their classes.

    Projections are turned to match the first one. Those of one method share their scale, except
    where embeddings are off the sphere and so have any size.
    """
    grid, panels, images, hows = Grid(groups), [], [], []
    first: Points | None = None
    for group in grid.groups:
        report = EvaluatedRun(group.runs[0].run).report
        arrays, config, names = report.arrays, report.config, drawn_names(report.config)
        chosen, native = sample(len(arrays.labels)), native_dimensions(config)
        positions, how = project(arrays.embeddings[chosen], style.projection, config.seed, native)
        points, scale = Points(positions, arrays.labels[chosen], names, report.unseen), ""
        if arrays.embeddings.shape[1] > native:
            points, scale = turn_like(points, first), how if config.loss_info.on_sphere else ""
            first = first or points
        panels.append(Panel(points, caption=grid.caption(group), scale=scale))
        images.append((report.dataset, report.all_images))
        hows.append(how)
    different = dict.fromkeys(hows)
    if len(different) > 1:
        pairs = zip(panels, hows, strict=True)
        panels = [replace(panel, caption=f"{panel.caption}\n{how}") for panel, how in pairs]
    title = f"{grid.images(images)}\n{', '.join(different)}"
    return embedding_figure(panels, title, style.theme, grid)


def turn_like(points: Points, first: Points | None) -> Points:
    """Return points turned and mirrored to match others of the same images, centred about 0.

    Distances stay as they are. Beside other images, or none, points are not turned.
    """
    positions = points.positions - points.positions.mean(0)
    if first is not None and np.array_equal(points.labels, first.labels):
        target = first.positions - first.positions.mean(0)
        positions = positions @ orthogonal_procrustes(positions, target)[0]
    return replace(points, positions=positions - (positions.max(0) + positions.min(0)) / 2)


def embedding_figure(
    panels: Sequence[Panel], title: str, theme: Theme, grid: Grid | None = None
) -> Figure:
    """Draw points in the colours of their classes, with one legend beside all panels."""
    flat = panels[0].points.positions.shape[1] == 2
    rows, columns = 1, 1
    size: tuple[float, float] = (8, 7) if flat else (10, 5.2)
    if grid:
        rows, columns = grid.rows, grid.columns
        size = grid.width, 0.8 + rows * (grid.side + 0.2)
    span = 2 if grid or not flat else 1  # a sphere has two sides
    planes: dict[str, list[Axes]] = {}
    with new_figure(title, theme, *size) as figure:
        layout = figure.add_gridspec(rows, span * columns)
        for place, panel in enumerate(panels):
            row, left = place // columns, span * (place % columns)
            if panel.points.positions.shape[1] == 2:
                axes = figure.add_subplot(layout[row, left : left + span])
                draw_plane(axes, panel, theme)
                planes.setdefault(panel.scale, []).append(axes)
            else:
                cells = (layout[row, left], layout[row, left + 1])
                draw_sphere([figure.add_subplot(c, projection="3d") for c in cells], panel, theme)
        planes.pop("", None)
        for group in planes.values():
            farthest = float(np.abs([(axes.get_xlim(), axes.get_ylim()) for axes in group]).max())
            for axes in group:
                axes.set(xlim=(-farthest, farthest), ylim=(-farthest, farthest))
        marks = _draw_marks(figure.axes[0], panels[0], theme)
        widest = max((panel.points for panel in panels), key=lambda points: len(points.names))
        # where they differ, the names of the groups say which are unseen
        same = len({tuple(panel.points.unseen) for panel in panels}) == 1
        legend = widest if same else replace(widest, unseen=())
        legend.write_legend(figure, theme, marks)
    return figure


def _draw_marks(axes: Axes, panel: Panel, theme: Theme) -> list[Line2D]:
    """Draw the centres, and return what a legend shows of them and of the mistakes."""
    mark: dict[str, Any] = {"linestyle": "", "markersize": DOT, "markeredgecolor": theme.ink}
    marks = []
    if panel.mistakes is not None and (count := len(panel.mistakes)):
        mark |= {"marker": "o", "markerfacecolor": "none"}
        marks.append(Line2D([], [], label=f"{count:,} wrong", **mark))
    if panel.centers is not None:
        # a line of its own colour about it: it lies in the midst of its class
        mark |= {"marker": "X", "markerfacecolor": theme.paper}
        marks += axes.plot(*panel.centers.T, label="centres", **mark)
    return marks
