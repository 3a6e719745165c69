"""What the tests of training share: a small training, run in this process and watched."""

import signal
from pathlib import Path
from typing import Any

from torch import Tensor

from circlemnist.config import Config
from circlemnist.data.datasets import Split
from circlemnist.process import StopSignals
from circlemnist.runs.history import Epoch
from circlemnist.runs.run import Run
from circlemnist.training.build import build_training
from circlemnist.training.loop import fit
from circlemnist.training.progress import Progress
from circlemnist.training.state import TrainState

CONFIG = Config(dataset="digits", net="tiny", epochs=2)


class Watcher(Progress):
    """Keeps what it is shown; with `stop_at` a signal comes in that step, counted over epochs."""

    def __init__(self, config: Config, stop_at: int = 0) -> None:
        super().__init__("quiet", config, 1437)
        self.steps: list[tuple[int, int, list[float], float]] = []
        self.epochs_shown: list[Epoch] = []
        self.notes: list[str] = []
        self.stop, self.stop_at = StopSignals(), stop_at

    def step(self, epoch: int, step: int, values: Tensor, lr: float) -> None:
        self.steps.append((epoch, step, values.tolist(), lr))
        if len(self.steps) == self.stop_at:
            self.stop.received = signal.SIGTERM

    def epoch(self, row: Epoch) -> None:
        self.epochs_shown.append(row)

    def note(self, line: str) -> None:
        self.notes.append(line)


def trained(
    config: Config, split: Split, folder: Path, watcher: Watcher | None = None
) -> TrainState:
    """Train in a folder, from its checkpoint where it has one."""
    state = build_training(config, split)
    run = Run(folder)
    folder.mkdir(exist_ok=True)
    if run.checkpoint_file.exists():
        state.restore(run)
    watcher = watcher or Watcher(config)
    fit(state, config, split, run, watcher, watcher.stop)
    return state


def bits(state: TrainState) -> dict[str, bytes]:
    """The bits of all weights and buffers, of the embedder and of the loss."""
    modules: dict[str, Any] = {"embedder": state.embedder, "objective": state.objective}
    return {
        f"{name}.{key}": value.numpy().tobytes()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
        if isinstance(value, Tensor)
    }
