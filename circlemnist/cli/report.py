"""How measures are shown to people: an aligned table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from circlemnist.evaluation.results import Evaluation

MEANINGS = {
    "1nn": "1-NN accuracy, test on training gallery",
    "20nn": "20-NN accuracy, test on training gallery",
    "centroid": "nearest class mean of the training split",
    "recall@1": "a like image is nearest, within the test split",
    "recall@2": "a like image among the nearest 2",
    "recall@4": "a like image among the nearest 4",
    "recall@8": "a like image among the nearest 8",
    "r-precision": "like images among the nearest R, R as many as there are",
    "map@r": "mean average precision at R",
    "roc_auc": "area under the ROC curve, all test pairs",
    "eer": "equal error rate",
    "tar@far=1e-02": "true accepts at 1 % false accepts",
    "tar@far=1e-03": "true accepts at 0.1 % false accepts",
    "tar@far=1e-04": "true accepts at 0.01 % false accepts",
    "precision@0.75": "like pairs among those of cosine > 0.75",
    "recall@0.75": "pairs of cosine > 0.75 among the like ones",
    "mean_sp": "mean cosine of like pairs",
    "mean_sn": "mean cosine of unlike pairs",
}
OF_PAIRS = tuple(MEANINGS)[3:]
MEANINGS |= {f"unseen/{key}": f"{MEANINGS[key]}, of unseen classes" for key in OF_PAIRS} | {
    "few-shot/all": "1-NN on 20 images a class, seen and unseen",
    "few-shot/seen": "those of seen classes",
    "few-shot/unseen": "those of unseen classes",
    "rejection/roc_auc": "area under the ROC curve: is its class in the gallery?",
    "rejection/fpr@tpr=0.95": "unseen that pass where 95 % of the seen do",
}
SHORT_TABLE = (
    *("1nn", "20nn", "centroid", "map@r", "eer", "mean_sp", "mean_sn"),
    *("unseen/recall@1", "unseen/map@r", "unseen/roc_auc", "few-shot/unseen"),
)
COSINES = ("mean_sp", "mean_sn", "unseen/mean_sp", "unseen/mean_sn")


def as_table(evaluation: "Evaluation", keys: Sequence[str] = tuple(MEANINGS)) -> str:
    """Return an aligned table of the metrics `keys` that were measured: name, value, meaning."""
    keys = [key for key in keys if key in evaluation.metrics]
    width = max(map(len, keys))
    rows = [
        f"{key:<{width}}  {_shown(key, evaluation.metrics[key])}  {MEANINGS[key]}" for key in keys
    ]
    about = f"{evaluation.dataset}, {evaluation.counted}, by {evaluation.similarity}"
    return "\n".join([f"{about}, run {evaluation.run}", *rows])


def _shown(key: str, value: float) -> str:
    return f"{value:8.4f}" if key in COSINES else f"{value:7.2%}".replace("%", " %")
