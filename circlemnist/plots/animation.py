"""The embedding space as it forms: one picture moving."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from circlemnist.data.classes import CLASS_NAMES
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.plots.captions import heading, snapshot_captions
from circlemnist.plots.movie import Movie
from circlemnist.plots.projection import native_dimensions, project_frames
from circlemnist.plots.style import Array, Blank, Points, Style

FRAMES = 60


def draw(trained: EvaluatedRun, style: Style) -> Movie:
    """Draw the snapshots of a run one after another.

    Raises:
        UserError: the run has none, or is not usable.
    """
    seen, evaluation = trained.snapshots, trained.report
    embeddings = seen.embeddings.astype(np.float32)
    positions, how = project_frames(
        embeddings, style.projection, trained.config.seed, native_dimensions(trained.config)
    )
    if positions.shape[2] > 2:
        how += ", seen from one side"
    counted = f"{len(seen.labels):,} {evaluation.measured} images"
    blank = Blank(heading(trained, counted, f"{how}, "), style.theme)
    points = Points(positions, seen.labels, CLASS_NAMES[evaluation.dataset], evaluation.unseen)
    return animation_movie(points, snapshot_captions(trained), blank)


def animation_movie(points: Points, captions: Sequence[str], blank: Blank) -> Movie:
    """Draw points that move, in the colours of their classes.

    Args:
        points: at T times; those of three coordinates are seen from one side of the sphere.
        captions: T words for the times.
    """
    frames = between(points.positions[..., :2], FRAMES)
    said = np.linspace(0, len(captions) - 1, FRAMES).round().astype(int)
    with blank.figure(8, 7) as figure:
        axes = figure.add_subplot()
        axes.set_aspect("equal")
        axes.set_axis_off()
        reach = 1.05 * np.abs(points.positions[..., :2]).max()
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
        clouds = []
        for marker, part in replace(points, positions=frames[0]).by_marker():
            given: dict[str, Any] = {"marker": marker, "s": 30, "linewidths": 0, "alpha": 0.8}
            x, y = part.positions.T
            clouds.append(axes.scatter(x, y, c=part.colors(blank.theme), **given))
        caption = axes.text(0.5, 0.0, "", transform=axes.transAxes, ha="center", va="top")
        points.write_legend(figure, blank.theme)

    def show(frame: int) -> None:
        parts = replace(points, positions=frames[frame]).by_marker()
        for cloud, (_, part) in zip(clouds, parts, strict=True):
            cloud.set_offsets(part.positions)
        caption.set_text(captions[said[frame]])

    return Movie(figure, FRAMES, show)


def between(positions: Array, frames: int) -> Array:
    """Return (frames, S, D) positions, evenly spaced between those of (T, S, D), linearly."""
    times = np.linspace(0, len(positions) - 1, frames)
    before = np.minimum(times.astype(int), max(len(positions) - 2, 0))
    after = np.minimum(before + 1, len(positions) - 1)
    share = (times - before)[:, None, None]
    moved: Array = positions[before] * (1 - share) + positions[after] * share
    return moved
