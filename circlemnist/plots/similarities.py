"""How similar same-class and different-class pairs are, and what a threshold accepts."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.metrics import (
    COSINE,
    PairSimilarities,
    RocCurve,
    Similarity,
    pair_similarities,
    roc_curve,
)
from circlemnist.plots.layout import heading
from circlemnist.plots.style import Style, Theme, new_figure, write

BINS = 100
LOWEST_RATE = 1e-5  # of false accepts, at the left of the ROC curve


def draw(trained: EvaluatedRun, style: Style) -> Figure:
    """Draw how similar all pairs of the test split are, those of unseen classes by themselves."""
    report, rows = trained.report, []
    for chosen in (report.seen, ~report.seen) if report.unseen else (report.seen,):
        pairs = pair_similarities(*trained.points(chosen), trained.similarity)
        rows.append((pairs, roc_curve(pairs)))
    count = sum(len(pairs.sp) + len(pairs.sn) for pairs, _ in rows)
    title = heading(trained, f"{count:,} pairs of {report.split_name} images")
    return similarities_figure(rows, title, style.theme, trained.similarity)


def similarities_figure(
    rows: Sequence[tuple[PairSimilarities, RocCurve]],
    title: str,
    theme: Theme,
    similarity: Similarity = COSINE,
) -> Figure:
    """Draw histograms of pairs of both kinds, and their curve; below, those of unseen classes."""
    with new_figure(title, theme, 10, 5 * len(rows)) as figure:
        panels = figure.subplots(len(rows), 2, squeeze=False)
        for (left, right), (pairs, curve) in zip(panels, rows, strict=True):
            _draw_histograms(left, pairs, curve.threshold, similarity, theme)
            _draw_roc(right, curve, theme)
        if len(rows) > 1:
            for axes, name in zip(panels[:, 0], ("seen", "unseen"), strict=True):
                axes.set_title(f"{name} classes", fontsize=12)
    return figure


def _draw_histograms(
    axes: Axes, pairs: PairSimilarities, threshold: float, similarity: Similarity, theme: Theme
) -> None:
    # a distance has no bound: the axis ends at the farthest pair
    low, high = similarity.range
    low = low if np.isfinite(low) else float(min(pairs.sp[0], pairs.sn[0]))
    low, high = sorted((similarity.sign * low, similarity.sign * high))
    edges, threshold = np.linspace(low, high, BINS + 1), similarity.sign * threshold
    smallest = 1.0
    for s, name, color in (
        (pairs.sn, "different-class pairs", theme.different),
        (pairs.sp, "same-class pairs", theme.same),
    ):
        shares = np.histogram((similarity.sign * s).clip(low, high), edges)[0] / len(s)
        smallest = min(smallest, shares[shares > 0].min(initial=1))
        axes.stairs(shares, edges, fill=True, color=color, alpha=0.35)
        axes.stairs(shares, edges, color=color, linewidth=1.5, label=name)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.axvline(threshold, color=theme.ink, linestyle="--", linewidth=1.2)
    axes.set(
        yscale="log",
        xlim=(low, high),
        ylim=(max(smallest / 2, 1e-8), 3),
        xlabel=f"{similarity.name} of a pair",
        ylabel="share of the pairs, a bin",
    )
    right = threshold > (low + high) / 2
    side, offset = ("right", -6) if right else ("left", 6)
    text = f"equal errors at {threshold:.2f}"
    write(axes, text, (threshold, 1.4), (offset, 0), ha=side, fontsize=11)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize=11)


def _draw_roc(axes: Axes, curve: RocCurve, theme: Theme) -> None:
    axes.plot(curve.false_accepts, 100 * curve.true_accepts, color=theme.ink, linewidth=1.8)
    axes.plot(
        max(curve.equal_error, LOWEST_RATE),
        100 * (1 - curve.equal_error),
        marker="o",
        markersize=8,
        linestyle="",
        color=theme.different,
        clip_on=False,
        label=f"equal error rate {100 * curve.equal_error:.2f} %",
    )
    # where the curve is not, be the embedding good or bad
    axes.legend(loc="best", labelcolor=theme.different, handletextpad=0.1)
    lowest = 100 * float(curve.true_accepts[curve.false_accepts >= LOWEST_RATE].min(initial=1))
    axes.set(
        xscale="log",
        xlim=(LOWEST_RATE, 1),
        ylim=(max(0.0, min(90.0, np.floor(lowest / 10) * 10)), 101),
        xlabel="false-accept rate",
        ylabel="true-accept rate, %",
    )
    axes.set_title(f"area under the curve {100 * curve.area:.2f} %", fontsize=12)
    axes.grid(linewidth=0.6)
