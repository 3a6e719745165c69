"""What a person sees while a run trains: a bar, a line an epoch, or nothing."""

import sys
import time
from collections.abc import Callable
from typing import Literal, NoReturn

from torch import Tensor
from tqdm.auto import tqdm

from circlemnist.config import Config
from circlemnist.process import to_stderr, unread_is_fine
from circlemnist.runs.history import Epoch

REFRESH = 0.2
# tqdm.auto chose a widget, which printed lines do not overwrite
IN_NOTEBOOK = any(base.__module__ == "tqdm.notebook" for base in tqdm.__mro__)
Mode = Literal["bar", "lines", "quiet"]


def mode_for(quiet: bool) -> Mode:
    """Return the mode: a bar in a terminal or a notebook, else a line an epoch; or nothing."""
    interactive = IN_NOTEBOOK or (sys.stderr is not None and sys.stderr.isatty())
    return "quiet" if quiet else "bar" if interactive else "lines"


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

    In a notebook the bar is a widget, one for all epochs. `say` prints the lines of `note`, which
    are shown in every mode.

    Args:
        config: resolved for a data set.
        size: of the training split.
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
        """Show a step, at most five times a second: reading (4,) values waits for the device."""
        now = time.monotonic()
        if self.mode != "bar" or now - self.shown < REFRESH:
            return
        self.shown = now
        with unread_is_fine(sys.stderr):
            if self.bar is not None and self.bar.n == self.images:
                self.bar.reset()
            loss, mean_sp, mean_sn, _ = values.tolist()
            rate = 0.0 if self.bar is None else self.bar.format_dict["rate"] or 0.0
            text = (
                f"epoch {epoch}/{self.epochs} batch {step}/{self.images // self.batch_size} "
                f"|{{bar}}| loss {loss:.2f} s_p {mean_sp:.3f} s_n {mean_sn:.3f} lr {lr:.4f} "
                f"{rate:,.0f} images/s"
            )
            if self.bar is None:
                self.bar = new_bar(text, self.images)
            self.bar.bar_format = text
            self.bar.update(step * self.batch_size - self.bar.n)

    def epoch(self, row: Epoch) -> None:
        if not IN_NOTEBOOK:
            self.close()
        elif self.bar is not None:
            self.bar.n = self.images  # a widget that is closed before its end would stay, in red
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
        self.close()
        self.say(line)

    def close(self) -> None:
        if self.bar is not None:
            with unread_is_fine(sys.stderr):
                self.bar.close()
            self.bar = None
