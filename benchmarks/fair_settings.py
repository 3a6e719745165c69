"""Choose gamma, m and lr of every loss on equal terms: 20 trials each, on held-out training images.

    python -m benchmarks.fair_settings                   # about 20 minutes on 2 cores
    python -m benchmarks.fair_settings --losses triplet  # one loss
    python -m benchmarks.fair_settings --plane           # embeddings of two numbers, 8 trials each
    python -m benchmarks.fair_settings --losses adacos --longer 8  # class weights 8 times as long

A trial trains the default network for one epoch on the first 55,000 training images of MNIST, with
one thread, and is measured on the last 5,000: 1-NN against the first 20,000 and MAP@R among
themselves. The 20 settings of a loss are points of a Sobol sequence in the box `BOXES` has for it.
With `--plane` it is the network of `configs/plane.toml`, and the box is of `IN_PLANE`: what ten
classes in a plane leave room for. With `--longer` the class weights begin that many times as long
as the loss has them, which says whether their length matters.
Prints the best of each, by 1-NN, then MAP@R. The test images are never looked at. What was tried is
kept in a file, a line a trial, and is not tried again.
"""

import argparse
import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
from scipy.stats import qmc

from benchmarks.family import plane_settings
from circlemnist.config import Config
from circlemnist.data.datasets import Dataset, load_dataset
from circlemnist.evaluation.metrics import knn_accuracy, nearest, retrieval, similarity_of
from circlemnist.family import FAMILY
from circlemnist.losses.class_weights import class_weights
from circlemnist.models.embedder import embed
from circlemnist.process import StopSignals
from circlemnist.training.build import build_training
from circlemnist.training.loop import train_epoch
from circlemnist.training.progress import Progress
from circlemnist.training.state import Diverged

TRIALS, TRIALS_IN_PLANE = 20, 8
HELD_OUT, GALLERY = 5_000, 20_000
# gamma and lr on a logarithmic scale, m on a linear one
BOXES: dict[str, dict[str, tuple[float, float]]] = {
    "circle": {"gamma": (16, 256), "m": (0, 0.5), "lr": (0.02, 0.5)},
    "circle-class": {"gamma": (16, 256), "m": (0, 0.5), "lr": (0.02, 0.5)},
    "triplet": {"m": (0.02, 0.6), "lr": (0.05, 2)},
    "contrastive": {"m": (-0.2, 0.6), "lr": (0.05, 2)},
    "softmax": {"gamma": (4, 64), "lr": (0.02, 1)},
    "sphereface": {"gamma": (4, 64), "m": (2, 5), "lr": (0.02, 0.5)},
    "cosface": {"gamma": (8, 128), "m": (0.05, 0.5), "lr": (0.02, 0.5)},
    "arcface": {"gamma": (8, 128), "m": (0.1, 0.8), "lr": (0.02, 0.5)},
    "adacos": {"lr": (0.02, 1)},
    "center": {"gamma": (1e-4, 0.3), "lr": (0.01, 0.5)},
}
IN_PLANE: dict[str, dict[str, tuple[float, float]]] = {
    "circle": {"gamma": (8, 128), "m": (0.3, 0.8), "lr": (0.02, 0.3)},
    "circle-class": {"gamma": (8, 128), "m": (0.5, 0.8), "lr": (0.02, 0.3)},
    "triplet": {"m": (0.02, 0.4), "lr": (0.05, 1)},
    "contrastive": {"m": (0.6, 0.95), "lr": (0.02, 0.5)},
    "softmax": {"gamma": (8, 128), "lr": (0.02, 0.5)},
    "sphereface": {"gamma": (8, 64), "m": (2, 4), "lr": (0.02, 0.3)},
    "cosface": {"gamma": (8, 128), "m": (0.02, 0.3), "lr": (0.02, 0.3)},
    "arcface": {"gamma": (8, 128), "m": (0.02, 0.4), "lr": (0.02, 0.3)},
    "adacos": {"lr": (0.02, 1)},
    "center": {"gamma": (1e-3, 0.3), "lr": (0.01, 0.3)},
}


@dataclass(frozen=True)
class Trial:
    """What one setting of a loss reached; shares as 0-1, 0 where the loss was not finite."""

    loss: str
    plane: bool
    number: int
    settings: dict[str, float]
    one_nn: float
    map_at_r: float
    longer: float = 1.0

    @property
    def what(self) -> tuple[str, bool, float, int, dict[str, float]]:
        """What was tried."""
        return self.loss, self.plane, self.longer, self.number, self.settings


def settings_of(loss: str, plane: bool) -> Iterator[dict[str, float]]:
    """Give the settings of each trial."""
    box = (IN_PLANE if plane else BOXES)[loss]
    sampler = qmc.Sobol(len(box), seed=0)
    for point in sampler.random(TRIALS_IN_PLANE if plane else TRIALS):
        yield {
            name: placed(loss, name, share, box[name])
            for name, share in zip(box, point, strict=True)
        }


def placed(loss: str, name: str, share: float, side: tuple[float, float]) -> float:
    """Return the value at a share, 0-1, of the way through a side of the box, in 3 digits."""
    low, high = side
    if name == "m":
        value = low + share * (high - low)
        return float(int(value)) if loss == "sphereface" else round(value, 3)
    return float(f"{low * (high / low) ** share:.3g}")


@cache
def images(data_dir: Path) -> Dataset:
    """The training images, the last of them to be measured on."""
    return load_dataset("mnist", data_dir).hold_out(HELD_OUT)


def tried(
    loss: str,
    plane: bool,
    longer: float,
    number: int,
    settings: dict[str, float],
    data_dir: Path,
) -> Trial:
    """Train with one setting and measure it."""
    torch.set_num_threads(1)
    dataset = images(data_dir)
    base = plane_settings(loss) if plane else {}
    # the share that was the default when the losses' own settings were chosen
    fixed = {"dataset": "mnist", "loss": loss, "epochs": 1, "plain_share": 0.25}
    config = Config(**{**base, **fixed, **settings})
    state = build_training(config, dataset.train)
    if longer != 1:
        with torch.no_grad():
            class_weights(state.objective.loss).mul_(longer)
    progress = Progress("quiet", config, len(dataset.train))
    try:
        train_epoch(state, config, dataset.train, progress, StopSignals())
    except Diverged:
        return Trial(loss, plane, number, settings, 0.0, 0.0, longer)
    test, similarity = dataset.test, similarity_of(config)
    queries = embed(state.embedder, test.images)
    gallery = embed(state.embedder, dataset.train.images[:GALLERY])
    _, neighbors = nearest(queries, gallery, 1, similarity)
    one_nn = knn_accuracy(dataset.train.labels[neighbors], test.labels, 1)
    map_at_r = retrieval(queries, test.labels, similarity)["map@r"]
    return Trial(loss, plane, number, settings, one_nn, map_at_r, longer)


def main() -> None:
    """Parse the arguments, try what was not tried, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--losses", nargs="+", choices=FAMILY, default=list(FAMILY))
    parser.add_argument("--plane", action="store_true", help="embeddings of two numbers")
    parser.add_argument("--longer", type=float, default=1.0, help="times the length of the weights")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of MNIST")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trials at once")
    parser.add_argument("--kept", type=Path, default=Path("fair_settings.jsonl"))
    arguments = parser.parse_args()
    if arguments.longer != 1 and not all(FAMILY[loss].of_classes for loss in arguments.losses):
        parser.error("--longer is for losses with class weights: name them with --losses")
    kept = arguments.kept
    lines = kept.read_text("utf-8").splitlines() if kept.exists() else []
    trials = [Trial(**json.loads(line)) for line in lines]
    plane = arguments.plane
    wanted = [
        (loss, plane, arguments.longer, number, settings)
        for loss in arguments.losses
        for number, settings in enumerate(settings_of(loss, plane))
    ]
    # those of a box as it was before are others
    trials = [trial for trial in trials if trial.what in wanted]
    known = [trial.what for trial in trials]
    todo = [(*what, arguments.data_dir) for what in wanted if what not in known]
    with ProcessPoolExecutor(arguments.jobs) as pool, kept.open("a", encoding="utf-8") as file:
        for trial in pool.map(tried, *zip(*todo, strict=True)) if todo else ():
            trials.append(trial)
            print(json.dumps(asdict(trial)), file=file, flush=True)
    print("| loss | settings | wrong of 5,000 by 1-NN | MAP@R | median of the trials |")
    print("| --- | --- | --- | --- | --- |")
    for loss in arguments.losses:
        of_loss = [trial for trial in trials if trial.loss == loss]
        of_loss.sort(key=lambda trial: (-trial.one_nn, -trial.map_at_r))
        best, median = of_loss[0], of_loss[len(of_loss) // 2]
        settings = ", ".join(f"{name} {value:g}" for name, value in best.settings.items())
        wrong = [round(HELD_OUT * (1 - trial.one_nn)) for trial in (best, median)]
        print(f"| {loss} | {settings} | {wrong[0]} | {best.map_at_r:.3f} | {wrong[1]} |")


if __name__ == "__main__":
    main()
