"""The measures of an embedding by name: which way is better, how a value is written; no torch."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Measure:
    """What there is to know of a measure.

    Attributes:
        title: its name in pictures and messages.
        low: the lower the better, as of errors.
        share: a share 0-1, written in per cent; else a cosine.
    """

    title: str
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
    "1nn": Measure("1-NN"),
    "20nn": Measure("20-NN"),
    "centroid": Measure("nearest class mean"),
    "recall@1": Measure("recall@1"),
    "recall@2": Measure("recall@2"),
    "recall@4": Measure("recall@4"),
    "recall@8": Measure("recall@8"),
    "r-precision": Measure("R-precision"),
    "map@r": Measure("MAP@R"),
    "roc_auc": Measure("area under the ROC curve"),
    "eer": Measure("equal error rate", low=True),
    "tar@far=1e-02": Measure("true accepts at 1 % false accepts"),
    "tar@far=1e-03": Measure("true accepts at 0.1 % false accepts"),
    "tar@far=1e-04": Measure("true accepts at 0.01 % false accepts"),
    "precision@0.75": Measure("precision at cosine 0.75"),
    "recall@0.75": Measure("recall at cosine 0.75"),
    "mean_sp": Measure("mean cosine of like pairs", share=False),
    "mean_sn": Measure("mean cosine of unlike pairs", low=True, share=False),
}
# of runs alone that leave classes out of training
OF_UNSEEN = {
    f"unseen/{name}": replace(MEASURES[name], title=f"{MEASURES[name].title}, unseen classes")
    for name in tuple(MEASURES)[3:]
} | {
    "few-shot/all": Measure("1-NN, 20 images a class"),
    "few-shot/seen": Measure("1-NN, 20 images a class, seen classes"),
    "few-shot/unseen": Measure("1-NN, 20 images a class, unseen classes"),
    "rejection/roc_auc": Measure("unseen told from seen, area under the ROC curve"),
    "rejection/fpr@tpr=0.95": Measure("unseen that pass where 95 % of the seen do", low=True),
}
MEASURES |= OF_UNSEEN
