"""What an epoch spends its time on, and what precision and threads cost.

    python -m benchmarks profile --rounds 2                         # two minutes
    python -m benchmarks precision --images 3000 --rounds 6         # bfloat16; a minute
    GOMP_SPINCOUNT=1000 python -m benchmarks precision --images 20000    # threads; a minute

Expected: the tables of docs/benchmarks.md. On one thread `precision` counts the
processor's seconds, which other programs disturb less.
"""

import statistics
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
import torch
from torch import Tensor

from benchmarks import shared
from benchmarks.shared import median_range, ratios, seconds_of, train
from circlemnist.config import Config, read_settings
from circlemnist.data.batches import random_affine
from circlemnist.data.datasets import Split, load_dataset
from circlemnist.family import FAMILY, LOSS_SETTINGS
from circlemnist.losses import pair_statistics
from circlemnist.models.precision import resolve_device, resolve_precision
from circlemnist.training.build import build_training
from circlemnist.training.loop import first_step, train_step
from circlemnist.training.state import TrainState

AUGMENTED = {"plain_share": 0.0}  # such epochs cost the most
PRECISIONS = ("float32", "bfloat16")
PARTS = ("images", "forward", "loss", "backward of the loss", "backward", "optimizer", "statistics")


def now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def epoch_in_parts(state: TrainState, config: Config, split: Split) -> dict[str, float]:
    """Train an epoch as `train_epoch` does; return the seconds of each part."""
    seconds, plain_forward = dict.fromkeys(PARTS, 0.0), state.forward

    def done(part: str) -> None:
        nonlocal last
        seconds[part] += now() - last
        last = now()

    def forward(images: Tensor) -> list[Tensor]:
        stages = plain_forward(images)
        done("forward")
        stages[-1].register_hook(lambda _: done("backward of the loss"))
        return stages

    order = first_step(config, split, state.generator).order.to(split.labels.device)
    hooks = [
        state.objective.register_forward_hook(lambda *_: done("loss")),
        state.optimizer.register_step_pre_hook(lambda *_: done("backward")),
    ]
    state.forward = forward
    state.embedder.train()
    last = now()
    for indices in order:
        images, labels = split.images[indices, None].float() / 255, split.labels[indices]
        images = random_affine(images, state.generator, config.elastic)
        done("images")
        _, embeddings = train_step(state, images, labels)
        done("optimizer")
        pair_statistics(embeddings, labels, config.circle_m)
        done("statistics")
    state.forward = plain_forward
    for hook in hooks:
        hook.remove()
    return seconds


@click.command()
@shared.config_argument
@shared.data_dir_option
@click.option("--loss", type=click.Choice([*FAMILY]), help="another loss, at its defaults")
@shared.rounds_option(3)
def profile(config: Path, data_dir: Path, loss: str | None, rounds: int) -> None:
    """Split an epoch into its parts."""
    settings = read_settings(config) | AUGMENTED
    if loss:
        settings = {name: value for name, value in settings.items() if name not in LOSS_SETTINGS}
        settings["loss"] = loss
    split = load_dataset("mnist", data_dir).train
    resolved = Config(**settings).resolve("mnist", len(split))
    # one training takes the epochs of all rounds, and one more
    device = resolve_device(resolved.device)
    precision = resolve_precision(resolved.precision, device)
    epochs = max(resolved.epochs or 0, rounds + 1)
    resolved, split = replace(resolved, epochs=epochs, precision=precision), split.to(device)
    state = build_training(resolved, split)
    epoch_in_parts(state, resolved, split)
    parts, wholes = [], []
    for _ in range(rounds):
        parts.append(epoch_in_parts(state, resolved, split))
        first = build_training(resolved, split)
        train(first, resolved, split)
        wholes.append(first.history[-1].seconds)
    seconds = {name: statistics.median(part[name] for part in parts) for name in PARTS}
    whole = statistics.median(wholes)
    seconds["other"] = whole - sum(seconds.values())
    print(f"{config.name}, {resolved.loss_and_values}, {rounds} rounds")
    print(f"{shared.machine()}, {device}, {precision}")
    for name, value in seconds.items():
        print(f"{name:22}{value:8.2f} s {value / whole:7.1%}")
    print(f"{'an epoch':22}{whole:8.2f} s")


@click.command()
@shared.config_argument
@shared.data_dir_option
@shared.rounds_option(5)
@click.option("--images", default=60_000, help="of an epoch, fewer for a glance")
def precision(config: Path, data_dir: Path, rounds: int, images: int) -> None:
    """An epoch of a recipe in bfloat16 over an epoch in float32, in turn."""
    whole = load_dataset("mnist", data_dir).train
    base = Config(**read_settings(config) | AUGMENTED).resolve("mnist", len(whole))
    base, device = replace(base, epochs=100), resolve_device(base.device)
    split = Split(whole.images[:images], whole.labels[:images]).to(device)
    configs = {name: replace(base, precision=name) for name in PRECISIONS}
    states = {name: build_training(configs[name], split) for name in PRECISIONS}
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in states}
    for turn in range(rounds + 1):
        for name, state in states.items():
            spent = seconds_of(partial(train, state, configs[name], split), clock)
            seconds[name] += [spent] if turn else []  # the first is not counted
    print(f"{config.name}, {shared.machine()}, {device}, {rounds} rounds of {len(split):,} images")
    for name, values in seconds.items():
        step = 1e3 * statistics.median(values) * base.batch_size / len(split)
        print(f"{name:<9} {median_range(values)} s an epoch, {step:.1f} ms a step")
    print(f"bfloat16 over float32 {median_range(ratios(seconds['bfloat16'], seconds['float32']))}")
