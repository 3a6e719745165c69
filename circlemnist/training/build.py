"""From settings to a training that can begin: network, objective, SGD and its schedule."""

from collections.abc import Callable

import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
)

from circlemnist.config import Config
from circlemnist.data.datasets import Split
from circlemnist.errors import SettingError
from circlemnist.models.batch_norm import gather_statistics
from circlemnist.models.embedder import build_embedder
from circlemnist.models.precision import training_forward
from circlemnist.training.objective import build_objective
from circlemnist.training.processes import ALONE, Processes
from circlemnist.training.state import TrainState

MILESTONES = (0.5, 0.75)


def build_training(config: Config, split: Split, processes: Processes = ALONE) -> TrainState:
    """Build what `config` names, to train on a split, on the split's device.

    Args:
        config: resolved for a data set, so that the number of epochs is known.
        processes: that train together, each of which builds the same.

    Raises:
        SettingError: a batch would be larger than the split, of more classes than there are, or too
            small for each process to have a share; or the device lacks the precision.
    """
    if config.batch_size < processes.world:
        raise SettingError(
            "batch_size",
            f"must be ≥ {processes.world}, the processes that share it, not {config.batch_size}",
        )
    if config.batch_size > len(split):
        raise SettingError(
            "batch_size", f"must be ≤ {len(split)}, the training images, not {config.batch_size}"
        )
    there = len(split.labels.unique())
    if config.classes_per_batch > there:
        raise SettingError(
            "classes_per_batch",
            f"must be ≤ {there}, the classes there are, not {config.classes_per_batch}",
        )
    device = split.labels.device
    pixels = split.images.float().div_(255)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        embedder = build_embedder(config, pixels.mean().item(), pixels.std().item()).to(device)
        if processes.world > 1:
            gather_statistics(embedder)
        objective = build_objective(config, split).to(device)
    optimizer = SGD(
        [*embedder.parameters(), *objective.parameters()],
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        fused=True,
    )
    return TrainState(
        embedder,
        training_forward(embedder, config.precision),
        objective,
        optimizer,
        build_scheduler(config.scheduler, optimizer, config.lr, config.steps(len(split))),
        torch.Generator().manual_seed(config.seed),
        processes=processes,
    )


def build_scheduler(name: str, optimizer: SGD, lr: float, steps: int) -> LRScheduler:
    """Build the schedule `name` of the learning rate, stepped after each of `steps` batches."""
    schedules: dict[str, Callable[[], LRScheduler]] = {
        "onecycle": lambda: OneCycleLR(optimizer, lr, total_steps=steps, cycle_momentum=False),
        "cosine": lambda: CosineAnnealingLR(optimizer, T_max=steps),
        "multistep": lambda: MultiStepLR(optimizer, [int(share * steps) for share in MILESTONES]),
        "none": lambda: ConstantLR(optimizer, factor=1.0),
    }
    return schedules[name]()
