"""Everything that changes while a run trains: what a checkpoint holds."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import SGD
from torch.optim.lr_scheduler import LRScheduler

from circlemnist.data.datasets import Split
from circlemnist.errors import UserError
from circlemnist.models.embedder import Embedder, Forward, embed
from circlemnist.runs.arrays import load_snapshots
from circlemnist.runs.checkpoint import not_finite, restore_from, save_checkpoint
from circlemnist.runs.files import atomic_write, writing
from circlemnist.runs.history import Epoch, write_history
from circlemnist.runs.run import Run
from circlemnist.training.processes import ALONE, Processes

if TYPE_CHECKING:
    from circlemnist.training.build import Objective

# 31 snapshots of 500 images are the work of a tenth of an epoch of MNIST
INTERVALS, SAMPLE = 30, 500
POINTS = 50  # steps of an epoch, about, whose values are kept
# in the state of a schedule or an optimizer: what steps change, and what is no setting
CHANGED_BY_STEPS = (
    *("last_epoch", "_step_count", "_last_lr", "_is_initial", "_get_lr_called_within_step"),
    *("lr", "params"),
)


class Diverged(UserError):
    """The loss, or what it is computed from, is no longer finite."""


@dataclass
class EpochCursor:
    """The progress within an epoch that has begun.

    Attributes:
        order: (steps, batch size) int64, the images of each batch.
        values: (steps, 4) float32, of the steps done: loss, mean s_p, mean s_n, violating.
        step: number of steps done.
        seconds: time they took.
    """

    order: Tensor
    values: Tensor
    step: int = 0
    seconds: float = 0.0


class Recorder:
    """Embeds a fixed sample of a split at fixed steps of a training, more often at its start."""

    def __init__(self, split: Split, steps: int) -> None:
        self.indices = torch.linspace(0, len(split) - 1, min(SAMPLE, len(split))).long()
        sample = self.indices.to(split.labels.device)
        self.images, self.labels = split.images[sample], split.labels[sample]
        self.due = {round(steps * (i / INTERVALS) ** 2) for i in range(INTERVALS + 1)}
        self.embeddings: dict[int, Tensor] = {}  # by step

    def record(self, step: int, embedder: Embedder) -> None:
        """Embed the sample if that is due after `step` steps."""
        if step in self.due:
            self.embeddings[step] = embed(embedder, self.images).half()

    def save(self, path: Path) -> None:
        steps = sorted(self.embeddings)
        with atomic_write(path) as temporary:
            np.savez(
                temporary,
                steps=np.array(steps),
                indices=self.indices.numpy(),
                labels=self.labels.cpu().numpy(),
                embeddings=np.stack([self.embeddings[step].cpu().numpy() for step in steps]),
            )

    def restore(self, path: Path, done: int) -> None:
        """Load the snapshots of the first `done` steps; raise UserError for a damaged file."""
        saved = load_snapshots(path)
        for step, embeddings in zip(saved.steps.tolist(), saved.embeddings, strict=True):
            if step <= done:
                self.embeddings[step] = torch.from_numpy(embeddings)


@dataclass
class TrainState:
    """A training between two steps; what `state_dict` returns is its checkpoint.

    A training that is continued from there becomes the same bit for bit.

    Attributes:
        forward: gives the stages of the embedder in a step of training, and shares its weights.
        total_steps: number of steps of all epochs.
        step: number of those done.
        lr: learning rate of the last step that this process took.
        points: (N, 5) float32, of some steps of each finished epoch: the epochs before the step,
            and its loss, mean s_p, mean s_n and violating.
        cursor: of the epoch that has begun, if one has.
        images: number of training images.
        recorder: of snapshots, where they are wanted; they have a file of their own.
    """

    embedder: Embedder
    forward: Forward
    objective: "Objective"
    optimizer: SGD
    scheduler: LRScheduler
    generator: torch.Generator
    total_steps: int
    images: int
    step: int = 0
    lr: float = 0.0
    history: list[Epoch] = field(default_factory=list)
    points: Tensor = field(default_factory=lambda: torch.empty(0, 5))
    cursor: EpochCursor | None = None
    recorder: Recorder | None = None
    processes: Processes = ALONE

    def parameters(self) -> Iterator[Tensor]:
        yield from self.embedder.parameters()
        yield from self.objective.parameters()

    def state_dict(self) -> dict[str, Any]:
        return {
            "embedder": self.embedder.state_dict(),
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "history": [asdict(epoch) for epoch in self.history],
            "points": self.points.tolist(),
            "cursor": None if self.cursor is None else vars(self.cursor),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned; raise ValueError if it is of other settings."""
        for name in ("optimizer", "scheduler"):
            if _settings(state[name]) != _settings(getattr(self, name).state_dict()):
                raise ValueError(f"the {name} is of other settings")
        shapes = [parameter.shape for parameter in self.parameters()]
        for number, of_parameter in state["optimizer"]["state"].items():
            momentum = of_parameter["momentum_buffer"]
            if momentum is not None and momentum.shape != shapes[number]:
                raise ValueError("the momentum is of another network")
        for name in ("embedder", "objective", "optimizer", "scheduler"):
            getattr(self, name).load_state_dict(state[name])
        self.generator.set_state(state["generator"])
        self.step = state["step"]
        self.history = [Epoch(**row) for row in state["history"]]
        self.points = torch.tensor(state.get("points", [])).reshape(-1, 5)
        self.cursor = None if state["cursor"] is None else EpochCursor(**state["cursor"])
        order = torch.zeros(1) if self.cursor is None else self.cursor.order
        if not 0 <= order.min() <= order.max() < self.images:
            raise ValueError("the batches have other images")

    def finish_epoch(self) -> None:
        """Add the row of an epoch whose steps are done to the history, and some of its steps."""
        assert self.cursor is not None
        values, epochs = self.cursor.values, len(self.history)
        # a batch may lack positive or negative pairs: their mean is NaN there
        mean_sp, mean_sn, violating = values[:, 1:].nanmean(0).tolist()
        loss, seconds = values[:, 0].mean().item(), round(self.cursor.seconds, 3)
        self.history.append(Epoch(epochs + 1, loss, mean_sp, mean_sn, violating, self.lr, seconds))
        chosen = torch.arange(0, len(values), max(1, round(len(values) / POINTS)))
        points = torch.cat([epochs + chosen[:, None] / len(values), values.cpu()[chosen]], 1)
        self.points = torch.cat([self.points, points])
        self.cursor = None

    def save(self, run: Run) -> None:
        """Let rank 0 write the checkpoint, the history and, where wanted, the snapshots of a run.

        Raises Diverged, and writes nothing, where a weight or a momentum is not finite.
        """
        self.processes.run_on_rank_zero(lambda: self._write(run))

    def _write(self, run: Run) -> None:
        state = self.state_dict()
        if name := not_finite(state):
            raise Diverged(f"a value of the {name} is not finite")
        if self.recorder is not None:
            # before the checkpoint: `restore` drops the snapshots of later steps
            with writing(run.snapshots_file):
                self.recorder.save(run.snapshots_file)
        save_checkpoint(run.checkpoint_file, state)
        write_history(run.history_file, self.history)

    def restore(self, run: Run) -> None:
        """Continue from what `save` wrote; raise UserError if that is not possible.

        Rank 0 writes the history of the checkpoint, where the file may have more or less.
        """
        restore_from(run.checkpoint_file, self.load_state_dict)
        if self.processes.rank == 0:
            write_history(run.history_file, self.history)
        if self.recorder is not None:
            self.recorder.restore(run.snapshots_file, self.step)


def _settings(state: dict[str, Any]) -> list[dict[str, Any]]:
    # of a schedule, or of the parameter groups of an optimizer
    groups = state.get("param_groups", [state])
    return [
        {name: _kind(value) if name in CHANGED_BY_STEPS else value for name, value in group.items()}
        for group in groups
    ]


def _kind(value: Any) -> Any:
    return [type(item) for item in value] if isinstance(value, list) else type(value)
