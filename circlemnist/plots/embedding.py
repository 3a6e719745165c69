"""The embedding space as a scatter plot: a plane, the unit circle, or both sides of the sphere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from mpl_toolkits.mplot3d import Axes3D
from numpy.typing import NDArray

from circlemnist.plots.style import Theme, class_colors, class_handles, shades, themed

Array = NDArray[Any]
VIEW = (20.0, -60.0)  # elevation and azimuth in degrees
THUMBNAIL = 1.3  # points a pixel of a digit
DIRECTIONS = 16
DOT = 9  # of the legend


@dataclass(frozen=True)
class Mistakes:
    """The points whose nearest neighbour is of another class.

    Attributes:
        indices: (E,) int, of the points, the worst first.
        images: (W, 28, 28) uint8, of the first W of them, which are drawn beside their points.
    """

    indices: Array
    images: Array


def embedding_figure(
    points: Array,
    labels: Array,
    names: Sequence[str],
    title: str,
    theme: Theme,
    mistakes: Mistakes | None = None,
    behind: tuple[Array, Array] | None = None,
) -> Figure:
    """Draw points in the colours of their classes, with a legend beside them.

    Points (N, 3) are drawn as the two halves of the unit sphere, seen from opposite sides. Points
    (N, 2) that all lie on the unit circle are drawn with it, others as a plane map.

    Args:
        points: (N, 2) or (N, 3) float.
        labels: (N,) int, index into `names`.
        names: of the classes, at most ten.
        title: above the picture.
        mistakes: points to mark, of which the worst show their image in a plane map.
        behind: points and labels of another split, drawn fainter beneath.
    """
    flat = points.shape[1] == 2
    with themed(theme):
        figure = Figure(figsize=(8, 7) if flat else (10, 5.2), layout="constrained")
        if flat:
            _draw_plane(figure.add_subplot(), points, labels, names, theme, mistakes, behind)
        else:
            _draw_sphere(figure, points, labels, theme, mistakes, behind)
        figure.suptitle(title)
        figure.legend(
            handles=_legend(names, theme, mistakes),
            loc="outside right center",
            handletextpad=0.1,
        )
    return figure


def _legend(names: Sequence[str], theme: Theme, mistakes: Mistakes | None) -> list[Line2D]:
    handles = class_handles(names, theme, DOT)
    if mistakes is not None and len(mistakes.indices):
        label = f"{len(mistakes.indices):,} wrong"
        ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": theme.ink}
        dot: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": DOT}
        handles.append(Line2D([], [], label=label, **dot, **ring))
    return handles


def _size(points: Array) -> float:
    return float(np.clip(30_000 / len(points), 5, 30))


def _draw_plane(
    axes: Axes,
    points: Array,
    labels: Array,
    names: Sequence[str],
    theme: Theme,
    mistakes: Mistakes | None,
    behind: tuple[Array, Array] | None,
) -> None:
    x, y = points.T
    if behind is not None:
        far_x, far_y = behind[0].T
        colors = class_colors(behind[1], theme)
        axes.scatter(far_x, far_y, c=colors, s=_size(far_x), linewidths=0, alpha=0.15)
    axes.scatter(x, y, c=class_colors(labels, theme), s=_size(points), linewidths=0, alpha=0.7)
    axes.set_aspect("equal")
    classes = np.unique(labels)
    groups = [points[labels == label] for label in classes]
    if np.allclose(np.hypot(x, y), 1, atol=1e-3):
        turn = np.linspace(0, 2 * np.pi, 200)
        axes.plot(np.cos(turn), np.sin(turn), color=theme.faint, linewidth=0.8, zorder=0)
        axes.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25))
        means = [group.mean(0) for group in groups]
        places = [1.12 * mean / max(float(np.linalg.norm(mean)), 1e-6) for mean in means]
    else:
        axes.set_axis_off()
        # above the cluster, whatever its few outliers do
        places = [np.array([np.median(g[:, 0]), np.quantile(g[:, 1], 0.95)]) for g in groups]
    width = np.ptp(points, axis=0).max()
    _write_labels(axes, places, [names[label] for label in classes], width, theme)
    if mistakes is not None:
        x, y = points[mistakes.indices].T
        axes.scatter(x, y, **_ring(theme))
        worst = points[mistakes.indices[: len(mistakes.images)]]
        _show_images(axes, worst, mistakes.images, [*points, *places], width, theme)


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
    axes: Axes, points: Array, images: Array, taken: list[Array], width: float, theme: Theme
) -> None:
    """Put each image near its point, in the direction where it hides the fewest others."""
    occupied, shown = np.array(taken), np.empty((0, 2))
    turns = np.linspace(0, 2 * np.pi, DIRECTIONS, endpoint=False)
    reach = 0.1 * width
    ink = shades(theme.paper, theme.ink)
    ways = reach * np.stack([np.cos(turns), np.sin(turns)], 1)  # (16, 2)
    for point, image in zip(points, images, strict=True):
        # another image there would be hidden whole
        hidden = [
            _within(occupied, place, 0.5 * reach) + len(occupied) * _within(shown, place, reach)
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


def _draw_sphere(
    figure: Figure,
    points: Array,
    labels: Array,
    theme: Theme,
    mistakes: Mistakes | None,
    behind: tuple[Array, Array] | None,
) -> None:
    elevation, azimuth = VIEW
    for place, (view, side) in enumerate(
        [((elevation, azimuth), "one side"), ((-elevation, azimuth + 180), "the other side")], 1
    ):
        axes = figure.add_subplot(1, 2, place, projection="3d")
        assert isinstance(axes, Axes3D)
        if behind is not None:
            seen = behind[0] @ _toward(view) > 0
            colors = class_colors(behind[1][seen], theme)
            axes.scatter(*behind[0][seen].T, c=colors, s=5, linewidths=0, alpha=0.15)
        near = points @ _toward(view) > 0
        _draw_hemisphere(axes, points[near], labels[near], view, theme)
        if mistakes is not None:
            wrong = mistakes.indices[near[mistakes.indices]]
            axes.scatter(*points[wrong].T, **_ring(theme))
        axes.text2D(0.5, -0.02, side, fontsize=12, ha="center", transform=axes.transAxes)


def _toward(view: tuple[float, float]) -> Array:
    """The unit vector to the eye."""
    elevation, azimuth = np.radians(view)
    flat = np.cos(elevation)
    return np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])


def _draw_hemisphere(
    axes: Axes3D, points: Array, labels: Array, view: tuple[float, float], theme: Theme
) -> None:
    around, up = np.mgrid[0 : 2 * np.pi : 25j, 0 : np.pi : 13j]
    axes.plot_wireframe(
        np.cos(around) * np.sin(up),
        np.sin(around) * np.sin(up),
        np.cos(up),
        color=theme.faint,
        linewidth=0.4,
    )
    axes.scatter(
        *points.T,
        c=class_colors(labels, theme),
        s=_size(points),
        linewidths=0,
        alpha=0.7,
        depthshade=False,
    )
    axes.view_init(*view)
    axes.set_box_aspect((1, 1, 1), zoom=1.5)
    axes.set_axis_off()
