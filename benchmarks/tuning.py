"""Settings of digits, chosen on its training images alone; its test images are never looked at.

    python -m benchmarks digits                              # an hour on 2 cores

The 1,437 training images are cut into five folds in their order, which is that of the writers. Each
setting is trained on four and evaluated on the fifth, where one image is 0.35 %.
Expected: 97 to 99 % for each, no setting above the default by more than chance.
"""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks import shared
from benchmarks.shared import mean_sd, train
from circlemnist.config import Config
from circlemnist.data.datasets import Dataset, Split, load_dataset
from circlemnist.evaluation.evaluate import evaluate
from circlemnist.training.build import build_training

FOLDS = 5
DIGITS_SETTINGS: list[dict[str, Any]] = [{}, {"plain_share": 0.0}, {"plain_share": 0.5}]
DIGITS_SETTINGS += [{"elastic": 0.0}, {"elastic": 0.6}, {"epochs": 200}, {"batch_size": 100}]
DIGITS_SETTINGS += [{"batch_size": 100, "epochs": 40}, {"lr": 0.02}, {"weight_decay": 0.005}]
DIGITS_SETTINGS += [{"net": "small"}]


def fold_accuracy(settings: dict[str, Any], fold: int) -> float:
    """Train on all folds but one; return the 1-NN accuracy of that fold, in percent."""
    torch.set_num_threads(1)
    images = load_dataset("digits", Path()).train
    folds = torch.arange(len(images)) * FOLDS // len(images)
    here, there = (
        Split(images.images[mask], images.labels[mask]) for mask in (folds != fold, folds == fold)
    )
    config = Config(**{"dataset": "digits", "seed": fold, **settings}).resolve("digits", len(here))
    state = build_training(config, here)
    train(state, config, here, config.epochs)
    return 100 * evaluate(state.embedder, Dataset("digits", here, there))[0]["1nn"]


@click.command()
@shared.jobs_option
def digits(jobs: int) -> None:
    """Cross-validate settings on the training images of digits."""
    with ProcessPoolExecutor(jobs) as pool:
        runs = [
            [pool.submit(fold_accuracy, settings, fold) for fold in range(FOLDS)]
            for settings in DIGITS_SETTINGS
        ]
        for settings, folds in zip(DIGITS_SETTINGS, runs, strict=True):
            shares = [fold.result() for fold in folds]
            words = " ".join(f"{name}={value}" for name, value in settings.items()) or "default"
            print(f"{words:28} {mean_sd(shares)} %", flush=True)
