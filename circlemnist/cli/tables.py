"""Reports, comparisons and sweeps as people read them: aligned tables, and sentences."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from circlemnist.cli.messages import spelled
from circlemnist.evaluation.metric_names import METRICS, Metric

if TYPE_CHECKING:
    from circlemnist.evaluation.compare import Comparison, PairedTest
    from circlemnist.evaluation.group import Group
    from circlemnist.evaluation.report import Report
    from circlemnist.sweep.run import SweepResult

SHORT_TABLE = (
    *("1nn", "20nn", "centroid", "map@r", "eer", "mean_sp", "mean_sn"),
    *("unseen/recall@1", "unseen/map@r", "unseen/roc_auc", "few-shot/unseen"),
)
OF_SWEEP = ("1nn", "map@r", "eer")  # beside the metric that it is about
LINE_WIDTH, NAME_WIDTH = 80, 30  # letters, of a line, and of a group beside its metrics
ALPHA = 0.05


def report_table(report: "Report", keys: Sequence[str] = tuple(METRICS)) -> str:
    """Return a table of those metrics of a report that are in `keys`: name, value, meaning."""
    keys = [key for key in keys if key in report.metrics]
    values = [
        f"{100 * report.metrics[key]:6.2f} % {METRICS[key].arrow}"
        if METRICS[key].share
        else f"{report.metrics[key]:8.4f} {METRICS[key].arrow}"
        for key in keys
    ]
    dataset = Path(report.dataset).name
    about = f"{dataset}, {report.counted}, by {report.similarity}, run {report.run.name}"
    return f"{about}\n{table([keys, values, [METRICS[key].meaning for key in keys]])}"


def sweep_table(result: "SweepResult") -> str:
    """Return a table of a sweep: a row a group, its means over the seeds, the best one marked."""
    from circlemnist.evaluation.group import differing_settings, in_words, value_in_words

    plan, groups = result.plan, result.groups
    repeats = f" ({result.repeats:,} repeated)" if result.repeats else ""
    about = f"{result.cells:,} cells of {plan.cells:,}{repeats}, evaluated on {plan.images}"
    failures = [
        spelled(f"failed: {in_words(settings)}: {why}") for settings, why in result.failures
    ]
    if not groups:
        return "\n".join([about, *failures])
    best = min if METRICS[plan.metric].low else max
    winner = best(groups, key=lambda group: group.mean(plan.metric))
    means = [group.written(plan.metric).partition(" ")[0] for group in groups]
    best_mean = means[groups.index(winner)]
    mark = "best" if means.count(best_mean) == 1 else "tie for best"
    columns = [
        [name, *(value_in_words(group.settings[name]) for group in groups)]
        for name in differing_settings(groups)
    ]
    columns += [
        [key + METRICS[key].unit, *(group.written(key) for group in groups)]
        for key in dict.fromkeys([plan.metric, *OF_SWEEP])
    ]
    columns.append(["", *(mark if mean == best_mean else "" for mean in means)])
    return "\n".join([about, *failures, table(columns, right=True)])


def comparison_text(comparison: "Comparison") -> str:
    """Return the settings that differ, all metrics, and each group's test against the first."""
    groups = comparison.groups
    images = dict.fromkeys(report.evaluated_on for group in groups for report in group.runs)
    about = f"{sum(len(group.runs) for group in groups)} runs: {'; '.join(images)}"
    if len(images) > 1:
        about += ": metrics on different images cannot be compared"
    tests = _tests_in_words(comparison)
    return "\n\n".join([about, *_settings_tables(groups), *_metric_tables(groups), tests])


def _settings_tables(groups: Sequence["Group"]) -> Iterator[str]:
    from circlemnist.evaluation.group import value_in_words

    columns = [
        [name, *(value_in_words(group.settings[name], digits=6) for group in groups)]
        for name in groups[0].settings
    ]
    columns.append(["seeds", *(_seeds(group.seeds) for group in groups)])
    names = [
        group.runs[0].run.name if len(group.runs) == 1 else f"{len(group.runs)} runs"
        for group in groups
    ]
    yield from _tables([_numbers(groups)], [*columns, ["run", *names]])


def _metric_tables(groups: Sequence["Group"]) -> Iterator[str]:
    names = [
        name if len(name := group.name) <= NAME_WIDTH else f"{name[: NAME_WIDTH - 1]}…"
        for group in groups
    ]
    columns = [
        [f"{key}{' %' if metric.share else ''}", *(group.written(key) for group in groups)]
        for key, metric in METRICS.items()
        if any(key in report.metrics for group in groups for report in group.runs)
    ]
    yield from _tables([_numbers(groups), ["", *names]], columns)


def _numbers(groups: Sequence["Group"]) -> list[str]:
    return ["", *map(str, range(1, len(groups) + 1))]


def _tests_in_words(comparison: "Comparison") -> str:
    numbers = {group.name: str(n) for n, group in enumerate(comparison.groups, 1)}
    lines = []
    if tests := comparison.tests:
        metric = METRICS[comparison.metric]
        head = ["", f"difference in {comparison.metric}{metric.unit}", "95 % interval"]
        rows = [_test_row(numbers[test.group], test, metric) for test in tests]
        columns = list(zip([*head, "pairs", "p", ""], *rows, strict=True))
        count = sum(test.p_corrected is not None for test in tests)
        counted = {0: "no test", 1: "one test"}.get(count, f"{count} tests, p corrected by Holm")
        lines += [
            f"each against 1, {counted}; on the same {comparison.groups[0].runs[0].counted}:",
            table(columns),
        ]
    for test in tests:
        number = numbers[test.group]
        if test.unpaired:
            left_out = f"without a partner, and left out: seeds {_seeds(test.unpaired)}"
            lines.append(f"{number}: {left_out}")
        if test.alone is not None:
            alone = f"correct in 1 alone {test.alone[0]}, in {number} alone {test.alone[1]}"
            lines.append(f"{number}: McNemar's exact test of two trainings: {alone}")
    if any(test.alone is not None for test in tests):
        lines.append("This is about these trainings; several seeds compare their settings.")
    for name, reason in comparison.untested.items():
        lines.append(f"no test{f' of {numbers[name]}' if name else ''}: {reason}")
    return "\n".join(lines)


def _test_row(number: str, test: "PairedTest", metric: Metric) -> list[str]:
    def signed(value: float) -> str:
        return f"{metric.factor * value:+.{2 if metric.share else 4}f}"

    mean, interval, p = test.difference.mean, test.difference.interval, test.p_corrected
    first, second = test.seeds[0]
    seeds = f"seed {first}" if first == second else f"seeds {first} and {second}"
    pairs = f"{len(test.seeds)} seeds" if len(test.seeds) > 1 else seeds
    between = "–" if interval is None else " to ".join(map(signed, interval))
    if p is None:
        return [number, signed(mean), between, pairs, "–", "the same on each seed: no test"]
    verdict = "significant" if p < ALPHA else "not significant"
    return [number, signed(mean), between, pairs, f"{p:.2g}", verdict]


def _seeds(seeds: Sequence[int]) -> str:
    """Seeds in a few letters: 0-4, or 1, 3, 7."""
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"{seeds[0]}-{seeds[-1]}"
    return ", ".join(map(str, seeds))


def _tables(left: Sequence[list[str]], columns: Sequence[list[str]]) -> Iterator[str]:
    """Give tables of as many columns as fit beside each other, each with `left` at its left."""
    shown: list[list[str]] = []
    for column in columns:
        wider = [*left, *shown, column]
        if shown and sum(2 + max(map(len, texts)) for texts in wider) > LINE_WIDTH:
            yield table([*left, *shown])
            shown = []
        shown.append(column)
    yield table([*left, *shown])


def table(columns: Sequence[Sequence[str]], right: bool = False) -> str:
    """Return a table, its columns aligned at their left, or at their right."""
    side = ">" if right else "<"
    widths = [max(map(len, column)) for column in columns]
    rows = (zip(row, widths, strict=True) for row in zip(*columns, strict=True))
    return "\n".join("  ".join(f"{t:{side}{w}}" for t, w in row).rstrip() for row in rows)
