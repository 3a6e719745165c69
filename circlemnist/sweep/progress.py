"""What a person sees while a sweep runs: one bar over the cells, a line a cell, or nothing."""

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from tqdm.auto import tqdm

from circlemnist.evaluation.metric_names import METRICS
from circlemnist.process import unread_is_fine
from circlemnist.sweep.plan import Plan
from circlemnist.training.progress import Mode, new_bar


class SweepProgress:
    """Shows the cells of a sweep on standard error (the bar) or output (the lines).

    Args:
        values: the metric of the plan of the cells that were evaluated before.
        say: shows, in every mode, a line that the user should know.
    """

    def __init__(
        self, mode: Mode, plan: Plan, values: Sequence[float], say: Callable[[str], object]
    ) -> None:
        self._mode, self._plan, self._values, self._say = mode, plan, list(values), say
        self._bar: tqdm[NoReturn] | None = None
        self._done = 0

    def cell(self, words: str, value: float, seconds: float, done: int) -> None:
        """Show a cell that is evaluated, as a line that stays or in the bar.

        Args:
            done: how many cells are, with this one.
        """
        self._values.append(value)
        if self._mode == "lines":
            with unread_is_fine(sys.stdout):
                line = f"{done}/{self._plan.cells}  {words}  {self._written(value)}"
                print(f"{line}  {seconds:.1f} s", flush=True)
        self.show(done)

    def note(self, line: str) -> None:
        self.close()
        self._say(line)
        self.show(self._done)

    def close(self) -> None:
        if self._bar is not None:
            with unread_is_fine(sys.stderr):
                self._bar.close()
            self._bar = None

    def show(self, done: int) -> None:
        """Show in the bar that so many cells are done, and the best value."""
        self._done = done
        if self._mode != "bar":
            return
        best = min if METRICS[self._plan.metric].low else max
        value = f"  best {self._written(best(self._values))}" if self._values else ""
        text = f"{done}/{self._plan.cells} {{bar}} {{remaining}} left{value}"
        with unread_is_fine(sys.stderr):
            if self._bar is None:
                self._bar = new_bar(text, self._plan.cells, done)
            self._bar.bar_format = text
            self._bar.update(done - self._bar.n)
            self._bar.refresh()

    def _written(self, value: float) -> str:
        metric = METRICS[self._plan.metric]
        return f"{self._plan.metric} {metric.number(value * metric.factor)}"
