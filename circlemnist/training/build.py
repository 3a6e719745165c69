"""From settings to a training that can begin: network, loss, SGD and its schedule."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
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
from circlemnist.data.extra_classes import check_objective, objective_name, trained_classes
from circlemnist.errors import SettingError
from circlemnist.losses import CircleLoss, build_loss, fix_class_weights, gathered_loss
from circlemnist.losses.class_weights import (
    arrange_directions,
    class_similarities,
    spread_directions,
)
from circlemnist.models.batch_norm import gather_statistics
from circlemnist.models.embedder import build_embedder, forward_in
from circlemnist.training.processes import ALONE, Processes
from circlemnist.training.state import TrainState

MILESTONES = (0.5, 0.75)
# of the loss that shapes a first embedding: independent of the defaults, which may change
SHAPING_GAMMA, SHAPING_M = 80.0, 0.25
MOST_FIXED = 100  # classes, whose directions take a minute to arrange


def build_training(config: Config, split: Split, processes: Processes = ALONE) -> TrainState:
    """Build what resolved settings name, on the device of the split; the same in all processes.

    Raises:
        SettingError: a batch does not fit the split or the processes.
    """
    batch_size, classes = config.batch_size, len(split.labels.unique())
    if batch_size < processes.world_size:
        least = f"{processes.world_size}, the processes that share it"
        raise SettingError("batch_size", f"must be ≥ {least}, not {batch_size}")
    if batch_size > len(split):
        most = f"{len(split)}, the training images"
        raise SettingError("batch_size", f"must be ≤ {most}, not {batch_size}")
    if config.classes_per_batch > classes:
        most = f"{classes}, the classes there are"
        raise SettingError("classes_per_batch", f"must be ≤ {most}, not {config.classes_per_batch}")
    assert config.epochs is not None
    total_steps = config.epochs * (len(split) // batch_size)
    device = split.labels.device
    pixels = split.images.float().div_(255)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        embedder = build_embedder(config, pixels.mean().item(), pixels.std().item()).to(device)
        forward = forward_in(embedder, config.precision)
        if processes.world_size > 1:
            gather_statistics(embedder)
        objective = Objective(config, split).to(device)
    optimizer = SGD(
        [*embedder.parameters(), *objective.parameters()],
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        fused=True,
    )
    milestones = [int(share * total_steps) for share in MILESTONES]
    schedules: dict[str, Callable[[], LRScheduler]] = {
        "onecycle": lambda: OneCycleLR(optimizer, config.lr, total_steps, cycle_momentum=False),
        "cosine": lambda: CosineAnnealingLR(optimizer, T_max=total_steps),
        "multistep": lambda: MultiStepLR(optimizer, milestones),
        "none": lambda: ConstantLR(optimizer, factor=1.0),
    }
    return TrainState(
        embedder,
        forward,
        objective,
        optimizer,
        schedules[config.scheduler](),
        torch.Generator().manual_seed(config.seed),
        total_steps,
        len(split),
        processes=processes,
    )


class Objective(nn.Module):
    """The loss of the embedding, plus with `fold` that of the first embedding.

    Fixed class weights are arranged by the similarity of the training images. Its state has the
    name of the loss and its classes: its tensors alone rarely tell them.

    Attributes:
        classes: the labels that are trained on, ascending.
        loss: takes embeddings (B, D) and labels (B,) as indices into `classes`, gives ().
        shaping: the same for the first embedding (B, F).

    Raises:
        SettingError: the loss takes more classes than there are, or too many would be fixed.
    """

    sorted_classes: Tensor

    def __init__(self, config: Config, split: Split) -> None:
        super().__init__()
        self.name, self.classes = config.loss, trained_classes(config)
        if config.loss == "adacos" and len(self.classes) < 3:
            raise SettingError("loss", f"adacos takes 3 classes or more, not {len(self.classes)}")
        has_class_weights = config.loss_info.has_class_weights
        self.loss = build_loss(
            config.loss,
            num_classes=len(self.classes),
            embedding_dim=config.dim,
            pairs=config.pairs,
            normalize=has_class_weights,  # class weights may have any length
            **config.hyperparameters,
        )
        if has_class_weights and config.class_weights == "fixed":
            if len(self.classes) > MOST_FIXED:
                problem = f"must be learned with {len(self.classes):,} classes, not fixed"
                raise SettingError("class_weights", problem)
            # similar classes beside each other: the way from one to the other passes no third
            directions = spread_directions(len(self.classes), config.dim)
            similarities = class_similarities(split.images, split.labels, self.classes)
            fix_class_weights(self.loss, arrange_directions(directions, similarities))
        self.shaping = None
        if config.fold:
            self.shaping = CircleLoss(SHAPING_GAMMA, SHAPING_M, normalize=False)
        self.register_buffer("sorted_classes", torch.tensor(self.classes), persistent=False)

    def forward(self, stages: list[Tensor], labels: Tensor) -> Tensor:
        """Return () for the stages of an embedder and labels (B,) int64, of all processes."""
        labels = torch.searchsorted(self.sorted_classes, labels.contiguous())
        value = gathered_loss(self.loss, stages[-1], labels)
        if self.shaping is not None:
            value = value + gathered_loss(self.shaping, stages[0], labels)
        return value

    def get_extra_state(self) -> str:
        return objective_name(self.name, self.classes)

    def set_extra_state(self, state: str) -> None:
        check_objective(state, self.get_extra_state())
