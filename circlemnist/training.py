"""The training loop: one epoch reads from top to bottom."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
)

from circlemnist.augment import random_affine
from circlemnist.checkpoint import save_checkpoint
from circlemnist.config import Config, SettingError
from circlemnist.data import CLASSES, Split, batches
from circlemnist.errors import UserError
from circlemnist.loss import CircleLoss, ClassCircleLoss
from circlemnist.loss.circle import PairSets
from circlemnist.model import Embedder, build_embedder
from circlemnist.progress import Progress
from circlemnist.run import Epoch, Run

MILESTONES = (0.5, 0.75)


@dataclass
class Training:
    """Everything that changes while a run trains; `state` and `restore` are its checkpoint."""

    embedder: Embedder
    criterion: CircleLoss | ClassCircleLoss
    optimizer: SGD
    scheduler: LRScheduler
    generator: torch.Generator
    history: list[Epoch] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return {
            "embedder": self.embedder.state_dict(),
            "criterion": self.criterion.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "generator": self.generator.get_state(),
            "history": [asdict(epoch) for epoch in self.history],
        }

    def save(self, run: Run) -> None:
        """Write the run's checkpoint and history."""
        save_checkpoint(run.checkpoint_file, self.state())
        run.write_history(self.history)

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.embedder.load_state_dict(state["embedder"])
        self.criterion.load_state_dict(state["criterion"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.generator.set_state(state["generator"])
        self.history = [Epoch(**row) for row in state["history"]]


def start_training(config: Config, split: Split) -> Training:
    """Build the embedder, the loss, SGD and its scheduler for a split, on the split's device.

    Args:
        config: resolved for a data set, so that the number of epochs is known.

    Raises:
        SettingError: a batch would be larger than the split.
    """
    if config.batch_size > len(split):
        raise SettingError(
            "batch_size", f"must be ≤ {len(split)}, the training images, not {config.batch_size}"
        )
    assert config.epochs is not None
    pixels = split.images.float() / 255
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        embedder = build_embedder(config.net, config.dim, pixels.mean().item(), pixels.std().item())
        criterion = build_criterion(config)
    embedder, criterion = embedder.to(split.labels.device), criterion.to(split.labels.device)
    optimizer = SGD(
        [*embedder.parameters(), *criterion.parameters()],
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        fused=True,
    )
    steps = config.epochs * (len(split) // config.batch_size)
    scheduler = build_scheduler(config.scheduler, optimizer, config.lr, steps)
    generator = torch.Generator().manual_seed(config.seed)
    return Training(embedder, criterion, optimizer, scheduler, generator)


def build_criterion(config: Config) -> CircleLoss | ClassCircleLoss:
    """Build the loss that `config` names; it expects embeddings that are unit vectors already."""
    if config.labels == "class":
        return ClassCircleLoss(CLASSES, config.dim, config.gamma, config.m)
    return CircleLoss(config.gamma, config.m, cast(PairSets, config.pairs), normalize=False)


def build_scheduler(name: str, optimizer: SGD, lr: float, steps: int) -> LRScheduler:
    """Build the schedule `name` of the learning rate, stepped after each of `steps` batches."""
    schedules: dict[str, Callable[[], LRScheduler]] = {
        "onecycle": lambda: OneCycleLR(optimizer, lr, total_steps=steps, cycle_momentum=False),
        "cosine": lambda: CosineAnnealingLR(optimizer, T_max=steps),
        "multistep": lambda: MultiStepLR(optimizer, [int(share * steps) for share in MILESTONES]),
        "none": lambda: ConstantLR(optimizer, factor=1.0),
    }
    return schedules[name]()


def fit(training: Training, config: Config, split: Split, run: Run, progress: Progress) -> None:
    """Train to the last epoch, with a checkpoint and a row of history after each.

    Args:
        training: what to train, at its first epoch or restored from a checkpoint.
        config: resolved for a data set.
        split: the training images, on the device to train on.
        run: where the checkpoint and the history go.
        progress: told of every step and every epoch.

    Raises:
        UserError: the loss is no longer finite, or the run's folder cannot be written.
    """
    assert config.epochs is not None
    for number in range(len(training.history) + 1, config.epochs + 1):
        epoch = train_epoch(training, config, split, number, progress)
        training.history.append(epoch)
        training.save(run)
        progress.epoch(epoch)


def train_epoch(
    training: Training, config: Config, split: Split, number: int, progress: Progress
) -> Epoch:
    """Train one epoch, the `number`-th, and return its row of the history.

    Raises:
        UserError: the loss is no longer finite.
    """
    started = time.perf_counter()
    lr = config.lr
    order = batches(len(split), config.batch_size, training.generator).to(split.labels.device)
    values = torch.empty(len(order), 4, device=split.labels.device)  # loss, then its statistics
    training.embedder.train()
    for step, indices in enumerate(order):
        images = split.images[indices, None].float() / 255  # (B, 1, 28, 28)
        if config.augment:
            images = random_affine(images, training.generator)
        embeddings = training.embedder(images)  # (B, D)
        loss, statistics = training.criterion.with_statistics(embeddings, split.labels[indices])
        training.optimizer.zero_grad()
        loss.backward()
        training.optimizer.step()
        lr = float(training.scheduler.get_last_lr()[0])
        training.scheduler.step()
        values[step] = torch.stack([loss.detach(), *statistics])
        progress.step(number, step, values[step], lr)
    mean_loss = values[:, 0].mean().item()
    if not math.isfinite(mean_loss):
        raise UserError(
            f"the loss of epoch {number} is not finite (gamma {config.gamma:g}, m {config.m:g}, "
            f"lr {config.lr:g}); lower --lr or --gamma"
        )
    seconds = round(time.perf_counter() - started, 3)
    # a batch may lack positive or negative pairs: their mean is NaN there
    mean_sp, mean_sn, crossed = values[:, 1:].nanmean(0).tolist()
    return Epoch(number, mean_loss, mean_sp, mean_sn, crossed, lr, seconds)
