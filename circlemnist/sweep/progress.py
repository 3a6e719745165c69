"""What a person sees while a sweep runs: one bar over the cells, a line a cell, or nothing."""

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from tqdm.auto import tqdm

from circlemnist.evaluation.group import Cell
from circlemnist.evaluation.metric_names import METRICS
from circlemnist.process import unread_is_fine
from circlemnist.training.progress import Mode


class SweepProgress:
    """Shows the cells of a sweep on standard error (the bar) or output (the lines).

    Args:
        mode: "bar" for a terminal, "lines" where output is kept, "quiet" for nothing.
        total: number of cells.
        done: those that were measured before.
        metric: of which the best so far is shown.
        say: shows, in every mode, a line that the user should know.
    """

    def __init__(
        self,
        mode: Mode,
        total: int,
        done: Sequence[Cell],
        metric: str,
        say: Callable[[str], object],
    ) -> None:
        self._mode, self._total, self._metric, self._say = mode, total, metric, say
        self._values = [cell.metrics[metric] for cell in done]
        self._done, self._repeats = len(done), 0
        self._bar: tqdm[NoReturn] | None = None
        self._draw()

    def cell(self, words: str, value: float, seconds: float) -> None:
        """Show a cell that is measured, as a line that stays or in the bar."""
        self._done += 1
        self._values.append(value)
        if self._mode == "lines":
            metric = f"{self._metric} {self._written(value)}"
            with unread_is_fine(sys.stdout):
                line = f"{self._done}/{self._total}  {words}  {metric}  {seconds:.1f} s"
                print(line, flush=True)
        self._draw()

    def repeats(self, count: int) -> None:
        """Count cells that need not be trained again as done, so many in all."""
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
        """Take the bar away."""
        if self._bar is not None:
            with unread_is_fine(sys.stderr):
                self._bar.close()
            self._bar = None

    def _written(self, value: float) -> str:
        measure = METRICS[self._metric]
        return measure.number(value * measure.factor)

    def _draw(self) -> None:
        if self._mode != "bar":
            return
        best = ""
        if self._values:
            value = (min if METRICS[self._metric].low else max)(self._values)
            best = f"best {self._metric} {self._written(value)}"
        shown = f"cell {self._done}/{self._total} |{{bar}}| {best} {{elapsed}}<{{remaining}}"
        with unread_is_fine(sys.stderr):
            if self._bar is None:  # shown as soon as it is made
                self._bar = tqdm(
                    total=self._total,
                    initial=self._done,
                    bar_format=shown,
                    dynamic_ncols=True,
                    leave=False,
                    position=0,
                    miniters=1,
                )
            self._bar.bar_format = shown
            self._bar.update(self._done - self._bar.n)
            self._bar.refresh()
