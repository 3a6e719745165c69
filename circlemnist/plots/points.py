"""Images as points in the colours of their classes: in a plane, or on both sides of a sphere."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from mpl_toolkits.mplot3d import Axes3D

from circlemnist.plots.style import Array, Theme, shades, write

DOT = 9  # of a legend, in points
ELEVATION, AZIMUTH = 20.0, -60.0  # degrees, of the eye
REACH = 1.1  # of an axis beside the sphere, whose halves may be empty
THUMBNAIL = 1.3  # points a pixel of a digit
TEN = 10  # classes have a marker, each in a colour of its own
SEEN, UNSEEN = ("o", "s", "D", "P", "X", "*", "h", "d"), ("^", "v", "<", ">")
ROWS, MOST_NAMES = 24, 40  # of a legend
DIRECTIONS = 16  # about a mistake, in which its image may be
RISE = 0.02  # of the width, from the place of a name to its middle


@dataclass(frozen=True)
class Points:
    """Images as points, each in the colour of its class."""

    positions: Array  # (N, 2) or (N, 3) float; (T, N, 2) or (T, N, 3) where they move
    labels: Array  # (N,) int, index into `names`
    names: Sequence[str]  # of the classes
    unseen: Sequence[int] = ()  # labels of classes not trained on, drawn as triangles

    def where(self, chosen: Array) -> "Points":
        """Return the points for which `chosen`, (N,) bool, is true."""
        return Points(self.positions[chosen], self.labels[chosen], self.names, self.unseen)

    def by_marker(self) -> Iterator[tuple[str, "Points"]]:
        """Give the points of seen and of unseen classes, those there are, with their marker."""
        unseen, tens = np.isin(self.labels, self.unseen), self.labels // TEN
        for markers, part in ((SEEN, ~unseen), (UNSEEN, unseen)):
            for place, marker in enumerate(markers):
                chosen = part & (tens % len(markers) == place)
                if chosen.any():
                    yield marker, self.where(chosen)

    def scatter(
        self, axes: Axes, theme: Theme, alpha: float, size: float | None = None, **more: Any
    ) -> list[PathCollection]:
        """Draw the points, smaller where there are many; return a collection for each marker."""
        area = float(np.clip(30_000 / max(len(self.labels), 1), 5, 30))
        more |= {"s": size or area, "linewidths": 0, "alpha": alpha}
        clouds = []
        for marker, part in self.by_marker():
            colors = np.asarray(theme.classes)[part.labels % TEN]
            dots = more | {"c": colors, "marker": marker}
            clouds.append(axes.scatter(*part.positions.T, **dots))
        return clouds

    def write_legend(self, figure: Figure, theme: Theme, more: Sequence[Line2D] = ()) -> None:
        """Put a dot and a name for each class, and `more` like these, to the right of a figure.

        Of more classes than fit only the number is written.
        """
        dots, dot = list[Line2D](), dict[str, Any](linestyle="", markersize=DOT)
        for label, name in enumerate(self.names):
            is_unseen = label in self.unseen
            markers, name = (UNSEEN, f"{name}, unseen") if is_unseen else (SEEN, name)
            tens, place = divmod(label, TEN)
            dot |= {"color": theme.classes[place], "marker": markers[tens % len(markers)]}
            # a name that begins with _ would be left out
            dots.append(Line2D([], [], label=f" {name}" if name[0] == "_" else name, **dot))
        if len(dots) > MOST_NAMES:
            dots = [Line2D([], [], linestyle="", label=f"{len(dots):,} classes")]
        handles = [*dots, *more]
        columns = -(-len(handles) // ROWS)
        figure.legend(handles=handles, loc="outside right center", handletextpad=0.1, ncols=columns)


@dataclass(frozen=True)
class Panel:
    """A picture of an embedding, by itself or beside others."""

    points: Points
    mistakes: Array | None = None  # (E,) int, points to ring, the surest mistake first
    worst: Array | tuple[()] = ()  # (W, 28, 28) uint8, images of the first W, drawn beside them
    centers: Array | None = None  # (C, 2) float, of the classes
    caption: str = ""
    scale: str = ""  # planes with the same word have the same limits


def draw_plane(axes: Axes, panel: Panel, theme: Theme) -> None:
    """Draw points (N, 2) with the names of their classes.

    Axes are those of the unit circle where all points lie on it, and not shown elsewhere.
    """
    points = panel.points
    axes.set_title(panel.caption, fontsize=11)
    points.scatter(axes, theme, alpha=0.7, label="_points")
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
    width = float(np.ptp(positions, axis=0).max())
    for label, place in zip(classes, places, strict=True):
        distances = sorted(float(np.linalg.norm(other - place)) for other in places)
        if min(distances[1:], default=width) > 0.05 * width:  # it hides no other name
            rim = [patheffects.withStroke(linewidth=3, foreground=theme.paper)]
            points_high = 14 if len(classes) <= MOST_NAMES else 9
            font: dict[str, Any] = {"fontsize": points_high, "fontweight": "bold"}
            font["path_effects"] = rim
            write(axes, points.names[label], place, (0, 4), ha="center", **font)
    if panel.mistakes is not None:
        _draw_rings(axes, positions[panel.mistakes], theme)
        middles = np.stack(places) + np.array([0, RISE * width])
        _draw_mistakes(axes, panel, middles, width, theme)


def place_above(cluster: Array) -> Array:
    """Return the place (2,) above a cluster (N, 2), whatever its outliers do."""
    middle = np.median(cluster, axis=0)
    away = np.abs(cluster[:, 1] - middle[1])
    near = cluster[away <= 4 * np.median(away), 1]  # of a Gaussian, nearly all
    return np.array([middle[0], np.quantile(near, 0.95)])


def _draw_rings(axes: Axes, positions: Array, theme: Theme) -> None:
    ring: dict[str, Any] = {"s": 36, "facecolors": "none", "linewidths": 0.8, "label": "_mistakes"}
    axes.scatter(*positions.T, edgecolors=theme.ink, **ring)


def _draw_mistakes(axes: Axes, panel: Panel, names: Array, width: float, theme: Theme) -> None:
    """Draw the image of each of the worst beside its point, where it hides the fewest points.

    `names` (C, 2) are the middles of the names, and `width` is that of all points.
    """
    positions, reach = panel.points.positions, 0.1 * width
    turns = np.linspace(0, 2 * np.pi, DIRECTIONS, endpoint=False)
    steps = reach * np.stack([np.cos(turns), np.sin(turns)], 1)  # (16, 2)
    taken = np.empty((0, 2))

    def near(others: Array, place: Array, distance: float) -> int:
        return int((np.abs(others - place).max(1) < distance).sum())

    for point, image in zip(positions[panel.mistakes], panel.worst, strict=False):
        # another image there would be hidden whole, and so would a name
        hidden = [
            near(positions, place, 0.5 * reach)
            + len(positions) * (near(taken, place, reach) + near(names, place, 0.7 * reach))
            for place in point + steps
        ]
        place = point + steps[int(np.argmin(hidden))]
        taken = np.vstack([taken, place])
        ink, line = shades(theme.paper, theme.ink), {"linewidth": 0.8}
        axes.add_artist(
            AnnotationBbox(
                OffsetImage(image, zoom=THUMBNAIL, cmap=ink, norm=Normalize(0, 255)),
                (point[0], point[1]),
                xybox=(place[0], place[1]),
                boxcoords="data",
                pad=0.1,
                bboxprops={"edgecolor": theme.ink, **line},
                arrowprops={"arrowstyle": "-", "color": theme.ink, **line},
            )
        )


def draw_sphere(halves: Sequence[Axes], panel: Panel, theme: Theme) -> None:
    """Draw points (N, 3) of the unit sphere from opposite sides, as `draw_plane` without images."""
    points = panel.points
    halves[0].set_title(panel.caption, fontsize=11, x=1.0)
    around, up = np.mgrid[0 : 2 * np.pi : 25j, 0 : np.pi : 13j]
    grid = np.cos(around) * np.sin(up), np.sin(around) * np.sin(up), np.cos(up)
    sides = ((ELEVATION, AZIMUTH, "one side"), (-ELEVATION, AZIMUTH + 180, "the other side"))
    for axes, (elevation, azimuth, side) in zip(halves, sides, strict=True):
        assert isinstance(axes, Axes3D)
        e, a = np.radians((elevation, azimuth))
        to_eye = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
        near = points.positions @ to_eye > 0
        axes.plot_wireframe(*grid, color=theme.faint, linewidth=0.4)
        points.where(near).scatter(axes, theme, alpha=0.7, label="_points", depthshade=False)
        axes.view_init(elevation, azimuth)
        axes.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), zlim=(-REACH, REACH))
        axes.set_box_aspect((1, 1, 1), zoom=1.5)
        axes.set_axis_off()
        if panel.mistakes is not None:
            wrong = panel.mistakes[near[panel.mistakes]]
            _draw_rings(axes, points.positions[wrong], theme)
        axes.text2D(0.5, -0.02, side, fontsize=12, ha="center", transform=axes.transAxes)
