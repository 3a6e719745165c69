"""What a sweep trains: base settings, what varies, seeds; imports nothing heavy."""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property

from circlemnist.config import OF_THE_MACHINE, Config
from circlemnist.errors import SettingError, UserError
from circlemnist.evaluation.metric_names import OF_UNSEEN
from circlemnist.limits import Value
from circlemnist.sweep.axes import Axis

# last training images that cells are measured on; of digits a fifth
HOLDOUT = {"mnist": 5000, "fashion-mnist": 5000, "kmnist": 5000, "digits": 287}
# where a run computes, and finds its data, makes no other sweep of it
LONGEST_NAME = 80
Varied = dict[str, Value]


@dataclass(frozen=True)
class Plan:
    """What a sweep trains.

    Attributes:
        settings: of all cells, by the names of `Config`'s fields; what is not there is by default.
        axes: what varies.
        seeds: each combination is trained with all of them.
        trials: combinations to search, by TPE; None to walk the grid of all.
        metric: what a search makes better, and what is shown.
    """

    settings: dict[str, Value]
    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]
    trials: int | None
    metric: str

    def config(self, varied: Varied, seed: int) -> Config:
        """Return the settings of a cell.

        Raises:
            SettingError: they do not fit together.
        """
        settings = {**self.settings, **varied, "seed": seed}
        settings.setdefault("holdout", HOLDOUT.get(str(settings.get("dataset")), HOLDOUT["mnist"]))
        return Config(**settings)  # type: ignore[arg-type]

    def on(self, dataset: str) -> "Plan":
        """Return the plan for the data set that `auto` turned out to be."""
        return replace(self, settings={**self.settings, "dataset": dataset})

    @cached_property
    def grid(self) -> list[Varied]:
        """Every combination, the first axis turning slowest; for a search those of all ends."""
        names = [axis.name for axis in self.axes]
        ends = itertools.product(*(axis.ends for axis in self.axes))
        return [dict(zip(names, values, strict=True)) for values in ends]

    @property
    def combinations(self) -> int:
        """How many there are to train, each with all seeds."""
        return len(self.grid) if self.trials is None else self.trials

    @property
    def cells(self) -> int:
        """How many trainings there are."""
        return self.combinations * len(self.seeds)

    @cached_property
    def names(self) -> dict[tuple[tuple[Value, ...], int], str]:
        """The folder of each cell of a grid, by its values and its seed."""
        cells = [(tuple(varied.values()), seed) for varied in self.grid for seed in self.seeds]
        stems = [self._stem(values, seed) for values, seed in cells]
        if len(set(stems)) < len(stems) or max(map(len, stems)) > LONGEST_NAME:
            stems = [f"cell{number}" for number in range(1, len(cells) + 1)]
        return dict(zip(cells, stems, strict=True))

    def _stem(self, values: tuple[Value, ...], seed: int) -> str:
        varied = zip((axis.name for axis in self.axes), values, strict=True)
        parts = [f"{name}{v:g}" if isinstance(v, float) else f"{name}{v}" for name, v in varied]
        return "_".join(re.sub(r"[^\w.+-]", "-", part) for part in [*parts, f"seed{seed}"])

    @property
    def identity(self) -> str:
        """What tells it from another sweep: SHA-256, hexadecimal."""
        settings = {name: v for name, v in self.settings.items() if name not in OF_THE_MACHINE}
        axes = [[axis.name, axis.to_toml()] for axis in self.axes]
        search = None if self.trials is None else [self.trials, self.metric]
        content = json.dumps([settings, axes, self.seeds, search], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def configs(self) -> Iterator[tuple[Varied, Config]]:
        """Settings of all combinations, with the first seed."""
        for varied in self.grid:
            yield varied, self.config(varied, self.seeds[0])

    def check(self) -> None:
        """Raise UserError where a cell's settings do not fit, or two cells are the same.

        Of a search the ends of the ranges are tried, whose values between may still not fit.
        """
        if self.metric in OF_UNSEEN and any(c.unseen is None for _, c in self.configs()):
            raise SettingError("metric", f"{self.metric} is of `unseen` classes: name some")
        for axis in self.axes:
            if axis.bounds is not None and self.trials is None:
                raise SettingError("vary", f"{axis.name} is a range: list values, or give `trials`")
            if axis.name == "dataset" and "auto" in axis.values:
                raise SettingError("vary", "dataset must name data sets, not auto")
            if axis.name == "seed":
                raise SettingError("vary", "seed: give `seeds`, and the first one as `seed`")
        seen: dict[str, Varied] = {}
        for varied, config in self.configs():
            acting = {k: v for k, v in asdict(config).items() if not config.without_effect(k)}
            twin = seen.setdefault(repr(acting), varied)
            if twin is not varied and self.trials is None:
                from circlemnist.evaluation.group import described  # which loads numpy

                one, other = described(twin), described(varied)
                raise UserError(f"two cells are the same training: {one} and {other}; leave one")
        for axis in self.axes:
            idle = [config.without_effect(axis.name) for _, config in self.configs()]
            if all(idle):
                raise SettingError("vary", f"{axis.name} {idle[0]}")
        self.config(self.grid[0], self.seeds[-1])

    @property
    def measured(self) -> str:
        """Which images its cells are measured on, in words."""
        held_out = [config.holdout for _, config in self.configs()]
        if min(held_out) == 0:
            return "the TEST images: what is best here was chosen on them"
        counts = sorted({f"{count:,}" for count in held_out})
        return f"{' or '.join(counts)} held-out training images"
