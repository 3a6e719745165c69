"""Split an epoch of a recipe into its parts, beside the floor that its multiply-adds set.

    python -m benchmarks.profile configs/default.toml --data-dir data

The parts are those of `train_epoch` in `circlemnist.training.loop`, each timed by itself; `other`
is what its whole epoch takes beyond them. The floor is the time that the multiply-adds of the
network's convolutions and matrices would take, forward and backward, at the rate of a large float32
matrix product on this machine; measured in turn with the epochs. Run it as a module: as a script,
its name hides the standard library's `profile`, which torch imports.
"""

import argparse
import os
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from circlemnist.config import Config, read_settings
from circlemnist.data.datasets import Split, load_dataset
from circlemnist.family import BY_LOSS, FAMILY
from circlemnist.losses import pair_statistics
from circlemnist.models.embedder import Embedder
from circlemnist.models.precision import resolve_device, resolve_precision
from circlemnist.process import StopSignals
from circlemnist.training.build import build_training
from circlemnist.training.loop import first_step, step_images, train_epoch, train_step
from circlemnist.training.progress import Progress
from circlemnist.training.state import TrainState

PARTS = (
    "images",
    "forward",
    "loss",
    "backward of the loss",
    "backward",
    "optimizer",
    "statistics",
)
OF_THE_NETWORK = ("forward", "backward")
SIDE, PRODUCTS = 2048, 10


class Clock:
    """Adds up the time between its ticks, by name; waits for a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.start()

    def start(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.last = self.now()

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def tick(self, name: str) -> None:
        now = self.now()
        self.seconds[name] += now - self.last
        self.last = now


def watched(state: TrainState, clock: Clock) -> TrainState:
    """Return a training whose parts tick the clock when they are done, within `train_step`."""

    def forward(images: Tensor) -> list[Tensor]:
        stages = state.forward(images)
        clock.tick("forward")
        stages[-1].register_hook(lambda _: clock.tick("backward of the loss"))
        return stages

    state.objective.register_forward_hook(lambda *_: clock.tick("loss"))
    state.optimizer.register_step_pre_hook(lambda *_: clock.tick("backward"))
    return replace(state, forward=forward)


def epoch_in_parts(
    state: TrainState, clock: Clock, config: Config, split: Split
) -> dict[str, float]:
    """Train an epoch as `train_epoch` does and return the seconds of each part.

    Args:
        state: watched by the clock.
    """
    order = first_step(config, split, state.generator).order.to(split.labels.device)
    state.embedder.train()
    clock.start()
    for indices in order:
        images, labels = step_images(state, config, split, indices), split.labels[indices]
        clock.tick("images")
        _, embeddings = train_step(state, images, labels)
        clock.tick("optimizer")
        pair_statistics(embeddings, labels, config.circle_m)
        clock.tick("statistics")
    return clock.seconds


def whole_epoch(config: Config, split: Split) -> float:
    """Return the seconds of the first epoch of a training of its own."""
    state = build_training(config, split)
    train_epoch(state, config, split, Progress("quiet", config, len(split)), StopSignals())
    return state.history[-1].seconds


def multiply_adds(embedder: Embedder, split: Split) -> int:
    """Return those of an image, forward and backward; the first layer needs no input gradient."""
    counts: list[int] = []

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        assert isinstance(layer.weight, torch.Tensor)
        places = output[0, 0].numel() if output.dim() == 4 else 1
        counts.append(layer.weight.numel() * places * (3 if counts else 2))

    layers = [m for m in embedder.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    embedder.eval()
    with torch.no_grad():
        embedder(split.images[:1, None].float() / 255)
    for hook in hooks:
        hook.remove()
    return sum(counts)


def matmul_rate(device: torch.device) -> float:
    """Return multiply-adds a second of a large float32 matrix product, the median of some."""
    one, clock, seconds = torch.randn(SIDE, SIDE, device=device), Clock(device), []
    for _ in range(PRODUCTS):
        started = clock.now()
        torch.mm(one, one)
        seconds.append(clock.now() - started)
    return SIDE**3 / statistics.median(seconds)


def main() -> None:
    """Parse the arguments, train parts and whole epochs in turn, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, nargs="?", default=Path("configs/default.toml"))
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of MNIST")
    parser.add_argument(
        "--loss", choices=FAMILY, help="another one than the recipe's, at its defaults"
    )
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16"), help="another one than the recipe's"
    )
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    # an epoch with augmentation, which costs the most
    settings = read_settings(arguments.config) | {"plain_share": 0.0}
    if arguments.loss:
        own = ("loss", *BY_LOSS)
        settings = {name: value for name, value in settings.items() if name not in own}
        settings["loss"] = arguments.loss
    if arguments.precision:
        settings["precision"] = arguments.precision
    config = Config(**settings).on("mnist")
    # one training takes the epochs of all rounds, and one more
    config = replace(config, epochs=max(config.epochs or 0, arguments.rounds + 1))
    device = resolve_device(config.device)
    split = load_dataset("mnist", arguments.data_dir).train.to(device)
    state, clock = build_training(config, split), Clock(device)
    work = multiply_adds(state.embedder, split) * len(split)
    state = watched(state, clock)
    epoch_in_parts(state, clock, config, split)
    parts, wholes, floors = [], [], []
    for _ in range(arguments.rounds):
        floors.append(work / matmul_rate(device))
        parts.append(epoch_in_parts(state, clock, config, split))
        wholes.append(whole_epoch(config, split))
    seconds = {name: statistics.median(part[name] for part in parts) for name in PARTS}
    whole, floor = statistics.median(wholes), statistics.median(floors)
    seconds["other"] = whole - sum(seconds.values())
    print(
        f"{arguments.config.name}, {config.described}, {os.cpu_count()} cores, {device}, "
        f"{resolve_precision(config.precision, device)}, {arguments.rounds} rounds"
    )
    for name, value in seconds.items():
        print(f"{name:22}{value:8.2f} s {value / whole:7.1%}")
    network = sum(seconds[name] for name in OF_THE_NETWORK)
    ratios = [one / other for one, other in zip(wholes, floors, strict=True)]
    print(f"{'an epoch':22}{whole:8.2f} s")
    print(f"outside of the network's forward and backward {1 - network / whole:.1%}")
    print(f"floor {floor:.2f} s; an epoch takes {statistics.median(ratios):.2f} times as long")


if __name__ == "__main__":
    main()
