"""The metrics of an embedding by name: which way is better, how a value is written; no torch."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Metric:
    """How a metric is named and written."""

    title: str  # in pictures and messages
    explanation: str = ""  # in a table, where the title does not say enough
    low: bool = False  # lower is better, as of errors
    share: bool = True  # 0-1, written in per cent; else a cosine

    @property
    def meaning(self) -> str:
        return self.explanation or self.title

    @property
    def arrow(self) -> str:
        return "↓" if self.low else "↑"

    @property
    def factor(self) -> int:
        return 100 if self.share else 1

    @property
    def unit(self) -> str:
        return ", %" if self.share else ""

    def number(self, value: float) -> str:
        """Return a value times `factor` as text: 99.60, or a cosine of four digits."""
        return f"{value:.{2 if self.share else 4}f}"


METRICS = {
    "1nn": Metric("1-NN", "1-NN accuracy, test on training gallery"),
    "20nn": Metric("20-NN", "20-NN accuracy, test on training gallery"),
    "centroid": Metric("nearest class mean", "nearest class mean of the training split"),
    "recall@1": Metric("recall@1", "the nearest image has the same class"),
    **{
        f"recall@{k}": Metric(f"recall@{k}", f"one of the nearest {k} has the same class")
        for k in (2, 4, 8)
    },
    "r-precision": Metric("R-precision", "same class among the R nearest, R its size"),
    "map@r": Metric("MAP@R", "mean average precision at R"),
    "roc_auc": Metric("area under the ROC curve", "area under the ROC curve, all test pairs"),
    "eer": Metric("equal error rate", "errors at the threshold where both are equal", low=True),
    **{
        f"tar@far={rate:.0e}": Metric(f"true accepts at {100 * rate:g} % false accepts")
        for rate in (1e-2, 1e-3, 1e-4)
    },
    "precision@0.75": Metric("precision at cosine 0.75", "same-class share above cosine 0.75"),
    "recall@0.75": Metric("recall at cosine 0.75", "same-class pairs that have cosine > 0.75"),
    "mean_sp": Metric("s_p, mean cosine of same-class pairs", share=False),
    "mean_sn": Metric("s_n, mean cosine of different-class pairs", low=True, share=False),
}
# only of runs that leave classes out of training
OF_UNSEEN = {
    f"unseen/{name}": replace(
        metric, title=f"{metric.title}, unseen classes", explanation=metric.meaning
    )
    for name, metric in tuple(METRICS.items())[3:]  # those within one set
} | {
    "few-shot/all": Metric("1-NN, 20 images a class", "1-NN on 20 images a class, seen and unseen"),
    "few-shot/seen": Metric("1-NN, 20 images a class, seen classes", "those of seen classes"),
    "few-shot/unseen": Metric("1-NN, 20 images a class, unseen classes", "those of unseen classes"),
    "rejection/roc_auc": Metric(
        "unseen told from seen, area under the ROC curve", "ROC area: is its class in the gallery?"
    ),
    "rejection/fpr@tpr=0.95": Metric("unseen that pass where 95 % of the seen do", low=True),
}
METRICS |= OF_UNSEEN
