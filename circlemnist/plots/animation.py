"""The embedding space and its pair plane as they form, as a GIF."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.animation import PillowWriter
from matplotlib.figure import Figure

from circlemnist.evaluation import pair_plane
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.pair_plane import Boundary, PairMeans
from circlemnist.plots.layout import drawn_names, heading, snapshot_captions
from circlemnist.plots.pair_plane import SN, SP
from circlemnist.plots.points import Points
from circlemnist.plots.projection import native_dimensions, project_frames
from circlemnist.plots.style import Array, Style, Theme, new_figure

FRAMES = 60
FRAMES_PER_SECOND = 12
HOLD = 18  # frames for which the last picture stays


@dataclass(frozen=True)
class Movie:
    """A figure that moves: `show` makes it that of a frame, 0 to `FRAMES` - 1."""

    figure: Figure
    show: Callable[[int], None]

    def write(self, path: Path, width: int) -> None:
        """Write a GIF, `width` pixels wide.

        Raises:
            OSError: the file cannot be written.
        """
        writer = PillowWriter(fps=FRAMES_PER_SECOND)
        self.show(0)
        self.figure.draw_without_rendering()  # as `save` does
        with writer.saving(self.figure, str(path), dpi=width / self.figure.get_figwidth()):
            for frame in [*range(FRAMES), *[FRAMES - 1] * HOLD]:
                self.show(frame)
                writer.grab_frame()


@dataclass(frozen=True)
class Times:
    """A sample of images at T times of a training."""

    captions: Sequence[str]  # T words, of the times
    points: Points  # (T, S, 2) or, on the sphere, (T, S, 3)
    indices: Array  # (S,) int, the images
    pairs: Array  # (T, S, 2), their places in the pair plane, columns s_n and s_p
    means: Sequence[PairMeans]  # T, of the seen classes


def times_of(
    trained: EvaluatedRun, projection: str, last: Array | None = None
) -> tuple[Times, str]:
    """Return the snapshots of a run, and how their points were made, as `project_frames` does.

    Raises:
        UserError: the run has none, or is not usable.
    """
    snapshots, config, report = trained.snapshots, trained.config, trained.report
    embeddings, labels = snapshots.embeddings.astype(np.float32), snapshots.labels
    native, boundary = native_dimensions(config), pair_plane.boundary_of(config)
    positions, how = project_frames(embeddings, projection, config.seed, native, last)
    directions = F.normalize(torch.from_numpy(embeddings), dim=-1).numpy()
    seen_frames, seen_labels = trained.seen_snapshots
    rows = F.normalize(seen_frames, dim=-1)
    times = Times(
        snapshot_captions(trained),
        Points(positions, labels, drawn_names(config), report.unseen),
        snapshots.indices,
        np.stack([pair_plane.pair_places(frame, labels) for frame in directions]),
        [pair_plane.pair_means(frame, seen_labels, boundary) for frame in rows],
    )
    return times, how


def draw(trained: EvaluatedRun, style: Style) -> Movie:
    """Draw the snapshots of a run after each other.

    Raises:
        UserError: the run has none, or is not usable.
    """
    times, how = times_of(trained, style.projection)
    if times.points.positions.shape[2] > 2:
        how += ", seen from one side"
    counted = f"{len(times.indices):,} {trained.report.split_name} images"
    title = heading(trained, counted, f"{how}, ")
    boundary = pair_plane.boundary_of(trained.config)
    return animation_movie(times, boundary, title, style.theme)


def animation_movie(times: Times, boundary: Boundary, title: str, theme: Theme) -> Movie:
    """Draw the points of each time on a map, and their pairs in the pair plane beside it."""
    points, positions = times.points, times.points.positions
    moments = np.linspace(0, len(positions) - 1, FRAMES)
    nearest_times = moments.round().astype(int)
    map_frames, pair_frames = (_between(places, moments) for places in (positions, times.pairs))
    dots: dict[str, Any] = {"alpha": 0.8, "size": 24}
    with new_figure(title, theme, 12, 6.6) as figure:
        axes, plane = figure.subplots(1, 2)
        axes.set_aspect("equal")
        axes.set_axis_off()
        reach = 1.05 * np.abs(positions).max()
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
        first = replace(points, positions=map_frames[0][:, :2])
        clouds = first.scatter(axes, theme, label="_points", **dots)
        first = replace(points, positions=pair_frames[0])
        pair_clouds = first.scatter(plane, theme, label="_pairs", **dots)
        for line in boundary.lines():
            plane.plot(*line.T, color=theme.different, linewidth=1.8, label="_boundary")
        plane.plot(0, 1, "*", color=theme.different, markersize=14, clip_on=False)
        plane.set_aspect("equal")
        side = 1.05 - min(0, np.nanmin(times.pairs) - 0.05)
        plane.set(xlim=(1.05 - side, 1.05), ylim=(1.05 - side, 1.05), xlabel=SN, ylabel=SP)
        caption = axes.text(0.5, 0.0, "", transform=axes.transAxes, ha="center", va="top")
        points.write_legend(figure, theme)

    def show(frame: int) -> None:
        for there, frames in ((clouds, map_frames), (pair_clouds, pair_frames)):
            parts = replace(points, positions=frames[frame]).by_marker()
            for cloud, (_, part) in zip(there, parts, strict=True):
                cloud.set_offsets(part.positions[:, :2])
                if part.positions.shape[1] > 2:  # the far side of the sphere is fainter
                    cloud.set_alpha(np.where(part.positions[:, 2] < 0, 0.15, 0.8).tolist())
        time = nearest_times[frame]
        means = times.means[time]
        caption.set_text(times.captions[time])
        outside = f"{100 * means.outside:.1f} % of pairs outside the {boundary.name}"
        outside = "no boundary" if boundary.name == "none" else outside
        plane.set_title(f"{outside}\n$s_p$ {means.sp:.2f}, $s_n$ {means.sn:.2f}", fontsize=11)

    return Movie(figure, show)


def _between(places: Array, moments: Array) -> Array:
    """Places (T, S, D) at moments between the times, (M, S, D), linearly."""
    before = np.minimum(moments.astype(int), max(len(places) - 2, 0))
    share = (moments - before)[:, None, None]
    after = np.minimum(before + 1, len(places) - 1)
    frames: Array = places[before] * (1 - share) + places[after] * share
    return frames
