"""How groups of runs are shown to people: tables of settings and of measures, and the test."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from circlemnist.evaluation.measures import MEASURES

if TYPE_CHECKING:
    from circlemnist.evaluation.compare import SideBySide
    from circlemnist.evaluation.groups import Group
    from circlemnist.evaluation.mcnemar import Comparison, McNemar

WIDTH = 100  # letters, of a line
NAME = 30  # letters, of a group beside its measures
ALPHA = 0.05


def as_text(found: "SideBySide") -> str:
    """Return the settings that differ, all measures and McNemar's test."""
    groups = found.groups
    numbers = [str(number) for number in range(1, len(groups) + 1)]
    parts = [about(groups), *settings_tables(groups, numbers), *measure_tables(groups, numbers)]
    test = found.comparison
    parts.append(
        f"no McNemar's test: {test}" if isinstance(test, str) else test_in_words(groups, test)
    )
    return "\n\n".join(parts)


def about(groups: Sequence["Group"]) -> str:
    """Return what was measured, in how many runs."""
    images = dict.fromkeys(run.measured_on for group in groups for run in group.runs)
    count = sum(len(group.runs) for group in groups)
    text = f"{count} runs: {'; '.join(images)}"
    if len(images) > 1:
        return f"{text}: measures on different images are not to be set against each other"
    return text


def settings_tables(groups: Sequence["Group"], numbers: list[str]) -> Iterator[str]:
    """Give tables of the settings that differ, the seeds and the runs."""
    columns = {
        name: [_setting(group.settings[name]) for group in groups] for name in groups[0].settings
    }
    columns["seeds"] = [_seeds(group.seeds) for group in groups]
    columns["run"] = [
        group.runs[0].run.name if len(group.runs) == 1 else f"{len(group.runs)} runs"
        for group in groups
    ]
    yield from _tables({"": numbers}, columns)


def measure_tables(groups: Sequence["Group"], numbers: list[str]) -> Iterator[str]:
    """Give tables of all measures: means, ± standard deviation where there are several seeds."""
    names = [_short(group.name) for group in groups]
    columns = {}
    for name, measure in MEASURES.items():
        if not any(name in run.metrics for group in groups for run in group.runs):
            continue
        column = []
        for group in groups:
            if not all(name in run.metrics for run in group.runs):
                column.append("–")
                continue
            deviation = group.deviation(name)
            spread = "" if deviation is None else f" ± {measure.number(measure.factor * deviation)}"
            column.append(measure.number(measure.factor * group.mean(name)) + spread)
        columns[f"{name}{' %' if measure.share else ''}"] = column
    yield from _tables({"": numbers, " ": names}, columns)


def test_in_words(groups: Sequence["Group"], test: "Comparison") -> str:
    """Return McNemar's test of each seed, and of several the paired t-test, with a verdict."""
    counted = groups[0].runs[0].images[1]
    lines = [f"1-NN on the same {counted}, 1 against 2, by McNemar's exact test:"]
    lines += [_pair_in_words(each) for each in test.by_seed]
    if test.unpaired:
        lines.append(f"without a partner, and left out: seeds {_seeds(test.unpaired)}")
    over = test.over_seeds
    if over is None:
        (only,) = test.by_seed
        lines.append(f"{_verdict(only.p)}.")
        lines.append("This speaks of these two trainings; of their settings, several seeds do.")
        return "\n".join(lines)
    lines.append(
        f"over {len(test.by_seed)} seeds, paired: {100 * over.difference:+.2f} ± "
        f"{100 * over.deviation:.2f} points, "
        + ("the same on each: no test" if over.p is None else f"t-test p = {over.p:.3g}")
    )
    if over.p is not None:
        lines.append(f"{_verdict(over.p)}.")
    return "\n".join(lines)


def _pair_in_words(test: "McNemar") -> str:
    first, second = test.seeds
    seeds = f"seed {first}" if first == second else f"seeds {first} and {second}"
    reached = " against ".join(f"{100 * share:.2f}" for share in test.accuracies)
    alone = f"right in 1 alone {test.first_alone}, in 2 alone {test.second_alone}"
    return f"{seeds}: {reached} %; {alone}; p = {test.p:.3g}"


def _verdict(p: float) -> str:
    """What a p says, and how often chance makes as much of two that are alike."""
    cases = f"in {100 * p:.0f} of 100 cases" if p >= 0.005 else "in fewer than 1 of 100 cases"
    shown = "A difference" if p < ALPHA else "No difference is shown"
    return f"{shown}: chance makes one as large of two that are alike {cases}"


def _setting(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _seeds(seeds: Sequence[int]) -> str:
    """Seeds in a few letters: 0-4, or 1, 3, 7."""
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"{seeds[0]}-{seeds[-1]}"
    return ", ".join(map(str, seeds))


def _short(name: str) -> str:
    return name if len(name) <= NAME else name[: NAME - 1] + "…"


def _tables(left: dict[str, list[str]], columns: dict[str, list[str]]) -> Iterator[str]:
    """Give tables of as many columns as fit beside each other, each with `left` at its left."""
    first = _widths(left)
    shown: dict[str, list[str]] = {}
    for name, column in columns.items():
        if shown and sum(first) + sum(_widths({**shown, name: column})) > WIDTH:
            yield _table({**left, **shown})
            shown = {}
        shown[name] = column
    yield _table({**left, **shown})


def _widths(columns: dict[str, list[str]]) -> list[int]:
    return [2 + max(map(len, (name, *column))) for name, column in columns.items()]


def _table(columns: dict[str, list[str]]) -> str:
    widths = _widths(columns)
    rows = zip(*([name, *column] for name, column in columns.items()), strict=True)
    return "\n".join(
        "".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
