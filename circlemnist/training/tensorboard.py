"""A training as TensorBoard shows it: event files in the run's folder.

    tensorboard --logdir outputs

`step/…` and `epoch/…` are scalars as it trains; at its end come the metrics, the settings as
hyperparameters, the pictures, and the test embeddings for the projector.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from circlemnist.config import Config
from circlemnist.errors import UserError
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.export import write_projector
from circlemnist.process import to_stderr
from circlemnist.runs.files import writing
from circlemnist.runs.history import Epoch
from circlemnist.runs.run import Run
from circlemnist.training.progress import Mode, Progress

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

OF_STEPS = ("loss", "mean_sp", "mean_sn", "violating")
OF_EPOCHS = (*OF_STEPS, "lr", "seconds")


def require_tensorboard() -> None:
    try:
        import_module("tensorboard")
    except ImportError as error:
        raise UserError(
            "`tensorboard` needs the package tensorboard: pip install 'circlemnist[tensorboard]'"
        ) from error


class Board(Progress):
    """Progress that is also written to event files, in `tensorboard/` of the run's folder.

    Where a run is continued, TensorBoard hides the older values of steps that are done again.
    """

    def __init__(
        self,
        mode: Mode,
        config: Config,
        size: int,
        run: Run,
        say: Callable[[str], object] = to_stderr,
    ) -> None:
        super().__init__(mode, config, size, say)
        self.folder = run.tensorboard
        self.pending: list[tuple[int, Tensor, float]] = []
        self.writer: SummaryWriter | None = None

    def step(self, epoch: int, step: int, values: Tensor, lr: float) -> None:
        """Keep the values of a step on the device until the epoch ends."""
        super().step(epoch, step, values, lr)
        self.pending.append(((epoch - 1) * self.steps + step, values, lr))

    def epoch(self, row: Epoch) -> None:
        self._write_pending(row)
        super().epoch(row)

    def close(self) -> None:
        super().close()
        self._write_pending()

    def _write_pending(self, epoch: Epoch | None = None) -> None:
        """Write the values of the steps since the last call, and those of an epoch that ended."""
        if not self.pending:
            return
        steps, values, rates = zip(*self.pending, strict=True)
        self.pending = []
        with self._open(steps[0]) as writer:
            for step, row, lr in zip(steps, torch.stack(values).tolist(), rates, strict=True):
                for name, value in zip((*OF_STEPS, "lr"), (*row, lr), strict=True):
                    writer.add_scalar(f"step/{name}", value, step)
            if epoch is not None:
                for name in OF_EPOCHS:
                    writer.add_scalar(f"epoch/{name}", getattr(epoch, name), epoch.epoch)
            writer.flush()

    def finish(self, trained: EvaluatedRun, pictures: Sequence[Path]) -> None:
        """Write metrics, settings, pictures (PNG) and projector, and close the files."""
        last = self.epochs * self.steps
        metrics = trained.report.metrics
        settings = {k: v for k, v in asdict(trained.config).items() if v is not None}
        with self._open(last + 1) as writer:
            scalars = {f"measure/{name}": value for name, value in metrics.items()}
            writer.add_hparams(settings, scalars, run_name=".", global_step=last)
            for path in pictures:
                picture = np.asarray(Image.open(path).convert("RGB"))
                writer.add_image(path.stem, picture, last, dataformats="HWC")
            writer.close()
        write_projector(trained, self.folder)

    @contextmanager
    def _open(self, step: int) -> Iterator["SummaryWriter"]:
        """Give the writer; when it is made, it hides older values of `step` and later."""
        with writing(self.folder):
            if self.writer is None:
                from torch.utils.tensorboard import SummaryWriter

                self.writer = SummaryWriter(self.folder, purge_step=step)
            yield self.writer
