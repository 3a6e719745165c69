"""The embedding space as a scatter plot: a plane, the unit circle, or both sides of the sphere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from mpl_toolkits.mplot3d import Axes3D

from circlemnist.data.classes import CLASS_NAMES
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.models.embedder import embed
from circlemnist.plots.captions import heading
from circlemnist.plots.kept_projection import project_run
from circlemnist.plots.style import DOT, Array, Blank, Points, Style, Theme, shades

WORST = 6  # mistakes whose image is shown beside their point
TRAIN_POINTS = 10_000  # of the training split
VIEW = (20.0, -60.0)  # elevation and azimuth in degrees
REACH = 1.1  # of an axis beside the sphere, whose halves may be empty
THUMBNAIL = 1.3  # points a pixel of a digit
DIRECTIONS = 16
RISE = 0.02  # of the width, from the place of a name to its middle


@dataclass(frozen=True)
class Mistakes:
    """The points whose nearest neighbour is of another class.

    Attributes:
        indices: (E,) int, of the points, the worst first.
        images: (W, 28, 28) uint8, of the first W of them, which are drawn beside their points.
    """

    indices: Array
    images: Array


def draw(trained: EvaluatedRun, style: Style) -> Figure:
    """Draw the splits that the style asks for, the training split beneath the test split."""
    test = trained.report
    parts = []
    if style.split != "train":
        parts.append((test.arrays.embeddings, test.arrays.labels, test.counted_all))
    if style.split != "test":
        parts.append(_of_training(trained))
    embeddings, labels, counted = zip(*parts, strict=True)
    together = np.concatenate(embeddings)
    positions, how = project_run(trained, together, style.projection, style.split)
    points, *behind = [
        Points(places, of_these, CLASS_NAMES[test.dataset], test.unseen)
        for of_these, places in zip(labels, np.split(positions, [len(labels[0])]), strict=False)
    ]
    blank = Blank(heading(trained, " on ".join(counted), f"{how}, "), style.theme)
    mistakes = None if style.split == "train" else _mistakes(trained)
    centers = trained.centers if together.shape[1] == 2 else None
    marks = None if centers is None else centers.numpy()
    return embedding_figure(points, blank, mistakes, behind[0] if behind else None, marks)


def _of_training(trained: EvaluatedRun) -> tuple[Array, Array, str]:
    """Embeddings and labels of some of the training split, and how many those are, in words."""
    train = trained.dataset.train
    chosen = torch.linspace(0, len(train) - 1, min(TRAIN_POINTS, len(train))).long()
    images = train.images[chosen].to(trained.embedder.mean.device)
    embeddings = embed(trained.embedder, images, trained.config.views).cpu().numpy()
    counted = f"{len(chosen):,} of {len(train):,} training images"
    return embeddings, train.labels[chosen].numpy(), counted


def _mistakes(trained: EvaluatedRun) -> Mistakes:
    """The images whose nearest neighbour is of another class, the most surely wrong first."""
    arrays = trained.report.arrays
    seen = trained.report.seen
    wrong = np.flatnonzero((arrays.neighbor_labels[:, 0] != arrays.labels) & seen)
    right_votes = (arrays.neighbor_labels[wrong] == arrays.labels[wrong, None]).mean(1)
    wrong = wrong[np.lexsort((-arrays.neighbor_similarities[wrong, 0], right_votes))]
    return Mistakes(wrong, trained.test_images.numpy()[wrong[:WORST]])


def embedding_figure(
    points: Points,
    blank: Blank,
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
    flat, theme = points.positions.shape[1] == 2, blank.theme
    with blank.figure(*((8, 7) if flat else (10, 5.2))) as figure:
        if flat:
            draw_plane(figure.add_subplot(), points, theme, mistakes, behind)
        else:
            halves = figure.subplots(1, 2, subplot_kw={"projection": "3d"})
            draw_sphere(halves, points, theme, mistakes, behind)
        marked = [] if mistakes is None or not len(mistakes.indices) else [_dot(mistakes, theme)]
        if centers is not None:
            # a line of its own colour about it: it lies in the midst of its class
            cross: dict[str, Any] = {
                "marker": "X",
                "color": theme.paper,
                "markeredgecolor": theme.ink,
            }
            (drawn,) = figure.axes[0].plot(*centers.T, **cross, markersize=DOT, linestyle="")
            drawn.set_label("centres")
            marked.append(drawn)
        points.write_legend(figure, theme, marked)
    return figure


def _dot(mistakes: Mistakes, theme: Theme) -> Line2D:
    """What the legend says of the mistakes."""
    ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": theme.ink}
    label = f"{len(mistakes.indices):,} wrong"
    return Line2D([], [], label=label, marker="o", linestyle="", markersize=DOT, **ring)


def _size(points: Points) -> float:
    return float(np.clip(30_000 / len(points.labels), 5, 30))


def draw_plane(
    axes: Axes,
    points: Points,
    theme: Theme,
    mistakes: Mistakes | None = None,
    behind: Points | None = None,
) -> None:
    """Draw points (N, 2) with the names of their classes, and the rest as `embedding_figure` does.

    Axes are those of the unit circle where all points lie on it, and not shown elsewhere.
    """
    for drawn, alpha in ((behind, 0.15), (points, 0.7)):
        if drawn is None:
            continue
        given: dict[str, Any] = {"s": _size(drawn), "linewidths": 0, "alpha": alpha}
        for marker, part in drawn.by_marker():
            x, y = part.positions.T
            axes.scatter(x, y, c=part.colors(theme), marker=marker, **given)
    axes.set_aspect("equal")
    positions, classes = points.positions, np.unique(points.labels)
    groups = [positions[points.labels == label] for label in classes]
    if np.allclose(np.linalg.norm(positions, axis=1), 1, atol=1e-3):
        turn = np.linspace(0, 2 * np.pi, 200)
        axes.plot(np.cos(turn), np.sin(turn), color=theme.faint, linewidth=0.8, zorder=0)
        axes.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25))
        means = [group.mean(0) for group in groups]
        places = [1.12 * mean / max(float(np.linalg.norm(mean)), 1e-6) for mean in means]
    else:
        axes.set_axis_off()
        places = [above(group) for group in groups]
    width = np.ptp(positions, axis=0).max()
    _write_labels(axes, places, [points.names[label] for label in classes], width, theme)
    if mistakes is not None:
        wrong = positions[mistakes.indices]
        axes.scatter(*wrong.T, **_ring(theme))
        worst = wrong[: len(mistakes.images)]
        names = np.array(places) + np.array([0, RISE * width])
        _show_images(axes, worst, mistakes.images, (positions, names), width, theme)


def above(cluster: Array) -> Array:
    """Return the place (2,) above a cluster (N, 2), whatever its outliers do."""
    middle = np.median(cluster, axis=0)
    away = np.abs(cluster[:, 1] - middle[1])
    near = cluster[away <= 4 * np.median(away), 1]  # of a Gaussian, nearly all
    return np.array([middle[0], np.quantile(near, 0.95)])


def _ring(theme: Theme) -> dict[str, Any]:
    return {"s": 36, "facecolors": "none", "edgecolors": theme.ink, "linewidths": 0.8}


def _write_labels(
    axes: Axes, places: list[Array], names: list[str], width: float, theme: Theme
) -> None:
    """Write each name at its place, where that hides no other name."""
    for name, place in zip(names, places, strict=True):
        distances = sorted(float(np.linalg.norm(other - place)) for other in places)
        if min(distances[1:], default=width) > 0.05 * width:
            axes.annotate(
                name,
                (place[0], place[1]),
                xytext=(0, 4),
                textcoords="offset points",
                ha="center",
                fontsize=14,
                fontweight="bold",
                path_effects=[patheffects.withStroke(linewidth=3, foreground=theme.paper)],
            )


def _show_images(
    axes: Axes,
    points: Array,
    images: Array,
    beside: tuple[Array, Array],
    width: float,
    theme: Theme,
) -> None:
    """Put each image near its point, in the direction where it hides the least.

    Args:
        beside: all points (N, 2), and the middles of the names (C, 2).
    """
    (occupied, names), shown = beside, np.empty((0, 2))
    turns = np.linspace(0, 2 * np.pi, DIRECTIONS, endpoint=False)
    reach = 0.1 * width
    ink = shades(theme.paper, theme.ink)
    ways = reach * np.stack([np.cos(turns), np.sin(turns)], 1)  # (16, 2)
    for point, image in zip(points, images, strict=True):
        # another image there would be hidden whole, and so would a name
        hidden = [
            _within(occupied, place, 0.5 * reach)
            + len(occupied) * (_within(shown, place, reach) + _within(names, place, 0.7 * reach))
            for place in point + ways
        ]
        place = point + ways[int(np.argmin(hidden))]
        shown = np.vstack([shown, place])
        axes.add_artist(
            AnnotationBbox(
                OffsetImage(image, zoom=THUMBNAIL, cmap=ink, norm=Normalize(0, 255)),
                (point[0], point[1]),
                xybox=(place[0], place[1]),
                boxcoords="data",
                pad=0.1,
                bboxprops={"edgecolor": theme.ink, "linewidth": 0.8},
                arrowprops={"arrowstyle": "-", "color": theme.ink, "linewidth": 0.8},
            )
        )


def _within(points: Array, place: Array, distance: float) -> int:
    """How many points lie in the square of twice that side about a place."""
    return int((np.abs(points - place).max(1) < distance).sum())


def draw_sphere(
    halves: Sequence[Axes],
    points: Points,
    theme: Theme,
    mistakes: Mistakes | None = None,
    behind: Points | None = None,
) -> None:
    """Draw points (N, 3) of the unit sphere from opposite sides into two axes in space."""
    elevation, azimuth = VIEW
    views = (((elevation, azimuth), "one side"), ((-elevation, azimuth + 180), "the other side"))
    for axes, (view, side) in zip(halves, views, strict=True):
        assert isinstance(axes, Axes3D)
        if behind is not None:
            far = behind.where(behind.positions @ _toward(view) > 0)
            axes.scatter(*far.positions.T, c=far.colors(theme), s=5, linewidths=0, alpha=0.15)
        near = points.positions @ _toward(view) > 0
        _draw_hemisphere(axes, points.where(near), view, theme)
        if mistakes is not None:
            wrong = mistakes.indices[near[mistakes.indices]]
            axes.scatter(*points.positions[wrong].T, **_ring(theme))
        axes.text2D(0.5, -0.02, side, fontsize=12, ha="center", transform=axes.transAxes)


def _toward(view: tuple[float, float]) -> Array:
    """The unit vector to the eye."""
    elevation, azimuth = np.radians(view)
    flat = np.cos(elevation)
    return np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])


def _draw_hemisphere(axes: Axes3D, points: Points, view: tuple[float, float], theme: Theme) -> None:
    around, up = np.mgrid[0 : 2 * np.pi : 25j, 0 : np.pi : 13j]
    axes.plot_wireframe(
        np.cos(around) * np.sin(up),
        np.sin(around) * np.sin(up),
        np.cos(up),
        color=theme.faint,
        linewidth=0.4,
    )
    for marker, part in points.by_marker():
        axes.scatter(
            *part.positions.T,
            c=part.colors(theme),
            s=_size(points),
            marker=marker,
            linewidths=0,
            alpha=0.7,
            depthshade=False,
        )
    axes.view_init(*view)
    axes.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), zlim=(-REACH, REACH))
    axes.set_box_aspect((1, 1, 1), zoom=1.5)
    axes.set_axis_off()
