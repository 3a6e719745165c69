"""What a person sees while a run trains: a bar, a line an epoch, or nothing."""

import sys
import time
from collections.abc import Callable
from typing import Literal, NoReturn

from torch import Tensor
from tqdm.auto import tqdm

from circlemnist.config import Config
from circlemnist.runs.history import Epoch
from circlemnist.training.streams import to_stderr, unread_is_fine

REFRESH = 0.2
# what tqdm chose: bars that are widgets, which the lines below them do not wipe out
IN_NOTEBOOK = any(each.__module__ == "tqdm.notebook" for each in tqdm.__mro__)
Mode = Literal["bar", "lines", "quiet"]


def mode_for(quiet: bool) -> Mode:
    """Return how progress is shown: as a bar where somebody watches, else as lines, or not."""
    watched = IN_NOTEBOOK or (sys.stderr is not None and sys.stderr.isatty())
    return "quiet" if quiet else "bar" if watched else "lines"


def new_bar(text: str, total: int, done: int = 0) -> "tqdm[NoReturn]":
    """Return a bar with a text around it, shown at once, and gone when it is closed."""
    return tqdm(
        total=total,
        initial=done,
        bar_format=text,
        dynamic_ncols=True,
        leave=False,
        mininterval=0,
        position=0,
    )


class Progress:
    """Shows the steps and epochs of a training on standard error (the bar) or output (the lines).

    In a notebook the bar is a widget, one for all epochs.

    Args:
        mode: "bar" for a terminal or a notebook, "lines" where output is kept, "quiet" for nothing.
        config: resolved for a data set.
        size: of the training split.
        say: told, in every mode, what the user should know.
    """

    def __init__(
        self, mode: Mode, config: Config, size: int, say: Callable[[str], object] = to_stderr
    ) -> None:
        self.mode = mode
        self.epochs = config.epochs
        self.batch_size = config.batch_size
        self.images = size // config.batch_size * config.batch_size
        self.bar: tqdm[NoReturn] | None = None
        self.say = say
        self.shown = 0.0

    def step(self, epoch: int, step: int, values: Tensor, lr: float) -> None:
        """Show the `step`-th step of an epoch, at most five times a second.

        Args:
            values: (4,) loss, mean s_p, mean s_n, violating; reading them waits for the device.
        """
        now = time.monotonic()
        if self.mode != "bar" or now - self.shown < REFRESH:
            return
        self.shown = now
        with unread_is_fine(sys.stderr):
            if self.bar is not None and self.bar.n == self.images:
                self.bar.reset()
            loss, mean_sp, mean_sn, _ = values.tolist()
            rate = 0.0 if self.bar is None else self.bar.format_dict["rate"] or 0.0
            shown = (
                f"epoch {epoch}/{self.epochs} batch {step}/{self.images // self.batch_size} "
                f"|{{bar}}| loss {loss:.2f} s_p {mean_sp:.3f} s_n {mean_sn:.3f} lr {lr:.4f} "
                f"{rate:,.0f} images/s"
            )
            if self.bar is None:
                self.bar = new_bar(shown, self.images)
            self.bar.bar_format = shown
            self.bar.update(step * self.batch_size - self.bar.n)

    def epoch(self, row: Epoch) -> None:
        """Show a finished epoch as a line, which stays."""
        if not IN_NOTEBOOK:
            self.close()
        elif self.bar is not None:
            self.bar.n = self.images  # one that is closed before its end would stay, in red
            self.bar.refresh()
        if self.mode == "quiet":
            return
        with unread_is_fine(sys.stdout):
            print(
                f"epoch {row.epoch}/{self.epochs}  loss {row.loss:.3f}  "
                f"s_p {row.mean_sp:.3f}  s_n {row.mean_sn:.3f}  lr {row.lr:.5f}  "
                f"{row.seconds:.1f} s",
                flush=True,
            )

    def note(self, line: str) -> None:
        """Tell what the user should know."""
        self.close()
        self.say(line)

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            with unread_is_fine(sys.stderr):
                self.bar.close()
            self.bar = None
