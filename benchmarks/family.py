"""The ten losses compared by docs/protocol.md, which was declared before it was run.

    python -m benchmarks family search --data-dir data     # 160 trainings or more; 2 hours
    python -m benchmarks family confirm --data-dir data    # 110 trainings; 1.5 hours
    python -m benchmarks family final --data-dir data      # 100 trainings; 1.5 hours

Durations are of 2 cores with bfloat16. Each part goes on from the CSV of the one before it, in
benchmarks/family/; the same command goes on where it was stopped, with the trainings that are not
in its CSV. A training has one thread, so that its bits do not depend on `--jobs`.

The points of a search are no grid: so the trainings come from a pool of processes and not from
`sweep`, and a row of the CSV is all that a training leaves.
"""

import csv
import io
import math
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import click
import torch
import torch.nn.functional as F
from scipy.stats import qmc

from benchmarks import shared
from circlemnist.config import Config
from circlemnist.data.datasets import Dataset, load_dataset
from circlemnist.evaluation.evaluate import evaluate
from circlemnist.evaluation.metrics import COSINE, similarity_of
from circlemnist.models.embedder import embed
from circlemnist.runs.files import write_text
from circlemnist.runs.run import alone
from circlemnist.training.build import build_training
from circlemnist.training.state import Diverged

FOLDER = shared.ROOT / "benchmarks" / "family"
VALIDATION, GALLERY = 10_000, 10_000  # images
POINTS = {"bfloat16": 16, "float32": 8}  # of the first box of a loss
GROWTHS = 2  # of a box, each by a quarter of its points
FINALISTS = 5
SEARCH_SEED, CONFIRM_SEEDS, FINAL_SEEDS = 0, (1, 2), tuple(range(10, 20))

Side = tuple[float, float]
LR, WEIGHT_DECAY = (0.02, 0.5), (1e-4, 1e-2)
# m on a linear scale, all else on a logarithmic one; in the order of the search
BOXES: dict[str, dict[str, Side]] = {
    "circle": {"gamma": (16, 256), "m": (0, 0.5), "lr": LR},
    "softmax": {"gamma": (1, 64), "lr": (0.02, 1)},
    "circle-class": {"gamma": (8, 256), "m": (0, 0.5), "lr": LR},
    "center": {"gamma": (1e-4, 0.3), "lr": (0.01, 0.5)},
    "cosface": {"gamma": (4, 128), "m": (0, 0.5), "lr": LR},
    "arcface": {"gamma": (4, 128), "m": (0, 0.8), "lr": LR},
    "sphereface": {"gamma": (4, 64), "m": (2, 5), "lr": LR},
    "adacos": {"lr": (0.02, 1)},
    "contrastive": {"m": (-0.2, 0.6), "lr": (0.05, 2)},
    "triplet": {"m": (0.02, 0.6), "lr": (0.05, 2)},
}
# how far a box may grow; SphereFace with m = 1 is the normalised softmax
MARGINS: dict[str, Side] = {
    "circle": (-0.9, 0.9),
    "circle-class": (-0.9, 0.9),
    "cosface": (0, 1.9),
    "arcface": (0, 3),
    "sphereface": (2, 8),
    "contrastive": (-0.9, 0.9),
    "triplet": (0.02, 2),
}


class Point(NamedTuple):
    """The settings that are searched; None for one that the loss does not have."""

    loss: str
    gamma: float | None
    m: float | None
    lr: float
    weight_decay: float
    precision: str


class Result(NamedTuple):
    """A training and its metrics as 0-1, by one similarity; Center Loss has two of them."""

    point: Point
    seed: int
    similarity: str
    map_at_r: float
    one_nn: float
    eer: float


COLUMNS = [*Point._fields, "seed", "similarity", "map@r", "1nn", "eer"]
Training = tuple[Point, int]  # with its seed


def read_results(path: Path) -> list[Result]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [parse_row(row) for row in csv.DictReader(file)]


def parse_row(row: dict[str, str]) -> Result:
    gamma, m = (float(row[name]) if row[name] else None for name in ("gamma", "m"))
    numbers = float(row["lr"]), float(row["weight_decay"])
    metrics = (float(row[name]) for name in ("map@r", "1nn", "eer"))
    point = Point(row["loss"], gamma, m, *numbers, row["precision"])
    return Result(point, int(row["seed"]), row["similarity"], *metrics)


def write_results(path: Path, results: Iterable[Result]) -> None:
    """Write the rows in the order of losses, points and seeds, whichever training ended first."""
    order = list(BOXES)
    rows = sorted(results, key=lambda r: (order.index(r.point.loss), str(r.point), r[1:3]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for point, seed, similarity, *metrics in rows:
        writer.writerow([*point, seed, similarity, *(f"{value:.6f}" for value in metrics)])
    write_text(path, text.getvalue())


def sobol_points(
    loss: str, box: dict[str, Side], count: int, precision: str, seed: int
) -> list[Point]:
    points = []
    for shares in qmc.Sobol(len(box), seed=seed).random(count):
        values: dict[str, float | None] = {"gamma": None, "m": None}
        for (name, side), share in zip(box.items(), shares, strict=True):
            values[name] = value_at(loss, name, float(share), side)
        points.append(Point(loss=loss, precision=precision, **values))  # type: ignore[arg-type]
    return points


def value_at(loss: str, name: str, share: float, side: Side) -> float:
    """The value at a share, 0-1, of the way through a side of the box, in 3 digits."""
    low, high = side
    if name != "m":
        return float(f"{low * (high / low) ** share:.3g}")
    if loss == "sphereface":  # whole numbers, both ends among them
        return float(low + int(share * (high - low + 1)))
    return round(low + share * (high - low), 3)


def beyond(loss: str, name: str, side: Side, upwards: bool) -> Side | None:
    """Half as much as a side of a box again, beyond one end; None where that end is the last."""
    low, high = side
    if name != "m":
        factor = math.sqrt(high / low)
        return (high, high * factor) if upwards else (low / factor, low)
    least, most = MARGINS[loss]
    step, gap = (2.0, 1.0) if loss == "sphereface" else ((high - low) / 2, 0.0)
    slab = (high + gap, min(high + step, most)) if upwards else (max(low - step, least), low - gap)
    return slab if slab[0] + gap <= slab[1] and slab[0] < most and slab[1] > least else None


def points_to_search(loss: str, results: Sequence[Result], precision: str) -> list[Point]:
    """The points of a loss that its results ask for: of its box, and of what that grew by.

    A box grows beyond the lowest or highest value of a setting where the best point has it.
    """
    box, count = {**BOXES[loss], "weight_decay": WEIGHT_DECAY}, POINTS[precision]
    points = sobol_points(loss, box, count, precision, seed=0)
    for growth in range(1, GROWTHS + 1):
        own = [result for result in results if result.point in points]
        if {result.point for result in own} != set(points):
            break
        bests = {max(rows, key=lambda r: r.map_at_r).point for rows in by_similarity(own).values()}
        ends: list[tuple[str, bool]] = []
        for name in box:
            values = [getattr(point, name) for point in points]
            ends += [(name, False)] * any(getattr(b, name) == min(values) for b in bests)
            ends += [(name, True)] * any(getattr(b, name) == max(values) for b in bests)
        for name, upwards in ends:
            slab = beyond(loss, name, box[name], upwards)
            if slab is not None:
                grown = {**box, name: slab}
                points += sobol_points(loss, grown, count // 4, precision, growth)
                box[name] = (min(slab[0], box[name][0]), max(slab[1], box[name][1]))
    return list(dict.fromkeys(points))


def by_similarity(results: Iterable[Result]) -> dict[str, list[Result]]:
    parts: dict[str, list[Result]] = {}
    for result in results:
        parts.setdefault(result.similarity, []).append(result)
    return parts


def finalists(results: Sequence[Result]) -> list[Point]:
    """The best points of one loss by MAP@R: by each similarity, five."""
    chosen: list[Point] = []
    for rows in by_similarity(results).values():
        rows.sort(key=lambda result: -result.map_at_r)
        chosen += [result.point for result in rows[:FINALISTS]]
    return list(dict.fromkeys(chosen))


def winners(results: Sequence[Result]) -> dict[str, Point]:
    """Of each similarity, the point of one loss with the best mean MAP@R over its seeds."""
    best = {}
    for similarity, rows in by_similarity(results).items():
        values: dict[Point, list[float]] = {}
        for result in rows:
            values.setdefault(result.point, []).append(result.map_at_r)
        best[similarity] = max(values, key=lambda point: statistics.mean(values[point]))
    return best


@cache
def images(data_dir: Path, validate: bool) -> Dataset:
    dataset = load_dataset("mnist", data_dir)
    return dataset.hold_out(VALIDATION) if validate else dataset


def run_training(training: Training, data_dir: Path, validate: bool) -> list[Result]:
    """Train with one thread; return the metrics, those of the worst where the loss diverged."""
    torch.set_num_threads(1)
    (point, seed), dataset = training, images(data_dir, validate)
    settings = {name: value for name, value in point._asdict().items() if value is not None}
    config = Config(dataset="mnist", seed=seed, **settings)
    similarities = dict.fromkeys([similarity_of(config), COSINE])
    config = config.resolve("mnist", len(dataset.train))
    state = build_training(config, dataset.train)
    try:
        shared.train(state, config, dataset.train, config.epochs)
    except Diverged:
        return [Result(*training, similarity.name, 0.0, 0.0, 1.0) for similarity in similarities]
    dataset = dataset.first(GALLERY) if validate else dataset
    parts = [embed(state.embedder, split.images) for split in (dataset.train, dataset.test)]
    results = []
    for similarity in similarities:
        gallery, queries = parts if similarity is not COSINE else map(F.normalize, parts)
        embedded = gallery, queries
        metrics, _ = evaluate(state.embedder, dataset, 1, similarity, embedded)
        values = (metrics[name] for name in ("map@r", "1nn", "eer"))
        results.append(Result(*training, similarity.name, *values))
    return results


def end_with_the_parent() -> None:
    """End this worker where its parent is killed, which would leave it waiting for ever."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def train_missing(
    trainings: Iterable[Training],
    path: Path,
    run: Callable[[Training], list[Result]],
    pool: ProcessPoolExecutor,
) -> int:
    """Train what is not in the CSV, write each row as it comes; return how many it trained."""
    results = read_results(path)
    done = {(result.point, result.seed) for result in results}
    futures = [pool.submit(run, training) for training in trainings if training not in done]
    for future in as_completed(futures):
        for result in future.result():
            results.append(result)
            shown = (f"{100 * value:.2f}" for value in result[3:])
            print(time.strftime("%H:%M:%S"), *result.point, *result[1:3], *shown, flush=True)
        write_results(path, results)
    return len(futures)


@click.command()
@click.argument("part", type=click.Choice(["search", "confirm", "final"]))
@shared.choice_option("--loss", BOXES)
@click.option("--precision", type=click.Choice([*POINTS]), default="bfloat16")
@click.option("--folder", type=Path, default=FOLDER, help="of the CSV files", show_default=False)
@shared.data_dir_option
@shared.jobs_option
def family(
    part: str, loss: Sequence[str], precision: str, folder: Path, data_dir: Path, jobs: int
) -> None:
    """The ten losses, chosen and compared alike: a part of the protocol."""
    folder.mkdir(parents=True, exist_ok=True)
    own, before = folder / f"{part}.csv", folder / f"{BEFORE.get(part, part)}.csv"
    run = partial(run_training, data_dir=data_dir, validate=part != "final")
    pool = ProcessPoolExecutor(jobs, initializer=end_with_the_parent)
    with alone(folder, "written"), pool:
        for name in loss:
            while train_missing(trainings_of(part, name, before, precision), own, run, pool):
                pass  # a search may have grown its box


BEFORE = {"confirm": "search", "final": "confirm"}


def trainings_of(part: str, loss: str, before: Path, precision: str) -> list[Training]:
    """The trainings of a part, by the results of the part before; for `search` its own."""
    results = [result for result in read_results(before) if result.point.loss == loss]
    if part == "search":
        points = points_to_search(loss, results, precision)
        return [(point, SEARCH_SEED) for point in points]
    done = {(result.point, result.seed) for result in results}
    earlier = {point for point, _ in done}
    if not earlier:
        raise click.UsageError(f"{before} has no {loss}: run `family {BEFORE[part]}` first")
    chosen = finalists(results) if part == "confirm" else list(winners(results).values())
    seeds = CONFIRM_SEEDS if part == "confirm" else FINAL_SEEDS
    return [(point, seed) for point in dict.fromkeys(chosen) for seed in seeds]
