"""Images as points in the colours of their classes: in a plane, or on both sides of a sphere."""

from collections.abc import Iterator, Sequence
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

from circlemnist.plots.style import Array, Theme, shades

DOT = 9  # of a legend, in points
VIEW = (20.0, -60.0)  # elevation and azimuth in degrees
REACH = 1.1  # of an axis beside the sphere, whose halves may be empty
THUMBNAIL = 1.3  # points a pixel of a digit
DIRECTIONS = 16
RISE = 0.02  # of the width, from the place of a name to its middle


@dataclass(frozen=True)
class Points:
    """Images as points, each in the colour of its class.

    Attributes:
        positions: (N, 2) or (N, 3) float; (T, N, 2) or (T, N, 3) where they move.
        labels: (N,) int, index into `names`.
        names: of the classes, at most ten.
        unseen: labels of classes that were left out of training, drawn as triangles.
    """

    positions: Array
    labels: Array
    names: Sequence[str]
    unseen: Sequence[int] = ()

    def where(self, chosen: Array) -> "Points":
        """Return the points for which `chosen`, (N,) bool, is true."""
        return Points(self.positions[chosen], self.labels[chosen], self.names, self.unseen)

    def by_marker(self) -> Iterator[tuple[str, "Points"]]:
        """Give the points of seen and of unseen classes, those there are, with their marker."""
        unseen = np.isin(self.labels, self.unseen)
        for marker, chosen in (("o", ~unseen), ("^", unseen)):
            if chosen.any():
                yield marker, self.where(chosen)

    def colors(self, theme: Theme) -> Array:
        """Return the colour of each point (N,), as text."""
        colors: Array = np.asarray(theme.classes)[self.labels]
        return colors

    @property
    def size(self) -> float:
        """The area of a point in square points, less where there are many."""
        return float(np.clip(30_000 / max(len(self.labels), 1), 5, 30))

    def write_legend(self, figure: Figure, theme: Theme, more: Sequence[Line2D] = ()) -> None:
        """Put a dot and a name for each class, and `more` like these, to the right of a figure."""
        dots = []
        for label, (name, color) in enumerate(zip(self.names, theme.classes, strict=False)):
            marker, name = ("^", f"{name}, unseen") if label in self.unseen else ("o", name)
            dot: dict[str, Any] = {"linestyle": "", "markersize": DOT, "marker": marker}
            dots.append(Line2D([], [], color=color, label=name, **dot))
        figure.legend(handles=[*dots, *more], loc="outside right center", handletextpad=0.1)


@dataclass(frozen=True)
class Mistakes:
    """The points whose nearest neighbour is of another class.

    Attributes:
        indices: (E,) int, of the points, the worst first.
        images: (W, 28, 28) uint8, of the first W of them, which are drawn beside their points.
    """

    indices: Array
    images: Array


def draw_plane(
    axes: Axes,
    points: Points,
    theme: Theme,
    mistakes: Mistakes | None = None,
    behind: Points | None = None,
) -> None:
    """Draw points (N, 2) with the names of their classes.

    Axes are those of the unit circle where all points lie on it, and not shown elsewhere.

    Args:
        mistakes: points to ring, of which the worst show their image.
        behind: those of another split, drawn fainter beneath.
    """
    for layer, alpha in ((behind, 0.15), (points, 0.7)):
        if layer is None:
            continue
        dots: dict[str, Any] = {"s": layer.size, "linewidths": 0, "alpha": alpha}
        for marker, part in layer.by_marker():
            x, y = part.positions.T
            axes.scatter(x, y, c=part.colors(theme), marker=marker, **dots)
    axes.set_aspect("equal")
    positions, classes = points.positions, np.unique(points.labels)
    clusters = [positions[points.labels == label] for label in classes]
    if np.allclose(np.linalg.norm(positions, axis=1), 1, atol=1e-3):
        turn = np.linspace(0, 2 * np.pi, 200)
        axes.plot(np.cos(turn), np.sin(turn), color=theme.faint, linewidth=0.8, zorder=0)
        axes.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25))
        means = [cluster.mean(0) for cluster in clusters]
        places = [1.12 * mean / max(float(np.linalg.norm(mean)), 1e-6) for mean in means]
    else:
        axes.set_axis_off()
        places = [place_above(cluster) for cluster in clusters]
    width = np.ptp(positions, axis=0).max()
    _write_names(axes, places, [points.names[label] for label in classes], width, theme)
    if mistakes is not None:
        wrong = positions[mistakes.indices]
        axes.scatter(*wrong.T, **_ring(theme))
        names = np.array(places) + np.array([0, RISE * width])
        shown = wrong[: len(mistakes.images)]
        for point, image, place in zip(
            shown, mistakes.images, _free_places(shown, positions, names, 0.1 * width), strict=True
        ):
            _show_image(axes, image, point, place, theme)


def place_above(cluster: Array) -> Array:
    """Return the place (2,) above a cluster (N, 2), whatever its outliers do."""
    middle = np.median(cluster, axis=0)
    away = np.abs(cluster[:, 1] - middle[1])
    near = cluster[away <= 4 * np.median(away), 1]  # of a Gaussian, nearly all
    return np.array([middle[0], np.quantile(near, 0.95)])


def _ring(theme: Theme) -> dict[str, Any]:
    return {"s": 36, "facecolors": "none", "edgecolors": theme.ink, "linewidths": 0.8}


def _write_names(
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


def _free_places(points: Array, occupied: Array, names: Array, reach: float) -> Array:
    """Places (W, 2) for images near points (W, 2), each where it hides the least.

    Args:
        occupied: (N, 2) float, all points.
        names: (C, 2) float, the middles of the names.
    """

    def within(others: Array, place: Array, distance: float) -> int:
        return int((np.abs(others - place).max(1) < distance).sum())

    turns = np.linspace(0, 2 * np.pi, DIRECTIONS, endpoint=False)
    steps = reach * np.stack([np.cos(turns), np.sin(turns)], 1)  # (16, 2)
    taken = np.empty((0, 2))
    for point in points:
        # another image there would be hidden whole, and so would a name
        hidden = [
            within(occupied, place, 0.5 * reach)
            + len(occupied) * (within(taken, place, reach) + within(names, place, 0.7 * reach))
            for place in point + steps
        ]
        taken = np.vstack([taken, point + steps[int(np.argmin(hidden))]])
    return taken


def _show_image(axes: Axes, image: Array, point: Array, place: Array, theme: Theme) -> None:
    ink = shades(theme.paper, theme.ink)
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


def draw_sphere(
    halves: Sequence[Axes],
    points: Points,
    theme: Theme,
    mistakes: Mistakes | None = None,
    behind: Points | None = None,
) -> None:
    """Draw points (N, 3) of the unit sphere from opposite sides into two axes in space.

    The other arguments are those of `draw_plane`; no images are shown.
    """
    elevation, azimuth = VIEW
    views = (((elevation, azimuth), "one side"), ((-elevation, azimuth + 180), "the other side"))
    for axes, (view, side) in zip(halves, views, strict=True):
        assert isinstance(axes, Axes3D)
        if behind is not None:
            far = behind.where(behind.positions @ _to_eye(view) > 0)
            axes.scatter(*far.positions.T, c=far.colors(theme), s=5, linewidths=0, alpha=0.15)
        near = points.positions @ _to_eye(view) > 0
        _draw_hemisphere(axes, points.where(near), view, theme)
        if mistakes is not None:
            wrong = mistakes.indices[near[mistakes.indices]]
            axes.scatter(*points.positions[wrong].T, **_ring(theme))
        axes.text2D(0.5, -0.02, side, fontsize=12, ha="center", transform=axes.transAxes)


def _to_eye(view: tuple[float, float]) -> Array:
    """The unit vector to the eye."""
    elevation, azimuth = np.radians(view)
    flat = np.cos(elevation)
    return np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])


def _draw_hemisphere(axes: Axes3D, points: Points, view: tuple[float, float], theme: Theme) -> None:
    around, up = np.mgrid[0 : 2 * np.pi : 25j, 0 : np.pi : 13j]
    x, y, z = np.cos(around) * np.sin(up), np.sin(around) * np.sin(up), np.cos(up)
    axes.plot_wireframe(x, y, z, color=theme.faint, linewidth=0.4)
    dots: dict[str, Any] = {"s": points.size, "linewidths": 0, "alpha": 0.7, "depthshade": False}
    for marker, part in points.by_marker():
        axes.scatter(*part.positions.T, c=part.colors(theme), marker=marker, **dots)
    axes.view_init(*view)
    axes.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), zlim=(-REACH, REACH))
    axes.set_box_aspect((1, 1, 1), zoom=1.5)
    axes.set_axis_off()
