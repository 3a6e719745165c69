"""Trainings that differ in some settings: what was varied, and what each reached."""

from dataclasses import dataclass

from circlemnist.limits import Value


@dataclass(frozen=True)
class Cell:
    """One training of a sweep, once it is measured.

    Attributes:
        varied: its value of each setting that was varied, by the names of `Config`'s fields.
        seed: its seed, of as many as each combination was trained with.
        metrics: what it reached, as eval.json has it: shares as 0-1.
    """

    varied: dict[str, Value]
    seed: int
    metrics: dict[str, float]
