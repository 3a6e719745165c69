"""What the combinations of a sweep reached, each over its seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circlemnist.evaluation.cells import Cell
from circlemnist.evaluation.measures import Measure
from circlemnist.limits import Value


@dataclass(frozen=True)
class Outcome:
    """What one combination of settings reached.

    Attributes:
        varied: its settings, those that take several values.
        values: (S,) float, of its seeds, as they are written: shares in per cent.
    """

    varied: dict[str, Value]
    values: NDArray[Any]

    @property
    def mean(self) -> float:
        return float(self.values.mean())

    @property
    def deviation(self) -> float:
        """Standard deviation over the seeds; 0 of one."""
        return float(self.values.std(ddof=1)) if len(self.values) > 1 else 0.0


def outcomes_of(cells: Sequence[Cell], metric: str, factor: int) -> list[Outcome]:
    """Return what each combination reached by `metric`, times `factor`, in the order of cells.

    Settings that are the same in all cells are left out, unless all of them are.
    """
    keys = list(cells[0].varied)
    several = [key for key in keys if len({cell.varied[key] for cell in cells}) > 1] or keys
    found: dict[tuple[Value, ...], list[float]] = {}
    for cell in cells:
        values = found.setdefault(tuple(cell.varied[key] for key in several), [])
        values.append(factor * cell.metrics[metric])
    return [
        Outcome(dict(zip(several, combination, strict=True)), np.array(values))
        for combination, values in found.items()
    ]


def best_of(outcomes: Sequence[Outcome], measure: Measure) -> Outcome:
    """Return the outcome with the best mean."""
    return (min if measure.low else max)(outcomes, key=lambda outcome: outcome.mean)


def described(varied: dict[str, Value]) -> str:
    """Return settings in words: "gamma 80, m 0.25"."""
    return ", ".join(f"{key} {written(value)}" for key, value in varied.items())


def written(value: Value) -> str:
    """Return a value as it is read: a fraction with four digits, which a search has more of."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return (
        f"{value:.4g}" if isinstance(value, float) and value % 1 else f"{value}".removesuffix(".0")
    )
