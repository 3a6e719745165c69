"""From settings to a training that can begin: precision, network, loss, SGD and its schedule."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
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
from circlemnist.errors import SettingError, UserError
from circlemnist.losses import CircleLoss, build_loss, fix_class_weights, gathered_loss
from circlemnist.losses.class_weights import arrange_directions, spread_directions
from circlemnist.models.batch_norm import gather_statistics
from circlemnist.models.embedder import build_embedder, forward_in
from circlemnist.models.precision import bfloat16_problem, resolve_device, resolve_precision
from circlemnist.process import torchrun_ranks
from circlemnist.runs.run import Run
from circlemnist.training.processes import ALONE, Processes
from circlemnist.training.state import TrainState

MILESTONES = (0.5, 0.75)
# of the loss that shapes a first embedding: independent of the defaults, which may change
SHAPING_GAMMA, SHAPING_M = 80.0, 0.25
FEW_STEPS = 10  # of a schedule
MOST_FIXED = 100  # classes, whose directions take a minute to arrange


def resolve_run_precision(
    config: Config, resumed: Run | None = None, processes: Processes = ALONE
) -> Config:
    """Return the settings with float32 or bfloat16 in place of `precision` auto.

    Auto is bfloat16 where every machine supports it; the first process of each tries it. A
    resumed run keeps its precision. Raises UserError where the device lacks what is asked for.
    """
    device = resolve_device(config.device)

    def precision_here() -> str:
        if torchrun_ranks().local_rank > 0 and config.precision != "float32":
            return "bfloat16"
        try:
            return resolve_precision(config.precision, device)
        except SettingError as error:
            if resumed is None:
                raise
            raise UserError(
                f"{resumed.name} trains in bfloat16: {bfloat16_problem(device)}; go on with it "
                f'where it began, or write precision = "float32" into {resumed.config_file}'
            ) from error

    any_float32 = processes.maximum(int(processes.run_on_all(precision_here) == "float32"))
    return replace(config, precision="float32" if any_float32 else "bfloat16")


def build_training(config: Config, split: Split, processes: Processes = ALONE) -> TrainState:
    """Build what resolved settings name, on the device of the split; the same in all processes.

    Raises:
        SettingError: a batch does not fit the split or the processes; or the device lacks the
            precision.
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
    precision = resolve_precision(config.precision, device)
    pixels = split.images.float().div_(255)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        embedder = build_embedder(config, pixels.mean().item(), pixels.std().item()).to(device)
        forward = forward_in(embedder, precision)
        if processes.world_size > 1:
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
        forward,
        objective,
        optimizer,
        build_scheduler(config.scheduler, optimizer, config.lr, total_steps),
        torch.Generator().manual_seed(config.seed),
        total_steps,
        len(split),
        processes=processes,
    )


def build_scheduler(name: str, optimizer: SGD, lr: float, steps: int) -> LRScheduler:
    """Build the learning-rate schedule `name`, stepped after each of `steps` batches."""
    schedules: dict[str, Callable[[], LRScheduler]] = {
        "onecycle": lambda: OneCycleLR(optimizer, lr, total_steps=steps, cycle_momentum=False),
        "cosine": lambda: CosineAnnealingLR(optimizer, T_max=steps),
        "multistep": lambda: MultiStepLR(optimizer, [int(share * steps) for share in MILESTONES]),
        "none": lambda: ConstantLR(optimizer, factor=1.0),
    }
    return schedules[name]()


def flat_schedule(config: Config, steps: int) -> str | None:
    """Warn where a schedule has too few steps to come near its peak rate."""
    if not 0 < steps < FEW_STEPS:
        return None
    optimizer = SGD([torch.zeros(1)], lr=config.lr)
    scheduler = build_scheduler(config.scheduler, optimizer, config.lr, steps)
    highest = float(scheduler.get_last_lr()[0])
    for _ in range(steps - 1):
        optimizer.step()
        scheduler.step()
        highest = max(highest, float(scheduler.get_last_lr()[0]))
    if highest > config.lr / 2:
        return None
    count = "1 step" if steps == 1 else f"{steps} steps"
    return (
        f"`scheduler` {config.scheduler} over {count} never comes above a learning rate of "
        f"{highest:.1g}, of the {config.lr:g} wanted: raise `epochs`, or take `scheduler` none"
    )


class Objective(nn.Module):
    """The loss of the embedding, plus with `fold` that of the first embedding.

    Its state has the name of the loss and its classes: its tensors alone rarely tell them.

    Args:
        loss: takes embeddings (B, D) and labels (B,) as indices into `classes`, gives ().
        shaping: the same for the first embedding (B, F).
        classes: the labels that are trained on, ascending.
    """

    sorted_classes: Tensor

    def __init__(
        self,
        name: str,
        loss: nn.Module,
        shaping: nn.Module | None = None,
        classes: Sequence[int] = range(10),
    ) -> None:
        super().__init__()
        self.name, self.loss, self.shaping, self.classes = name, loss, shaping, classes
        self.register_buffer("sorted_classes", torch.tensor(classes), persistent=False)

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


def build_objective(config: Config, split: Split) -> Objective:
    """Build the objective; fixed class weights are arranged by the similarity of training images.

    Raises:
        SettingError: class weights would be fixed for more than `MOST_FIXED` classes, or the loss
            takes more classes than there are.
    """
    shaping = CircleLoss(SHAPING_GAMMA, SHAPING_M, normalize=False) if config.fold else None
    classes = trained_classes(config)
    fixed = config.class_weights == "fixed" and config.loss_info.has_class_weights
    if fixed and len(classes) > MOST_FIXED:
        problem = f"must be learned with {len(classes):,} classes, not fixed"
        raise SettingError("class_weights", problem)
    if config.loss == "adacos" and len(classes) < 3:
        raise SettingError("loss", f"adacos takes 3 classes or more, not {len(classes)}")
    loss = build_loss(
        config.loss,
        num_classes=len(classes),
        embedding_dim=config.dim,
        pairs=config.pairs,
        normalize=config.loss_info.has_class_weights,  # class weights may have any length
        **config.hyperparameters,
    )
    if fixed:
        # similar classes beside each other: the way from one to the other passes no third
        directions = spread_directions(len(classes), config.dim)
        fix_class_weights(loss, arrange_directions(directions, class_similarities(split, classes)))
    return Objective(config.loss, loss, shaping, classes)


def class_similarities(split: Split, classes: Sequence[int]) -> Tensor:
    """Return the cosines (C, C) between the mean images of C classes, centred on their mean."""
    pixels = split.images.flatten(1).float().cpu()
    by_class = [pixels[(split.labels == label).cpu()].mean(0) for label in classes]
    means = torch.stack(by_class).nan_to_num()  # a class may be missing
    unit = F.normalize(means - means.mean(0))
    return unit @ unit.T
