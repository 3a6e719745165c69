"""Cosines within and between classes, and what a threshold on them accepts."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from circlemnist.evaluation.metrics import PairSimilarities, RocCurve, pair_similarities, roc_curve
from circlemnist.evaluation.trained_run import TrainedRun
from circlemnist.plots.captions import heading
from circlemnist.plots.style import Blank, Style, Theme

BINS = 100
LOWEST_RATE = 1e-5  # of false accepts, at the left of the ROC curve


def draw(trained: TrainedRun, style: Style) -> Figure:
    """Draw the cosines of all pairs of the test split."""
    pairs = pair_similarities(*trained.test_points)
    counted = f"{len(pairs.sp) + len(pairs.sn):,} pairs of {trained.evaluation.measured} images"
    blank = Blank(heading(trained, counted), style.theme)
    return similarities_figure(pairs, roc_curve(pairs), blank)


def similarities_figure(pairs: PairSimilarities, curve: RocCurve, blank: Blank) -> Figure:
    """Draw the histograms of both kinds of cosines, and the ROC curve of accepting by cosine.

    Args:
        pairs: the cosines.
        curve: of these pairs.
    """
    with blank.figure(10, 5) as figure:
        left, right = figure.subplots(1, 2)
        _histograms(left, pairs, curve.threshold, blank.theme)
        _roc(right, curve, blank.theme)
    return figure


def _histograms(axes: Axes, pairs: PairSimilarities, threshold: float, theme: Theme) -> None:
    edges = np.linspace(-1, 1, BINS + 1)
    like, unlike = (np.histogram(s.clip(-1, 1), edges)[0] / len(s) for s in pairs)
    for shares, name, color in (
        (unlike, "between classes", theme.unlike),
        (like, "within a class", theme.like),
    ):
        axes.stairs(shares, edges, fill=True, color=color, alpha=0.35)
        axes.stairs(shares, edges, color=color, linewidth=1.5, label=name)
    axes.axvline(threshold, color=theme.ink, linestyle="--", linewidth=1.2)
    smallest = min(shares[shares > 0].min() for shares in (like, unlike) if shares.any())
    axes.set(
        yscale="log",
        xlim=(-1, 1),
        xticks=(-1, -0.5, 0, 0.5, 1),
        ylim=(max(smallest / 2, 1e-8), 3),
        xlabel="cosine of a pair",
        ylabel="share of the pairs, a bin",
    )
    axes.annotate(
        f"equal errors at {threshold:.2f}",
        (threshold, 1.4),
        xytext=(-6 if threshold > 0 else 6, 0),
        textcoords="offset points",
        ha="right" if threshold > 0 else "left",
        fontsize=11,
    )
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize=11)


def _roc(axes: Axes, curve: RocCurve, theme: Theme) -> None:
    axes.plot(curve.false_accepts, 100 * curve.true_accepts, color=theme.ink, linewidth=1.8)
    axes.plot(
        max(curve.equal_error, LOWEST_RATE),
        100 * (1 - curve.equal_error),
        marker="o",
        markersize=8,
        linestyle="",
        color=theme.unlike,
        clip_on=False,
        label=f"equal error rate {100 * curve.equal_error:.2f} %",
    )
    # where the curve is not, be the embedding good or bad
    axes.legend(loc="best", labelcolor=theme.unlike, handletextpad=0.1)
    shown = curve.true_accepts[curve.false_accepts >= LOWEST_RATE]
    lowest = 100 * float(shown.min()) if len(shown) else 0.0
    axes.set(
        xscale="log",
        xlim=(LOWEST_RATE, 1),
        ylim=(max(0.0, min(90.0, np.floor(lowest / 10) * 10)), 101),
        xlabel="false-accept rate",
        ylabel="true-accept rate, %",
        title=f"area under the curve {100 * curve.area:.2f} %",
    )
    axes.title.set_fontsize(12)
    axes.grid(linewidth=0.6)
