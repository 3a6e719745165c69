"""What a person sees while a sweep runs: one bar over the cells, a line a cell, or nothing."""

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from tqdm.auto import tqdm

from circlemnist.evaluation.metric_names import METRICS
from circlemnist.training.progress import Mode, new_bar
from circlemnist.training.streams import unread_is_fine


class SweepProgress:
    """Shows the cells of a sweep on standard error (the bar) or output (the lines).

    Args:
        mode: "bar" for a terminal, "lines" where output is kept, "quiet" for nothing.
        total: number of cells.
        metric: shown of each cell, and of the best one so far.
        values: the metric of the cells that were evaluated before.
        say: shows, in every mode, a line that the user should know.
    """

    def __init__(
        self,
        mode: Mode,
        total: int,
        metric: str,
        values: Sequence[float],
        say: Callable[[str], object],
    ) -> None:
        self._mode, self._total, self._metric, self._say = mode, total, metric, say
        self._values = list(values)
        self._done, self._repeats = len(values), 0
        self._bar: tqdm[NoReturn] | None = None
        self._draw()

    def cell(self, words: str, value: float, seconds: float) -> None:
        """Show a cell that is evaluated, as a line that stays or in the bar."""
        self._done += 1
        self._values.append(value)
        if self._mode == "lines":
            line = f"{self._done}/{self._total}  {words}  {self._written(value)}  {seconds:.1f} s"
            with unread_is_fine(sys.stdout):
                print(line, flush=True)
        self._draw()

    def repeats(self, count: int) -> None:
        """Count so many cells in all, which a search has drawn again, as done."""
        if count != self._repeats:
            self._done, self._repeats = self._done + count - self._repeats, count
            self._draw()

    def failed(self, words: str, reason: str, cells: int) -> None:
        """Show that so many cells cannot be trained."""
        self._done += cells
        self.note(f"{words} failed: {reason}")

    def note(self, line: str) -> None:
        """Show a line that the user should know."""
        self.close()
        self._say(line)
        self._draw()

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            with unread_is_fine(sys.stderr):
                self._bar.close()
            self._bar = None

    def _written(self, value: float) -> str:
        metric = METRICS[self._metric]
        return f"{self._metric} {metric.number(value * metric.factor)}"

    def _draw(self) -> None:
        if self._mode != "bar":
            return
        best = min if METRICS[self._metric].low else max
        shown = f"best {self._written(best(self._values))}" if self._values else ""
        text = f"cell {self._done}/{self._total} |{{bar}}| {shown} {{elapsed}}<{{remaining}}"
        with unread_is_fine(sys.stderr):
            if self._bar is None:
                self._bar = new_bar(text, self._total, self._done)
            self._bar.bar_format = text
            self._bar.update(self._done - self._bar.n)
            self._bar.refresh()
