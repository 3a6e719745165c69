"""How measures are shown to people: an aligned table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from circlemnist.evaluation.measures import MEASURES

if TYPE_CHECKING:
    from circlemnist.evaluation.results import Evaluation

MEANINGS = {name: measure.meaning for name, measure in MEASURES.items()}
SHORT_TABLE = (
    *("1nn", "20nn", "centroid", "map@r", "eer", "mean_sp", "mean_sn"),
    *("unseen/recall@1", "unseen/map@r", "unseen/roc_auc", "few-shot/unseen"),
)
COSINES = tuple(name for name, measure in MEASURES.items() if not measure.share)


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
