"""Measure losses on digits that they were not trained on: five splits, and one table.

    python -m benchmarks.unseen --data-dir data          # ten losses, 5 splits, 3 seeds; hours
    python -m benchmarks.unseen --losses circle triplet --seeds 1
    python -m benchmarks.unseen --losses circle -- --m 0.4 --epochs 4

Each split leaves four digits out of training, each digit is left out by two of them, and the first
is that of TensorFlow Similarity's notebook. Settings are those of the losses, or what follows `--`.
It is one `circlemnist sweep`, each training with one thread, measured on the test images after its
last epoch; the same command goes on where it was stopped. Figures are in %, mean and standard
deviation over all splits and seeds. "refused" are images of seen digits that `predict` calls
unknown where it takes 1 % of the unseen ones for known. At the end each loss is set beside the
first, by MAP@R on the unseen, split by split: the seeds of a split, which are alike, are one mean.
"""

import argparse
import statistics
from collections.abc import Sequence

from benchmarks.swept import (
    REFUSED,
    Outcome,
    add_arguments,
    print_beside_the_first,
    spread,
    swept,
)
from circlemnist.family import FAMILY

SPLITS = ("0+4+5+8", "1+2+3+6", "0+1+7+9", "2+5+7+8", "3+4+6+9")
COLUMNS = {
    "seen 1-NN": "1nn",
    "seen MAP@R": "map@r",
    "recall@1": "unseen/recall@1",
    "MAP@R": "unseen/map@r",
    "AUC": "unseen/roc_auc",
    "EER": "unseen/eer",
    "few-shot": "few-shot/unseen",
    "rejection": "rejection/roc_auc",
    "refused": REFUSED,
}
TESTED = "unseen/map@r"


def main() -> None:
    """Parse the arguments, train what was not trained, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--losses", nargs="+", choices=FAMILY, default=list(FAMILY))
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=SPLITS)
    add_arguments(parser, seeds=3)
    arguments = parser.parse_args()
    varied = {"loss": arguments.losses, "unseen": arguments.splits}
    axes = [word for key in varied for word in ("--vary", f"{key}={','.join(varied[key])}")]
    outcomes = swept((*axes, "--holdout", "0"), arguments)
    print(f"{len(arguments.splits)} splits, {arguments.seeds} seeds, {' '.join(arguments.more)}")
    print(f"| loss | {' | '.join(COLUMNS)} |\n| --- |{' --- |' * len(COLUMNS)}")
    by_split: dict[str, dict[str, list[float]]] = {}
    for loss in arguments.losses:
        of_loss = [outcome for outcome in outcomes if outcome.config.loss == loss]
        reached = [spread([o.percent(metric) for o in of_loss]) for metric in COLUMNS.values()]
        print(f"| {loss} | {' | '.join(reached)} |")
        by_split[loss] = {TESTED: [mean_of(of_loss, split) for split in arguments.splits]}
    print_beside_the_first(by_split)


def mean_of(outcomes: Sequence[Outcome], split: str) -> float:
    """Return the mean over the seeds of a split."""
    of_split = [each for each in outcomes if each.config.unseen == split.replace("+", ",")]
    return statistics.mean(each.percent(TESTED) for each in of_split)


if __name__ == "__main__":
    main()
