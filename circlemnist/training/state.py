"""What a training consists of, how it starts, and what of it a checkpoint holds."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import SGD
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
)

from circlemnist.config import Config, SettingError
from circlemnist.data.classes import CLASSES
from circlemnist.data.datasets import Split
from circlemnist.errors import UserError
from circlemnist.losses import CircleLoss, ClassCircleLoss
from circlemnist.losses.circle import PairSets
from circlemnist.losses.directions import arranged, spread_directions
from circlemnist.models.embedder import Embedder, embedder_of
from circlemnist.models.precision import Forward, training_forward
from circlemnist.runs.checkpoint import save_checkpoint
from circlemnist.runs.history import Epoch, write_history
from circlemnist.runs.run import Run
from circlemnist.runs.whole_files import writing
from circlemnist.training.snapshots import Recorder

MILESTONES = (0.5, 0.75)


class Diverged(UserError):
    """The loss, or what it is computed from, is no longer finite."""


@dataclass
class Part:
    """An epoch that has begun.

    Attributes:
        order: (steps, batch size) int64, the images of each batch.
        values: (steps, 4) float32, of the steps done: loss, mean s_p, mean s_n, violating.
        done: number of steps done.
        seconds: time they took.
    """

    order: Tensor
    values: Tensor
    done: int = 0
    seconds: float = 0.0


@dataclass
class Training:
    """Everything that changes while a run trains; `state` and `restore` are its checkpoint.

    At the end of every step it is whole: trained on from there, after `restore` as well, it
    becomes the same bit for bit.

    `forward` gives the stages of the embedder in a step of training, and shares its weights;
    `shaping` is the loss of the first embedding, where it is folded.
    """

    embedder: Embedder
    forward: Forward
    shaping: CircleLoss
    criterion: CircleLoss | ClassCircleLoss
    optimizer: SGD
    scheduler: LRScheduler
    generator: torch.Generator
    history: list[Epoch] = field(default_factory=list)
    part: Part | None = None
    recorder: Recorder | None = None

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return {
            "embedder": self.embedder.state_dict(),
            "criterion": self.criterion.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "generator": self.generator.get_state(),
            "history": [asdict(epoch) for epoch in self.history],
            "part": None if self.part is None else vars(self.part),
        }

    def save(self, run: Run) -> None:
        """Write the run's checkpoint and history.

        Raises:
            Diverged: a weight or a momentum is not finite; nothing is written.
            UserError: the folder cannot be written.
        """
        state = self.state()
        for name, tensor in _tensors(state):
            if tensor.is_floating_point() and name != "part" and not tensor.isfinite().all():
                raise Diverged(f"a value of the {name} is not finite")
        if self.recorder is not None:
            # ahead of the checkpoint: what it has seen too much is forgotten when it is restored
            with writing(run.snapshots_file):
                self.recorder.save(run.snapshots_file)
        save_checkpoint(run.checkpoint_file, state)
        write_history(run.history_file, self.history)

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.embedder.load_state_dict(state["embedder"])
        self.criterion.load_state_dict(state["criterion"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.generator.set_state(state["generator"])
        self.history = [Epoch(**row) for row in state["history"]]
        self.part = None if state["part"] is None else Part(**state["part"])


def _tensors(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor in a state, with the key of the state that it is under."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _tensors(item, name or str(key))


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
    pixels = split.images.float() / 255
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        embedder = embedder_of(config, pixels.mean().item(), pixels.std().item())
        criterion = build_criterion(config, split)
    embedder, criterion = embedder.to(split.labels.device), criterion.to(split.labels.device)
    optimizer = SGD(
        [*embedder.parameters(), *criterion.parameters()],
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        fused=True,
    )
    scheduler = build_scheduler(config.scheduler, optimizer, config.lr, config.steps(len(split)))
    generator = torch.Generator().manual_seed(config.seed)
    forward = training_forward(embedder, config.precision, config.compile)
    shaping = CircleLoss(Config.gamma, Config.m, normalize=False)
    return Training(embedder, forward, shaping, criterion, optimizer, scheduler, generator)


def build_criterion(config: Config, split: Split) -> CircleLoss | ClassCircleLoss:
    """Build the loss that `config` names; it expects embeddings that are unit vectors already.

    Fixed class weights are as far apart as they can be, those of classes beside each other whose
    mean images, less the mean of all, have a high cosine: what lies between two classes then
    passes no third.
    """
    if config.labels != "pair":
        # labels are in range: reading a data set has seen to that
        criterion = ClassCircleLoss(CLASSES, config.dim, config.gamma, config.m, check_labels=False)
        if config.labels == "fixed":
            directions = spread_directions(CLASSES, config.dim)
            directions = arranged(directions, class_likeness(split))
            criterion.weight.requires_grad_(False).copy_(directions)
        return criterion
    return CircleLoss(config.gamma, config.m, cast(PairSets, config.pairs), normalize=False)


def class_likeness(split: Split) -> Tensor:
    """Return the cosines (C, C) between the mean images of classes, less the mean of all."""
    pixels = split.images.flatten(1).float().cpu()
    of_class = [pixels[(split.labels == label).cpu()].mean(0) for label in range(CLASSES)]
    means = torch.stack(of_class).nan_to_num()  # a class may be missing
    unit = F.normalize(means - means.mean(0))
    return unit @ unit.T


def build_scheduler(name: str, optimizer: SGD, lr: float, steps: int) -> LRScheduler:
    """Build the schedule `name` of the learning rate, stepped after each of `steps` batches."""
    schedules: dict[str, Callable[[], LRScheduler]] = {
        "onecycle": lambda: OneCycleLR(optimizer, lr, total_steps=steps, cycle_momentum=False),
        "cosine": lambda: CosineAnnealingLR(optimizer, T_max=steps),
        "multistep": lambda: MultiStepLR(optimizer, [int(share * steps) for share in MILESTONES]),
        "none": lambda: ConstantLR(optimizer, factor=1.0),
    }
    return schedules[name]()
