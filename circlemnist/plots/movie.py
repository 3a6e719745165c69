"""A figure that moves, and how it becomes a GIF or an MP4."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import CalledProcessError

from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.figure import Figure
from tqdm.auto import tqdm

FRAMES_A_SECOND = 12
HOLD = 18  # frames for which the last picture stays


@dataclass(frozen=True)
class Movie:
    """A figure and what it shows, frame by frame.

    Attributes:
        figure: what is drawn.
        frames: how many there are.
        show: makes the figure that of a frame, 0 to `frames` - 1.
    """

    figure: Figure
    frames: int
    show: Callable[[int], None]

    def write(self, path: Path, width: int) -> None:
        """Write a GIF, or an MP4 where `path` ends so, `width` pixels wide; a terminal sees a bar.

        Raises:
            OSError: the file cannot be written.
        """
        kind = FFMpegWriter if path.suffix.lower() == ".mp4" else PillowWriter
        writer: AbstractMovieWriter = kind(fps=FRAMES_A_SECOND)
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
