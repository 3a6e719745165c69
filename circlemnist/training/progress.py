"""What a person sees while a run trains: a bar, a line an epoch, or nothing."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, NoReturn

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
        ascii="─━",
        dynamic_ncols=True,
        leave=False,
        mininterval=0,
        position=0,
    )


class Progress:
    """Shows a training of `size` images on standard error (the bar) or output (the lines).

    `config` is resolved; `say` prints the lines of `note`, which are shown in every mode.
    """

    def __init__(
        self, mode: Mode, config: Config, size: int, say: Callable[[str], object] = to_stderr
    ) -> None:
        self.mode = mode
        self.epochs = config.epochs or 0
        self.steps = size // config.batch_size
        self.bar: tqdm[NoReturn] | None = None
        self.say = say
        self.shown = 0.0

    def step(self, epoch: int, step: int, values: Tensor, lr: float) -> None:
        """Show a step, at most five times a second: reading (4,) values waits for the device."""
        now = time.monotonic()
        if self.mode != "bar" or now - self.shown < REFRESH:
            return
        self.shown = now
        done = (epoch - 1) * self.steps + step
        with unread_is_fine(sys.stderr):
            if self.bar is None:
                self.bar = new_bar("{bar}", self.epochs * self.steps, done)
            self.bar.n = done
            self.bar.bar_format = self._text(self.bar.format_dict, epoch, values.tolist())
            self.bar.refresh()

    def _text(self, bar: Mapping[str, Any], epoch: int, values: list[float]) -> str:
        """Return what stands around the bar: as much as the terminal is wide enough for."""
        loss, mean_sp, mean_sn, violating = values
        sp, sn = (f"{x:.3f}".replace("0.", ".").replace("-", "−") for x in (mean_sp, mean_sn))
        percent, left = f" {100 * bar['n'] / bar['total']:.0f} %", ""
        if bar["n"] > bar["initial"]:
            seconds = bar["elapsed"] / (bar["n"] - bar["initial"]) * (bar["total"] - bar["n"])
            left = f" {tqdm.format_interval(seconds).removeprefix('0')}"
        middle = f"{percent}{left}{' left' * bool(left)}  s_p {sp} ↑  s_n {sn} ↓"
        wide = f"{middle}  violating {100 * violating:.0f} %"
        cosines = f" s_p {sp} s_n {sn}"
        width = bar["ncols"] if isinstance(bar["ncols"], int) else 120  # of a widget
        start = f"{epoch}/{self.epochs} "
        texts = (f"{wide}  loss {loss:.2f}", wide, middle, percent + left + cosines)
        for text in (*texts, percent + cosines, percent):
            shortest_bar = 10 if "↑" in text else 4
            if len(start) + shortest_bar + len(text) <= width:
                break
        return f"{start}{{bar}}{text}"

    def epoch(self, row: Epoch) -> None:
        if self.bar is not None:
            with unread_is_fine(sys.stderr):
                self.bar.n = row.epoch * self.steps
                self.bar.refresh()  # a widget that is closed before its end would stay, in red
                self.bar.clear()
        if self.mode == "quiet":
            return
        with unread_is_fine(sys.stdout):
            print(
                f"epoch {row.epoch}/{self.epochs}  loss {row.loss:.3f}  s_p {row.mean_sp:.3f} ↑  "
                f"s_n {row.mean_sn:.3f} ↓  violating {100 * row.violating:.0f} %  "
                f"{row.seconds:.1f} s",
                flush=True,
            )

    def note(self, line: str) -> None:
        if self.bar is not None:
            with unread_is_fine(sys.stderr):
                self.bar.clear()
        self.say(line)

    def close(self) -> None:
        if self.bar is not None:
            with unread_is_fine(sys.stderr):
                self.bar.close()
            self.bar = None
