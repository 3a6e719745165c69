"""The embedding space as a scatter plot: a plane, the unit circle, or both sides of the sphere."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from mpl_toolkits.mplot3d import Axes3D
from numpy.typing import NDArray

from circlemnist.plots.style import CLASS_COLORS

Array = NDArray[Any]
HALO = [patheffects.withStroke(linewidth=3, foreground="white")]
VIEW = (20.0, -60.0)  # elevation and azimuth in degrees


def embedding_figure(
    points: Array, labels: Array, names: Sequence[str], title: str, subtitle: str
) -> Figure:
    """Draw points in the colours of their classes, with a legend beside them.

    Points (N, 3) are drawn as the two halves of the unit sphere, seen from opposite sides. Points
    (N, 2) that all lie on the unit circle are drawn with it, others as a plane map.

    Args:
        points: (N, 2) or (N, 3) float.
        labels: (N,) int, index into `names`.
        names: of the classes, at most ten.
        title, subtitle: the two lines above the picture.
    """
    figure = Figure(figsize=(8, 7) if points.shape[1] == 2 else (10, 5.2), layout="constrained")
    if points.shape[1] == 3:
        _draw_sphere(figure, points, labels)
    else:
        _draw_plane(figure.add_subplot(), points, labels, names)
    figure.suptitle(f"{title}\n{subtitle}", fontsize=14)
    figure.legend(
        handles=[
            Line2D([], [], marker="o", linestyle="", markersize=9, color=color, label=name)
            for name, color in zip(names, CLASS_COLORS, strict=False)
        ],
        loc="outside right center",
        fontsize=12,
        frameon=False,
        handletextpad=0.1,
    )
    return figure


def _colors(labels: Array) -> Array:
    colors: Array = np.asarray(CLASS_COLORS)[labels]
    return colors


def _size(points: Array) -> float:
    return float(np.clip(30_000 / len(points), 5, 30))


def _draw_plane(axes: Axes, points: Array, labels: Array, names: Sequence[str]) -> None:
    x, y = points.T
    axes.scatter(x, y, c=_colors(labels), s=_size(points), linewidths=0, alpha=0.7)
    axes.set_aspect("equal")
    classes = np.unique(labels)
    groups = [points[labels == label] for label in classes]
    if np.allclose(np.hypot(x, y), 1, atol=1e-3):
        turn = np.linspace(0, 2 * np.pi, 200)
        axes.plot(np.cos(turn), np.sin(turn), color="0.7", linewidth=0.8, zorder=0)
        axes.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25))
        means = [group.mean(0) for group in groups]
        places = [1.12 * mean / max(float(np.linalg.norm(mean)), 1e-6) for mean in means]
    else:
        axes.set_axis_off()
        # above the cluster, whatever its few outliers do
        places = [np.array([np.median(g[:, 0]), np.quantile(g[:, 1], 0.95)]) for g in groups]
    _write_labels(axes, places, [names[label] for label in classes], np.ptp(points, axis=0).max())


def _write_labels(axes: Axes, places: list[Array], names: list[str], width: float) -> None:
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
                path_effects=HALO,
            )


def _draw_sphere(figure: Figure, points: Array, labels: Array) -> None:
    elevation, azimuth = VIEW
    for place, (view, side) in enumerate(
        [((elevation, azimuth), "one side"), ((-elevation, azimuth + 180), "the other side")], 1
    ):
        axes = figure.add_subplot(1, 2, place, projection="3d")
        assert isinstance(axes, Axes3D)
        _draw_hemisphere(axes, points, labels, view)
        axes.text2D(0.5, -0.02, side, fontsize=12, ha="center", transform=axes.transAxes)


def _draw_hemisphere(axes: Axes3D, points: Array, labels: Array, view: tuple[float, float]) -> None:
    elevation, azimuth = np.radians(view)
    toward = np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ]
    )
    near = points @ toward > 0
    around, up = np.mgrid[0 : 2 * np.pi : 25j, 0 : np.pi : 13j]
    axes.plot_wireframe(
        np.cos(around) * np.sin(up),
        np.sin(around) * np.sin(up),
        np.cos(up),
        color="0.85",
        linewidth=0.4,
    )
    axes.scatter(
        *points[near].T,
        c=_colors(labels[near]),
        s=_size(points),
        linewidths=0,
        alpha=0.7,
        depthshade=False,
    )
    axes.view_init(*view)
    axes.set_box_aspect((1, 1, 1), zoom=1.5)
    axes.set_axis_off()
