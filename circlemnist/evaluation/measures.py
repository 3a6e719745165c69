"""The measures of an embedding by name: which way is better, how a value is written; no torch."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Measure:
    """What there is to know of a measure.

    Attributes:
        title: its name in pictures and messages.
        meaning: what it says, beside its value in a table.
        low: the lower the better, as of errors.
        share: a share 0-1, written in per cent; else a cosine.
    """

    title: str
    meaning: str
    low: bool = False
    share: bool = True

    @property
    def factor(self) -> int:
        """What a value is times to be as it is written."""
        return 100 if self.share else 1

    @property
    def unit(self) -> str:
        """What follows the title where values stand without it."""
        return ", %" if self.share else ""

    def number(self, value: float) -> str:
        """Return a value that was taken times `factor`: 99.60, or a cosine of four digits."""
        return f"{value:.{2 if self.share else 4}f}"


MEASURES = {
    "1nn": Measure("1-NN", "1-NN accuracy, test on training gallery"),
    "20nn": Measure("20-NN", "20-NN accuracy, test on training gallery"),
    "centroid": Measure("nearest class mean", "nearest class mean of the training split"),
    "recall@1": Measure("recall@1", "a like image is nearest, within the test split"),
    "recall@2": Measure("recall@2", "a like image among the nearest 2"),
    "recall@4": Measure("recall@4", "a like image among the nearest 4"),
    "recall@8": Measure("recall@8", "a like image among the nearest 8"),
    "r-precision": Measure(
        "R-precision", "like images among the nearest R, R as many as there are"
    ),
    "map@r": Measure("MAP@R", "mean average precision at R"),
    "roc_auc": Measure("area under the ROC curve", "area under the ROC curve, all test pairs"),
    "eer": Measure("equal error rate", "equal error rate", low=True),
    "tar@far=1e-02": Measure(
        "true accepts at 1 % false accepts", "true accepts at 1 % false accepts"
    ),
    "tar@far=1e-03": Measure(
        "true accepts at 0.1 % false accepts", "true accepts at 0.1 % false accepts"
    ),
    "tar@far=1e-04": Measure(
        "true accepts at 0.01 % false accepts", "true accepts at 0.01 % false accepts"
    ),
    "precision@0.75": Measure(
        "precision at cosine 0.75", "like pairs among those of cosine > 0.75"
    ),
    "recall@0.75": Measure("recall at cosine 0.75", "pairs of cosine > 0.75 among the like ones"),
    "mean_sp": Measure("mean cosine of like pairs", "mean cosine of like pairs", share=False),
    "mean_sn": Measure(
        "mean cosine of unlike pairs", "mean cosine of unlike pairs", low=True, share=False
    ),
}
# of runs alone that leave classes out of training
OF_UNSEEN = {
    f"unseen/{name}": replace(
        measure,
        title=f"{measure.title}, unseen classes",
        meaning=f"{measure.meaning}, of unseen classes",
    )
    for name, measure in tuple(MEASURES.items())[3:]  # those of pairs
} | {
    "few-shot/all": Measure(
        "1-NN, 20 images a class", "1-NN on 20 images a class, seen and unseen"
    ),
    "few-shot/seen": Measure("1-NN, 20 images a class, seen classes", "those of seen classes"),
    "few-shot/unseen": Measure(
        "1-NN, 20 images a class, unseen classes", "those of unseen classes"
    ),
    "rejection/roc_auc": Measure(
        "unseen told from seen, area under the ROC curve",
        "area under the ROC curve: is its class in the gallery?",
    ),
    "rejection/fpr@tpr=0.95": Measure(
        "unseen that pass where 95 % of the seen do",
        "unseen that pass where 95 % of the seen do",
        low=True,
    ),
}
MEASURES |= OF_UNSEEN
