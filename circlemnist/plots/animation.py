"""The embedding space as it forms: a picture that moves, as a GIF or an MP4."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import CalledProcessError

import numpy as np
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.plots.points import Points
from circlemnist.plots.projection import native_dimensions, project_frames
from circlemnist.plots.style import (
    Style,
    Theme,
    drawn_names,
    heading,
    new_figure,
    snapshot_captions,
)

FRAMES = 60
FRAMES_PER_SECOND = 12
HOLD = 18  # frames for which the last picture stays


@dataclass(frozen=True)
class Movie:
    """A figure that moves: `show` makes it that of a frame, 0 to `frames` - 1."""

    figure: Figure
    frames: int
    show: Callable[[int], None]

    def write(self, path: Path, width: int) -> None:
        """Write a GIF, or an MP4 where `path` ends so, `width` pixels wide; a terminal sees a bar.

        Raises:
            OSError: the file cannot be written.
        """
        kind = FFMpegWriter if path.suffix.lower() == ".mp4" else PillowWriter
        writer: AbstractMovieWriter = kind(fps=FRAMES_PER_SECOND)
        self.show(0)
        self.figure.draw_without_rendering()  # as `save` does
        order = [*range(self.frames), *[self.frames - 1] * HOLD]
        try:
            with writer.saving(self.figure, str(path), dpi=width / self.figure.get_figwidth()):
                for frame in tqdm(order, "animation", disable=None, leave=False):
                    self.show(frame)
                    writer.grab_frame()
        except CalledProcessError as error:
            raise OSError(str(error)) from error


def draw(trained: EvaluatedRun, style: Style) -> Movie:
    """Draw the snapshots of a run after each other.

    Raises:
        UserError: the run has none, or is not usable.
    """
    snapshots, report, config = trained.snapshots, trained.report, trained.config
    embeddings = snapshots.embeddings.astype(np.float32)
    native = native_dimensions(config)
    positions, how = project_frames(embeddings, style.projection, config.seed, native)
    if positions.shape[2] > 2:
        how += ", seen from one side"
    counted = f"{len(snapshots.labels):,} {report.split_name} images"
    points = Points(positions, snapshots.labels, drawn_names(report.config), report.unseen)
    title = heading(trained, counted, f"{how}, ")
    return animation_movie(points, snapshot_captions(trained), title, style.theme)


def animation_movie(points: Points, captions: Sequence[str], title: str, theme: Theme) -> Movie:
    """Draw points at T times, each with a caption; those on the sphere are seen from one side."""
    positions = points.positions[..., :2]  # (T, S, 2)
    times = np.linspace(0, len(positions) - 1, FRAMES)
    before = np.minimum(times.astype(int), max(len(positions) - 2, 0))
    after = np.minimum(before + 1, len(positions) - 1)
    share = (times - before)[:, None, None]
    frames = positions[before] * (1 - share) + positions[after] * share
    nearest_times = times.round().astype(int)
    with new_figure(title, theme, 8, 7) as figure:
        axes = figure.add_subplot()
        axes.set_aspect("equal")
        axes.set_axis_off()
        reach = 1.05 * np.abs(positions).max()
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
        clouds = replace(points, positions=frames[0]).scatter(
            axes, theme, alpha=0.8, size=30, label="_points"
        )
        caption = axes.text(0.5, 0.0, "", transform=axes.transAxes, ha="center", va="top")
        points.write_legend(figure, theme)

    def show(frame: int) -> None:
        parts = replace(points, positions=frames[frame]).by_marker()
        for cloud, (_, part) in zip(clouds, parts, strict=True):
            cloud.set_offsets(part.positions)
        caption.set_text(captions[nearest_times[frame]])

    return Movie(figure, FRAMES, show)
