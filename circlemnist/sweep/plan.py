"""The plan of a sweep: settings of all trainings, those that vary, seeds; imports nothing heavy.

A cell is one training of the plan: a combination of the settings that vary, and a seed.
"""

import contextlib
import hashlib
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path

from circlemnist.catalog import CATALOG, LEAST_SPLIT, is_folder
from circlemnist.config import MACHINE_SETTINGS, Config, setting_problem, setting_type
from circlemnist.errors import SettingError, UserError
from circlemnist.evaluation.metric_names import OF_UNSEEN
from circlemnist.limits import Value, did_you_mean

# last training images, which cells are evaluated on; of digits a fifth
HOLDOUT = {name: info.holdout for name, info in CATALOG.items()}
LONGEST_NAME = 80  # letters of the name of a cell's folder
SWITCH = {"true": True, "on": True, "false": False, "off": False}
RANGE = re.compile(r"(.+?)\.\.(.+?)(:log)?")
Varied = dict[str, Value]


@dataclass(frozen=True)
class Axis:
    """A setting that varies, over a list of values or within a range."""

    name: str  # of a field of `Config`
    values: tuple[Value, ...] = ()  # none for a range
    bounds: tuple[float, float] | None = None  # of a range
    log: bool = False  # whether a range is searched on a logarithmic scale

    @property
    def ends(self) -> tuple[Value, ...]:
        return self.bounds or self.values

    def to_toml(self) -> object:
        if self.bounds is None:
            return list(self.values)
        return {"from": self.bounds[0], "to": self.bounds[1], "log": self.log}


def parse_axis(text: str) -> Axis:
    """Read `KEY=V1,V2,…`, or `KEY=LOW..HIGH` and perhaps `:log`; raises SettingError."""
    name, sign, listed = text.partition("=")
    name = name.strip().replace("-", "_")
    if not sign:
        raise SettingError("vary", f"must be KEY=V1,V2,… or KEY=LOW..HIGH, not {text!r}")
    known = [setting.name for setting in fields(Config)]
    if name not in known:
        raise SettingError("vary", f"has the unknown setting {name!r}{did_you_mean(name, known)}")
    bounds = RANGE.fullmatch(listed.strip())
    if bounds and setting_type(name) in (int, float):
        return _parse_range(name, *bounds.groups())
    values = tuple(_parse_value(name, text.strip()) for text in listed.split(","))
    for value in values:
        if values.count(value) > 1:
            raise SettingError("vary", f"has {name} = {value} twice: two cells would be the same")
    return Axis(name, values)


def _parse_range(name: str, first: str, last: str, log: str | None) -> Axis:
    low, high = (_parse_value(name, text.strip()) for text in (first, last))
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    if not low < high:
        raise SettingError("vary", f"{name} must go from less to more, not {low}..{high}")
    if log and low <= 0:
        raise SettingError("vary", f"{name} must be above 0 for a logarithmic scale, not {low}")
    return Axis(name, bounds=(low, high), log=bool(log))


def _parse_value(name: str, text: str) -> Value:
    """Read a value of a setting, within the limits that do not depend on other settings."""
    kind = setting_type(name)
    value: Value = text
    with contextlib.suppress(ValueError):
        value = SWITCH.get(text.lower(), text) if kind is bool else kind(text)
    if problem := setting_problem(name, value):
        raise SettingError("vary", f"{name} {problem}")
    if name == "unseen":  # however it is spelled; `Config` refuses what it is not
        value = "+".join(sorted(word.strip() for word in text.replace("+", ",").split(",")))
    return value


@dataclass(frozen=True)
class Plan:
    """What a sweep trains."""

    settings: dict[str, Value]  # of all cells; others have their defaults
    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]  # each combination is trained with all of them
    trials: int | None  # combinations that a search draws by TPE; None for a grid, which has all
    metric: str  # what a search improves, and what is shown

    def config(self, varied: Varied, seed: int) -> Config:
        """Return the settings of a cell, or raise SettingError where they do not fit together."""
        settings = {**self.settings, **varied, "seed": seed}
        dataset = str(settings.get("dataset"))
        fallback = LEAST_SPLIT if is_folder(dataset) else HOLDOUT["mnist"]  # until it is read
        settings.setdefault("holdout", HOLDOUT.get(dataset, fallback))
        return Config(**settings)  # type: ignore[arg-type]

    @cached_property
    def configs(self) -> list[Config]:
        """The settings of all combinations in `grid`, with the first seed."""
        return [self.config(varied, self.seeds[0]) for varied in self.grid]

    def for_dataset(self, dataset: str, classes: Sequence[str], size: int) -> "Plan":
        """Return the plan for what was loaded: by `auto`, or from a folder, of which a fifth."""
        settings: dict[str, Value] = {**self.settings, "dataset": dataset}
        if is_folder(dataset):
            holdout = max(size // 5, LEAST_SPLIT)
            settings = {"holdout": holdout, **settings, "classes": ",".join(classes)}
        return replace(self, settings=settings)

    @cached_property
    def grid(self) -> list[Varied]:
        """Every combination, the first axis turning slowest; for a search those of all ends."""
        names = [axis.name for axis in self.axes]
        ends = itertools.product(*(axis.ends for axis in self.axes))
        return [dict(zip(names, values, strict=True)) for values in ends]

    @property
    def is_search(self) -> bool:
        return self.trials is not None

    @property
    def cells(self) -> int:
        return (self.trials or len(self.grid)) * len(self.seeds)

    @cached_property
    def cell_names(self) -> dict[tuple[Value, ...], str]:
        """The folder of each cell of a grid by its values, the last of which is the seed."""
        names = [*(axis.name for axis in self.axes), "seed"]
        cells = [(*varied.values(), seed) for varied in self.grid for seed in self.seeds]
        stems = [_stem(dict(zip(names, values, strict=True))) for values in cells]
        if len(set(stems)) < len(stems) or max(map(len, stems)) > LONGEST_NAME:
            stems = [f"cell{number}" for number in range(1, len(cells) + 1)]
        return dict(zip(cells, stems, strict=True))

    @property
    def identity(self) -> str:
        """SHA-256, hexadecimal, of all that makes it another sweep."""
        settings = {name: v for name, v in self.settings.items() if name not in MACHINE_SETTINGS}
        if unseen := "unseen" in settings and self.configs[0].unseen:
            settings["unseen"] = unseen  # however it was spelled
        axes = [[axis.name, axis.to_toml()] for axis in self.axes]
        search = None if self.trials is None else [self.trials, self.metric]
        content = json.dumps([settings, axes, self.seeds, search], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def default_name(self) -> str:
        """The name of the sweep where the user gives none: the same for the same plan."""
        return "_".join(["sweep", *(axis.name for axis in self.axes), self.identity[:8]])

    @property
    def images(self) -> str:
        """Which images its cells are evaluated on, in words."""
        dataset = "" if "dataset" in self.grid[0] else f"{Path(self.configs[0].dataset).name}, "
        if min(config.holdout for config in self.configs) == 0:
            return f"{dataset}the TEST images: what is best here was chosen on them"
        counts = sorted({f"{config.holdout:,}" for config in self.configs})
        return f"{dataset}{' or '.join(counts)} validation images"

    def check(self) -> None:
        """Raise UserError where a cell's settings do not fit, or two cells are the same.

        Of a search the ends of the ranges are checked: values between them may still not fit.
        """
        if self.metric in OF_UNSEEN and any(config.unseen is None for config in self.configs):
            raise SettingError("metric", f"{self.metric} is of `unseen` classes: name some")
        for axis in self.axes:
            if axis.bounds is not None and not self.is_search:
                raise SettingError("vary", f"{axis.name} is a range: list values, or give `trials`")
            if axis.name == "dataset" and "auto" in axis.values:
                raise SettingError("vary", "dataset must name data sets, not auto")
            if axis.name == "seed":
                raise SettingError("vary", "seed: give `seeds`, and the first one as `seed`")
        by_effect: dict[str, Varied] = {}
        for varied, config in zip(self.grid, self.configs, strict=True):
            acting = {k: v for k, v in asdict(config).items() if not config.reason_unused(k)}
            twin = by_effect.setdefault(repr(acting), varied)
            if twin is not varied and not self.is_search:
                from circlemnist.evaluation.group import in_words  # which loads numpy

                both = f"{in_words(twin)} and {in_words(varied)}"
                raise UserError(f"two cells are the same training: {both}; leave one")
        for axis in self.axes:
            problems = [config.reason_unused(axis.name) for config in self.configs]
            if all(problems):
                raise SettingError("vary", f"{axis.name} {problems[0]}")
        self.config(self.grid[0], self.seeds[-1])


def _stem(settings: Varied) -> str:
    parts = [
        f"{name}{v:g}" if isinstance(v, float) else f"{name}{v}" for name, v in settings.items()
    ]
    return "_".join(re.sub(r"[^\w.+-]", "-", part) for part in parts)
