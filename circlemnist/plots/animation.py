"""The embedding space as it forms: one picture moving, as GIF or MP4."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import numpy as np
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from circlemnist.errors import UserError
from circlemnist.plots.style import Theme, class_colors, class_handles, themed
from circlemnist.runs.whole_files import replacing, writing

FRAMES = 60
FRAMES_A_SECOND = 12
HOLD = 18  # frames for which the last picture stays

Array = NDArray[Any]


def movie_formats() -> tuple[str, ...]:
    """Return the suffixes that can be written here: GIF always, MP4 where ffmpeg is."""
    return (".gif", ".mp4") if FFMpegWriter.isAvailable() else (".gif",)


def between(positions: Array, frames: int) -> Array:
    """Return (frames, S, D) positions, evenly spaced between those of (T, S, D), linearly."""
    times = np.linspace(0, len(positions) - 1, frames)
    before = np.minimum(times.astype(int), max(len(positions) - 2, 0))
    after = np.minimum(before + 1, len(positions) - 1)
    share = (times - before)[:, None, None]
    moved: Array = positions[before] * (1 - share) + positions[after] * share
    return moved


def save_animation(
    positions: Array,
    labels: Array,
    names: Sequence[str],
    captions: Sequence[str],
    title: str,
    theme: Theme,
    path: Path,
    width: int,
    quiet: bool = False,
) -> None:
    """Draw the moving points, in the colours of their classes, into a GIF or MP4, atomically.

    Args:
        positions: (T, S, 2) or (T, S, 3) float, of the same S points at T times; those of three
            coordinates are drawn on the sphere, from one side.
        labels: (S,) int, index into `names`.
        captions: T words for the times.
        width: in pixels.
        quiet: show no progress.

    Raises:
        UserError: the suffix of `path` is neither, ffmpeg is missing, or the file cannot be
            written.
    """
    if path.suffix.lower() not in movie_formats():
        raise UserError(f"cannot draw a moving picture into {path}: end it in .gif")
    figure, points, caption = _first_picture(positions, labels, names, title, theme)
    frames = between(positions, FRAMES)
    said = np.linspace(0, len(positions) - 1, FRAMES).round().astype(int)
    kind = PillowWriter if path.suffix.lower() == ".gif" else FFMpegWriter
    writer: AbstractMovieWriter = kind(fps=FRAMES_A_SECOND)
    order = [*range(FRAMES), *[FRAMES - 1] * HOLD]
    with writing(path), _ffmpeg_errors():
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            replacing(path) as temporary,
            writer.saving(figure, str(temporary), dpi=width / figure.get_figwidth()),
        ):
            for frame in tqdm(order, "animation", disable=quiet or None, leave=False):
                points.set_offsets(frames[frame, :, :2])
                caption.set_text(captions[said[frame]])
                writer.grab_frame()


@contextmanager
def _ffmpeg_errors() -> Iterator[None]:
    """Turn the failure of ffmpeg into one of writing a file."""
    try:
        yield
    except CalledProcessError as error:
        raise OSError(str(error)) from error


def _first_picture(
    positions: Array, labels: Array, names: Sequence[str], title: str, theme: Theme
) -> tuple[Figure, Any, Any]:
    """The figure, and what of it moves: the points and the caption."""
    with themed(theme):
        figure = Figure(figsize=(8, 7), layout="constrained")
        axes = figure.add_subplot()
        axes.set_aspect("equal")
        axes.set_axis_off()
        reach = 1.05 * np.abs(positions[..., :2]).max()
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
        colors = class_colors(labels, theme)
        x, y = positions[0, :, :2].T
        points = axes.scatter(x, y, c=colors, s=30, linewidths=0, alpha=0.8)
        caption = axes.text(0.5, 0.0, "", transform=axes.transAxes, ha="center", va="top")
        figure.suptitle(title)
        figure.legend(
            handles=class_handles(names, theme, size=9),
            loc="outside right center",
            handletextpad=0.1,
        )
    return figure, points, caption
