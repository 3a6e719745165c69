"""Measure losses on digits that they were not trained on: five splits, and one table.

    python -m benchmarks.unseen --data-dir data          # ten losses, 5 splits, 3 seeds; hours
    python -m benchmarks.unseen --losses circle triplet --seeds 1
    python -m benchmarks.unseen --losses circle -- --m 0.4 --epochs 4

Each split leaves four digits out of training, each digit is left out by two of them, and the first
is that of TensorFlow Similarity's notebook. Settings are those of the losses, or what follows `--`.
Each run is a process of its own with one thread, `--at-once` of them beside each other, measured on
the test images after its last epoch. What was reached is kept in a file, a line a run, and is not
trained again. Figures are in %, mean and standard deviation over all splits and seeds.
"""

import argparse

from benchmarks.kept import Job, add_arguments, trained
from benchmarks.quality import spread
from circlemnist.family import FAMILY

SPLITS = ("0,4,5,8", "1,2,3,6", "0,1,7,9", "2,5,7,8", "3,4,6,9")
COLUMNS = {
    "seen 1-NN": "1nn",
    "seen MAP@R": "map@r",
    "recall@1": "unseen/recall@1",
    "MAP@R": "unseen/map@r",
    "AUC": "unseen/roc_auc",
    "EER": "unseen/eer",
    "few-shot": "few-shot/unseen",
    "rejection": "rejection/roc_auc",
}


def main() -> None:
    """Parse the arguments, train what was not trained, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--losses", nargs="+", choices=FAMILY, default=list(FAMILY))
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=SPLITS)
    add_arguments(parser, seeds=3, kept="unseen.jsonl")
    arguments = parser.parse_args()
    # seed by seed and split by split, so that a table cut short has as many of each loss
    jobs = {
        (loss, split, seed): Job((*arguments.more, "--loss", loss, "--unseen", split), seed)
        for seed in range(arguments.seeds)
        for split in arguments.splits
        for loss in arguments.losses
    }
    known = trained(list(jobs.values()), arguments.data_dir, arguments.at_once, arguments.kept)
    print(f"{len(arguments.splits)} splits, {arguments.seeds} seeds, {' '.join(arguments.more)}")
    print(f"| loss | {' | '.join(COLUMNS)} |\n| --- |{' --- |' * len(COLUMNS)}")
    for loss in arguments.losses:
        outcomes = [known[job.flags, job.seed] for key, job in jobs.items() if key[0] == loss]
        cells = [
            spread([outcome.percent(metric) for outcome in outcomes]) for metric in COLUMNS.values()
        ]
        print(f"| {loss} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
