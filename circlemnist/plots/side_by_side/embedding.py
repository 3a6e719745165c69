"""The embedding space of each group, of the same images, on common axes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.linalg import orthogonal_procrustes

from circlemnist.data.classes import CLASS_NAMES
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.group import Group
from circlemnist.plots.embedding import draw_plane, draw_sphere
from circlemnist.plots.projection import native_dimensions, project
from circlemnist.plots.side_by_side.panels import Grid, caption, drawn, sample, sampled
from circlemnist.plots.style import Blank, Points, Style


@dataclass(frozen=True)
class Space:
    """The embedding of a group's first run.

    Attributes:
        points: in the plane, or on the sphere.
        images: the data set, and how many images there are, in words.
        how: they were made, in words.
        projected: from more dimensions, so that to turn them changes nothing.
        on_sphere: of unit length, and so of the same size as others that are.
    """

    points: Points
    images: tuple[str, str]
    how: str
    projected: bool
    on_sphere: bool


def draw(groups: Sequence[Group], style: Style) -> Figure:
    """Draw the same images in each group's first run, in the colours of their classes.

    Projections are turned to lie as the first one does. Those made alike share their scale, but for
    embeddings that are not on the sphere, which have any size.
    """
    groups, which = drawn(groups)
    grid, spaces = Grid.of(len(groups)), turned([_space(group, style) for group in groups])
    shown = sampled(groups, [space.images for space in spaces])
    hows = dict.fromkeys(space.how for space in spaces)
    blank = Blank(f"{shown}{which}\n{', '.join(hows)}", style.theme)
    planes: dict[str, list[Axes]] = {}
    with blank.figure(grid.width, 0.8 + grid.rows * (grid.side + 0.2)) as figure:
        # a panel is two columns wide, since a sphere has two sides
        layout = figure.add_gridspec(grid.rows, 2 * grid.columns)
        for place, (group, space) in enumerate(zip(groups, spaces, strict=True)):
            row, column = grid.place(place)
            title = caption(group, grid, f"\n{space.how}" if len(hows) > 1 else "")
            if space.points.positions.shape[1] == 2:
                axes = figure.add_subplot(layout[row, 2 * column : 2 * column + 2])
                draw_plane(axes, space.points, style.theme)
                axes.set_title(title, fontsize=11)
                if space.projected and space.on_sphere:
                    planes.setdefault(space.how, []).append(axes)
            else:
                halves = [
                    figure.add_subplot(layout[row, half], projection="3d")
                    for half in (2 * column, 2 * column + 1)
                ]
                draw_sphere(halves, space.points, style.theme)
                halves[0].set_title(title, fontsize=11, x=1.0)
        for alike in planes.values():
            share_limits(alike)
        widest = max(spaces, key=lambda space: len(space.points.names))
        # where they differ, the names of the groups say which are unseen
        same = len({tuple(space.points.unseen) for space in spaces}) == 1
        legend = widest.points if same else replace(widest.points, unseen=())
        legend.write_legend(figure, style.theme)
    return figure


def _space(group: Group, style: Style) -> Space:
    trained = EvaluatedRun(group.runs[0].run)
    evaluation, config = trained.report, trained.config
    arrays, images = evaluation.arrays, (evaluation.dataset, evaluation.counted_all)
    chosen, native = sample(len(arrays.labels)), native_dimensions(config)
    positions, how = project(arrays.embeddings[chosen], style.projection, config.seed, native)
    names = CLASS_NAMES[evaluation.dataset]
    projected = arrays.embeddings.shape[1] > native
    points = Points(positions, arrays.labels[chosen], names, evaluation.unseen)
    return Space(points, images, how, projected, config.member.on_sphere)


def turned(spaces: Sequence[Space]) -> list[Space]:
    """Return spaces whose projections lie as the first one does, in the middle about 0.

    A projection is turned and mirrored only: distances stay as they are. One of other images is
    not turned.
    """
    found: list[Space] = []
    first: Space | None = None
    for space in spaces:
        points = space.points
        if space.projected:
            positions = points.positions - points.positions.mean(0)
            if first is not None and np.array_equal(points.labels, first.points.labels):
                target = first.points.positions - first.points.positions.mean(0)
                positions = positions @ orthogonal_procrustes(positions, target)[0]
            positions = positions - (positions.max(0) + positions.min(0)) / 2
            space = replace(space, points=replace(points, positions=positions))
            first = first or space
        found.append(space)
    return found


def share_limits(planes: Sequence[Axes]) -> None:
    """Give planes the limits in which the largest of them lies."""
    farthest = max(float(np.abs([axes.get_xlim(), axes.get_ylim()]).max()) for axes in planes)
    for axes in planes:
        axes.set(xlim=(-farthest, farthest), ylim=(-farthest, farthest))
