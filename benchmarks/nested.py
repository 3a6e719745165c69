"""Unseen digits, nested: no digit of a reported split chose anything. See docs/unseen.md.

    python -m benchmarks family-unseen search --data-dir data    # 880 trainings; 3 hours
    python -m benchmarks family-unseen final --data-dir data     # 165 trainings; 1.5 hours

Durations are of 2 cores with bfloat16. The same command goes on where it was stopped; the parts end
with benchmarks/family/unseen-search.csv and unseen-final.csv.
"""

import statistics
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks import shared
from benchmarks.family import BOXES, FOLDER, VALIDATION, WEIGHT_DECAY, sobol_points
from benchmarks.resumed import Row, read_rows, train_missing, workers
from benchmarks.sweeps import SPLITS, recipe_file
from circlemnist.config import Config, read_settings
from circlemnist.data.datasets import Dataset, load_dataset
from circlemnist.data.extra_classes import with_extra_classes
from circlemnist.evaluation.evaluate import evaluate, metrics_within
from circlemnist.evaluation.metrics import similarity_of
from circlemnist.models.embedder import embed
from circlemnist.runs.run import alone
from circlemnist.training.build import build_training
from circlemnist.training.state import Diverged

POINTS = 8  # of a loss, in its first box
RECIPE = "recipe"
RECIPE_CHANGES: tuple[dict[str, Any], ...] = (
    *({}, {"m": 0.4}, {"elastic": 0.3}, {"invented": 500}, {"invented": 6000}),
    *({"halves": False}, {"turned": "quarters"}, {"lr": 0.15}),
)
HALVES, SEEDS = (0, 1), (0, 1, 2)
SCORE, COLUMNS = "unseen/map@r", ("unseen/map@r", "unseen/recall@1", "few-shot/unseen", "1nn")


def candidates(name: str) -> list[dict[str, Any]]:
    """The settings that are tried for a loss, or as the recipe; none depends on an image."""
    if name == RECIPE:
        recipe = read_settings(recipe_file("unseen")) | {"precision": "bfloat16"}
        return [{**recipe, **change} for change in RECIPE_CHANGES]
    box = {**BOXES[name], "weight_decay": WEIGHT_DECAY}
    points = sobol_points(name, box, POINTS, "bfloat16", seed=0)
    return [{k: v for k, v in point._asdict().items() if v is not None} for point in points]


@cache
def images(data_dir: Path) -> Dataset:
    return load_dataset("mnist", data_dir)


def search(row: Row, data_dir: Path) -> list[Row]:
    """Train on half of the seen digits; return MAP@R of the other half, 0 where it diverged.

    The images are training images of seen digits alone: those of the split are not looked at.
    """
    seen = [label for label in range(10) if str(label) not in row["split"].split("+")]
    inner = seen[int(row["half"]) :: 2]
    dataset = images(data_dir).hold_out(VALIDATION)
    train = dataset.train.where(torch.isin(dataset.train.labels, torch.tensor(inner)))
    others = dataset.test.where(
        torch.isin(dataset.test.labels, torch.tensor([d for d in seen if d not in inner]))
    )
    score = "0"
    if (state := trained(row, replace(dataset, train=train), inner)) is not None:
        embedder, config = state
        embeddings = embed(embedder, others.images)
        value = metrics_within(embeddings, others.labels, similarity_of(config))["map@r"]
        score = f"{value:.6f}"
    return [row | {SCORE: score}]


def final(row: Row, data_dir: Path) -> list[Row]:
    """Train on the seen digits of a split; return the metrics of the test images, 0-1."""
    unseen = [int(label) for label in row["split"].split("+")]
    dataset = images(data_dir).leave_out(unseen)
    state = trained(row, dataset, [label for label in range(10) if label not in unseen])
    if state is None:
        return [row | dict.fromkeys(COLUMNS, "0")]
    embedder, config = state
    metrics, _ = evaluate(embedder, dataset, similarity=similarity_of(config))
    return [row | {name: f"{metrics[name]:.6f}" for name in COLUMNS}]


def trained(row: Row, dataset: Dataset, classes: Sequence[int]) -> Any:
    """The embedder of a training on these classes and its settings; None where it diverged."""
    torch.set_num_threads(1)
    settings = candidates(row["name"])[int(row["candidate"])]
    unseen = ",".join(str(label) for label in range(10) if label not in classes)
    config = Config(**settings | {"dataset": "mnist", "unseen": unseen, "seed": int(row["seed"])})
    split = with_extra_classes(dataset.train, config)
    config = config.resolve("mnist", len(split))
    state = build_training(config, split)
    try:
        shared.train(state, config, split, config.epochs)
    except Diverged:
        return None
    return state.embedder, config


def key(split: str, name: str, candidate: int, **rest: int) -> Row:
    row = {"split": split, "name": name, "candidate": candidate, **rest}
    return {column: str(value) for column, value in row.items()}


def chosen(split: str, name: str, rows: Sequence[Row]) -> int:
    """The candidate with the best mean over the halves of the seen digits."""
    scores = []
    for number in range(len(candidates(name))):
        wanted = key(split, name, number)
        own = [float(row[SCORE]) for row in rows if wanted.items() <= row.items()]
        if len(own) < len(HALVES):
            raise click.UsageError(f"{split}, {name} is not searched: run `family-unseen search`")
        scores.append(statistics.mean(own))
    return scores.index(max(scores))


@click.command()
@click.argument("part", type=click.Choice(["search", "final"]))
@shared.choice_option("--loss", [*BOXES, RECIPE])
@click.option("--folder", type=Path, default=FOLDER, help="of the CSV files", show_default=False)
@shared.data_dir_option
@shared.jobs_option
def family_unseen(part: str, loss: Sequence[str], folder: Path, data_dir: Path, jobs: int) -> None:
    """Ten losses and the recipe on unseen digits that chose nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    searched, path = folder / "unseen-search.csv", folder / f"unseen-{part}.csv"
    with alone(folder, "written"), workers(jobs) as pool:
        for name in loss:
            if part == "search":
                trainings = [
                    key(split, name, number, half=half, seed=0)
                    for split in SPLITS
                    for number in range(len(candidates(name)))
                    for half in HALVES
                ]
                train_missing(path, trainings, partial(search, data_dir=data_dir), pool)
                continue
            rows = read_rows(searched)
            trainings = [
                key(split, name, chosen(split, name, rows), seed=seed)
                for split in SPLITS
                for seed in SEEDS
            ]
            train_missing(path, trainings, partial(final, data_dir=data_dir), pool)
    if part == "final":
        print_final(loss, read_rows(path))


def print_final(losses: Sequence[str], rows: Sequence[Row]) -> None:
    """Print means over all trainings, and differences of the means of the splits."""
    shared.print_head("loss", *(f"{column}, %" for column in COLUMNS))
    means: dict[str, dict[str, list[float]]] = {}
    for name in losses:
        own = [row for row in rows if row["name"] == name]
        cells = [[100 * float(row[column]) for row in own] for column in COLUMNS]
        shared.print_row(name, *map(shared.mean_sd, cells))
        by_split = [[row for row in own if row["split"] == split] for split in SPLITS]
        means[name] = {
            SCORE: [statistics.mean(100 * float(row[SCORE]) for row in part) for part in by_split]
        }
    shared.print_beside_the_first(means)
