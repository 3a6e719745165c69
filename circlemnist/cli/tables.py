"""How reports, and comparisons of runs, are shown to people: aligned tables, and sentences."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from circlemnist.evaluation.metric_names import METRICS

if TYPE_CHECKING:
    from circlemnist.evaluation.compare import Comparison, McNemar, PairedTests
    from circlemnist.evaluation.group import Group
    from circlemnist.evaluation.report import Report

SHORT_TABLE = (
    *("1nn", "20nn", "centroid", "map@r", "eer", "mean_sp", "mean_sn"),
    *("unseen/recall@1", "unseen/map@r", "unseen/roc_auc", "few-shot/unseen"),
)
WIDTH = 100  # letters, of a line
NAME = 30  # letters, of a group beside its metrics
ALPHA = 0.05


def report_table(report: "Report", keys: Sequence[str] = tuple(METRICS)) -> str:
    """Return an aligned table of the metrics `keys` that were measured: name, value, meaning."""
    keys = [key for key in keys if key in report.metrics]
    values = [_value(key, report.metrics[key]) for key in keys]
    rows = aligned([keys, values, [METRICS[key].meaning for key in keys]])
    about = f"{report.dataset}, {report.counted}, by {report.similarity}"
    return "\n".join([f"{about}, run {report.run.name}", *rows])


def _value(key: str, value: float) -> str:
    return f"{100 * value:6.2f} %" if METRICS[key].share else f"{value:8.4f}"


def comparison_text(comparison: "Comparison") -> str:
    """Return the settings that differ, all metrics and McNemar's test."""
    groups, tests = comparison.groups, comparison.tests
    numbers = [str(number) for number in range(1, len(groups) + 1)]
    parts = [_about(groups), *_settings_tables(groups, numbers), *_metric_tables(groups, numbers)]
    if isinstance(tests, str):
        parts.append(f"no McNemar's test: {tests}")
    else:
        parts.append(_tests_in_words(groups, tests))
    return "\n\n".join(parts)


def _about(groups: Sequence["Group"]) -> str:
    """What was measured, in how many runs."""
    images = dict.fromkeys(report.evaluated_on for group in groups for report in group.runs)
    count = sum(len(group.runs) for group in groups)
    text = f"{count} runs: {'; '.join(images)}"
    if len(images) > 1:
        return f"{text}: measures on different images are not to be set against each other"
    return text


def _settings_tables(groups: Sequence["Group"], numbers: list[str]) -> Iterator[str]:
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


def _metric_tables(groups: Sequence["Group"], numbers: list[str]) -> Iterator[str]:
    """Give tables of all metrics: means, ± standard deviation where there are several seeds."""
    columns = {}
    for name, metric in METRICS.items():
        column = []
        for group in groups:
            if not all(name in report.metrics for report in group.runs):
                column.append("–")
                continue
            deviation = group.deviation(name)
            spread = "" if deviation is None else f" ± {metric.number(metric.factor * deviation)}"
            column.append(metric.number(metric.factor * group.mean(name)) + spread)
        if any(name in report.metrics for group in groups for report in group.runs):
            columns[f"{name}{' %' if metric.share else ''}"] = column
    names = [_short(group.name) for group in groups]
    yield from _tables({"": numbers, " ": names}, columns)


def _short(name: str) -> str:
    return name if len(name) <= NAME else name[: NAME - 1] + "…"


def _tests_in_words(groups: Sequence["Group"], tests: "PairedTests") -> str:
    """McNemar's test of each seed, and of several the paired t-test, with a verdict."""
    counted = groups[0].runs[0].counted
    lines = [f"1-NN on the same {counted}, 1 against 2, by McNemar's exact test:"]
    lines += [_pair_in_words(test) for test in tests.by_seed]
    if tests.unpaired:
        lines.append(f"without a partner, and left out: seeds {_seeds(tests.unpaired)}")
    over = tests.over_seeds
    if over is None:
        (only,) = tests.by_seed
        lines.append(f"{_verdict(only.p)}.")
        lines.append("This speaks of these two trainings; of their settings, several seeds do.")
        return "\n".join(lines)
    lines.append(
        f"over {len(tests.by_seed)} seeds, paired: {100 * over.difference:+.2f} ± "
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


def _tables(left: dict[str, list[str]], columns: dict[str, list[str]]) -> Iterator[str]:
    """Give tables of as many columns as fit beside each other, each with `left` at its left."""
    shown: list[list[str]] = []
    first = [[name, *column] for name, column in left.items()]
    for name, column in columns.items():
        wider = [*shown, [name, *column]]
        if shown and sum(2 + max(map(len, texts)) for texts in (*first, *wider)) > WIDTH:
            yield "\n".join(aligned([*first, *shown]))
            wider = [[name, *column]]
        shown = wider
    yield "\n".join(aligned([*first, *shown]))


def aligned(columns: Sequence[Sequence[str]], right: bool = False) -> list[str]:
    """Return the lines of a table, its columns aligned at their left, or at their right."""
    widths = [max(map(len, column)) for column in columns]
    side = ">" if right else "<"
    return [
        "  ".join(f"{text:{side}{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*columns, strict=True)
    ]
