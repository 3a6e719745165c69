"""Unseen digits, nested: no unseen digit of a split helps to choose its settings (docs/unseen.md).

    python -m benchmarks family-unseen search --data-dir data    # 637 trainings; 3 hours
    python -m benchmarks family-unseen final --data-dir data     # 165 trainings; 2 hours

Durations are of 2 cores with bfloat16. The parts end with benchmarks/family/unseen-search.csv and
unseen-final.csv, from which the same command goes on where it was stopped.
"""

import statistics
from collections.abc import Sequence
from functools import partial
from itertools import chain, product
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import resumed, shared
from benchmarks.family import (
    BOXES,
    WEIGHT_DECAY,
    corrected,
    in_points,
    in_words,
    settings_of,
    sobol_points,
)
from benchmarks.resumed import Row
from circlemnist.config import Config
from circlemnist.data.datasets import Split
from circlemnist.data.extra_classes import with_extra_classes
from circlemnist.evaluation.compare import paired_difference
from circlemnist.evaluation.evaluate import embed_splits, evaluate, metrics_within
from circlemnist.evaluation.known import embed_with_features, typicality
from circlemnist.evaluation.metrics import similarity_of
from circlemnist.evaluation.report import point_at
from circlemnist.models.embedder import Embedder, embed

POINTS = 8  # of a loss, in its first box
RECIPE = "recipe"
# configs/unseen.toml when the protocol was declared, and the changes that are tried
DECLARED: dict[str, Any] = {
    **{"gamma": 80.0, "m": 0.25, "lr": 0.08, "weight_decay": 0.001, "precision": "bfloat16"},
    **{"turned": "mirrored", "halves": True, "invented": 2000, "images": 671_000},
    **{"classes_per_batch": 25, "elastic": 0.8, "plain_share": 0.25},
}
RECIPE_CHANGES: tuple[dict[str, Any], ...] = (
    *({}, {"m": 0.4}, {"elastic": 0.3}, {"images": 1_342_000}, {"invented": 6000}),
    *({"halves": False}, {"turned": "quarters"}, {"lr": 0.15}),
    # added when about half of those above had results
    *({"views": 5}, {"net": "large"}, {"net": "large", "views": 5}),
)
# unseen digits of a split → its seen digits in two halves; two splits share a half where they can.
# Each digit is unseen in two splits; the first split is that of TensorFlow Similarity's notebook.
HALVES = {
    "0+4+5+8": ("1+2+7", "3+6+9"),
    "1+2+3+6": ("0+5+8", "4+7+9"),
    "0+1+7+9": ("2+3+4", "5+6+8"),
    "2+5+7+8": ("0+1+4", "3+6+9"),
    "3+4+6+9": ("0+5+8", "1+2+7"),
}
SPLITS = tuple(HALVES)
SEEDS = ("0", "1", "2")
SCORE = "unseen/map@r"
# accepted@RATE: the share of the unseen images that `predict --far RATE` takes for known
RATES = (0.01, 0.1)
COLUMNS = (
    *("1nn", "map@r", "unseen/recall@1", SCORE, "unseen/roc_auc"),
    *("few-shot/unseen", "rejection/roc_auc"),
    *(f"accepted@{rate}" for rate in RATES),
)


def candidates(name: str) -> dict[str, dict[str, Any]]:
    """The settings that are tried for a loss, or as the recipe, by their text in the CSV."""
    if name == RECIPE:
        changes = {in_words(change) or "as declared": change for change in RECIPE_CHANGES}
        return {text: {**DECLARED, **change} for text, change in changes.items()}
    box = {**BOXES[name], "weight_decay": WEIGHT_DECAY}
    points = map(settings_of, sobol_points(name, box, POINTS, "bfloat16", seed=0))
    return {in_words(settings): settings for settings in points}


def search(row: Row, data_dir: Path) -> list[Row]:
    """Train on a half; return MAP@R of the other half of its splits, 0 where it diverged.

    The images are training images of seen digits alone: those of the split are not looked at.
    """
    dataset = resumed.load_mnist(data_dir, validate=True)
    train = images_of(dataset.train, row["half"])
    seen = digits(row["half"])
    unseen = [label for label in range(10) if label not in seen]
    config, embedder = trained(row, train, unseen)
    results = []
    for split, halves in HALVES.items():
        if row["half"] in halves:
            (other,) = set(halves) - {row["half"]}
            others = images_of(dataset.test, other)
            score = 0.0
            if embedder is not None:
                embeddings = embed(embedder, others.images, config.views)
                score = metrics_within(embeddings, others.labels, similarity_of(config))["map@r"]
            results.append(row | {"split": split, SCORE: f"{score:.6f}"})
    return results


def digits(text: str) -> list[int]:
    return list(map(int, text.split("+")))


def images_of(split: Split, text: str) -> Split:
    return split.where(torch.isin(split.labels, torch.tensor(digits(text))))


def final(row: Row, data_dir: Path) -> list[Row]:
    """Train on the seen digits of a split; return the metrics of the test images, 0-1."""
    unseen = digits(row["split"])
    dataset = resumed.load_mnist(data_dir, validate=False).leave_out(unseen)
    config, embedder = trained(row, dataset.train, unseen)
    if embedder is None:
        return [row | dict.fromkeys(COLUMNS, "0")]
    embedded, (subspaces, points) = embed_splits(embedder, dataset, config)
    metrics, _ = evaluate(embedder, dataset, config.views, similarity_of(config), embedded)
    others = images_of(dataset.test, row["split"]).images
    typical = typicality(embed_with_features(embedder, others)[1], subspaces).max(1).values
    for rate in RATES:
        accepted = typical > point_at(points, rate).threshold
        metrics[f"accepted@{rate}"] = float(accepted.double().mean())
    return [row | {name: f"{metrics[name]:.6f}" for name in COLUMNS}]


def trained(row: Row, split: Split, unseen: Sequence[int]) -> tuple[Config, Embedder | None]:
    """The settings and the embedder of a training on a split; None where it diverged."""
    settings = candidates(row["name"])[row["candidate"]]
    settings = {**settings, "dataset": "mnist", "unseen": ",".join(map(str, unseen))}
    if "images" in settings:  # declared for six digits; with fewer, as many passes
        settings["images"] = settings["images"] * (10 - len(unseen)) // 6
    config = Config(**settings, seed=int(row["seed"]))
    split = with_extra_classes(split, config)
    config = config.resolve("mnist", len(split))
    state = resumed.train_alone(config, split)
    return config, None if state is None else state.embedder


def scores_of(splits: Sequence[str], name: str, rows: Sequence[Row]) -> dict[str, float]:
    """The mean MAP@R, 0-1, of each candidate over the halves of the seen digits of these splits."""
    scores = {}
    for candidate in candidates(name):
        own = [
            float(row[SCORE])
            for row in rows
            if (row["name"], row["candidate"]) == (name, candidate) and row["split"] in splits
        ]
        if len(own) < 2 * len(splits):
            raise click.UsageError(f"{name} is not searched: run `family-unseen search`")
        scores[candidate] = statistics.mean(own)
    return scores


def chosen(splits: Sequence[str], name: str, rows: Sequence[Row]) -> str:
    """The candidate with the best mean; the earlier of equal ones."""
    scores = scores_of(splits, name, rows)
    return max(scores, key=lambda candidate: scores[candidate])


@click.command()
@click.argument("part", type=click.Choice(["search", "final"]))
@shared.choice_option("--loss", [*BOXES, RECIPE])
@resumed.folder_option
@shared.data_dir_option
@shared.jobs_option
def family_unseen(part: str, loss: Sequence[str], folder: Path, data_dir: Path, jobs: int) -> None:
    """Ten losses and the recipe on unseen digits, by the nested protocol."""
    path, rows = folder / f"unseen-{part}.csv", resumed.read_rows(folder / "unseen-search.csv")
    with resumed.workers(jobs, folder) as pool:
        for name in loss:
            if part == "search":
                run, halves = search, sorted(set(chain(*HALVES.values())))
                trainings = [
                    {"half": half, "name": name, "candidate": candidate, "seed": "0"}
                    for candidate, half in product(candidates(name), halves)
                ]
            else:
                run, best = final, {split: chosen([split], name, rows) for split in SPLITS}
                trainings = [
                    {"split": split, "name": name, "candidate": best[split], "seed": seed}
                    for split, seed in product(SPLITS, SEEDS)
                ]
            resumed.train_missing(path, trainings, partial(run, data_dir=data_dir), pool)
    if part == "final":
        results = resumed.read_rows(path)
        if set(loss) == {*BOXES, RECIPE}:
            print_losses(results)
        if RECIPE in loss:
            print_recipe(results)
            print_candidates(rows)


def percents(rows: Sequence[Row], **wanted: str) -> NDArray[np.float64]:
    """The metrics, a row for each training with these texts in its columns."""
    own = [row for row in rows if wanted.items() <= row.items()]
    return 100 * np.array([[float(row[column]) for column in COLUMNS] for row in own])


def mean_sds(values: NDArray[np.float64]) -> list[str]:
    return [shared.mean_sd(column, places=2) for column in values.T.tolist()]


def print_losses(rows: Sequence[Row]) -> None:
    """Print means over all trainings, and how MAP@R differs from that of Circle Loss.

    It is a paired t-test over the means of the splits, corrected for the losses by Holm. The
    recipe is described, and not tested.
    """
    score = COLUMNS.index(SCORE)
    means = {
        name: [percents(rows, name=name, split=split)[:, score].mean() for split in SPLITS]
        for name in (*BOXES, RECIPE)
    }
    (first, *others) = BOXES
    gaps = {name: paired_difference(means[name], means[first]) for name in (*others, RECIPE)}
    ps = dict(zip(others, corrected([gaps[name] for name in others]), strict=True))
    shared.print_head("loss", *(f"{column}, %" for column in COLUMNS), "difference", "p")
    for name in means:
        difference = in_points(gaps[name]) if name in gaps else ""
        cells = mean_sds(percents(rows, name=name))
        shared.print_row(name, *cells, difference, ps.get(name, ""))


def print_recipe(rows: Sequence[Row]) -> None:
    """Print what each split chose as the recipe, its means, and those over all trainings."""
    candidate_of = {row["split"]: row["candidate"] for row in rows if row["name"] == RECIPE}
    shared.print_head("unseen", *(f"{column}, %" for column in COLUMNS), "chosen")
    for split in SPLITS:
        means = percents(rows, name=RECIPE, split=split).mean(0)
        cells = [f"{value:.2f}" for value in means]
        shared.print_row(split.replace("+", ", "), *cells, f"`{candidate_of[split]}`")
    shared.print_row("all", *mean_sds(percents(rows, name=RECIPE)), "")


def print_candidates(rows: Sequence[Row]) -> None:
    """Print the mean of each candidate of the recipe over the searches of all splits."""
    shared.print_head("candidate", "MAP@R of the searches, %")
    for candidate, score in scores_of(SPLITS, RECIPE, rows).items():
        shared.print_row(f"`{candidate}`", f"{100 * score:.2f}")
