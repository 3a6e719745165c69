"""The training of one run: from settings to a run folder that is evaluated and drawn."""

import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import torch

from circlemnist import __version__
from circlemnist.config import Config
from circlemnist.data.datasets import Dataset, load_dataset
from circlemnist.data.extra_classes import with_extra_classes
from circlemnist.errors import Lost
from circlemnist.evaluation.evaluate import EvaluatedRun, check_pictures
from circlemnist.evaluation.report import Report
from circlemnist.models.precision import resolve_device, resolve_precision
from circlemnist.plots.draw import draw_pictures
from circlemnist.plots.style import Style
from circlemnist.process import Stopped, StopSignals, torchrun_ranks, working
from circlemnist.runs.checkpoint import checksum
from circlemnist.runs.run import Run, create_run, describe_machine, locked
from circlemnist.training.build import build_training
from circlemnist.training.diagnosis import unreachable_margin
from circlemnist.training.loop import fit
from circlemnist.training.processes import ALONE, Processes, join_processes
from circlemnist.training.progress import Mode, Progress
from circlemnist.training.state import Recorder
from circlemnist.training.tensorboard import Board, require_tensorboard


class Interrupted(Exception):
    """A signal stopped the training of `run`, whose checkpoint has every step that was done."""

    def __init__(self, run: Run, exit_code: int) -> None:
        super().__init__(f"stopped; {run.name} keeps every step it has done")
        self.run, self.exit_code = run, exit_code  # 128 and the number of the signal


def train(
    config: Config,
    outputs: Path,
    name: str | None,
    run: Run | None,
    mode: Mode,
    say: Callable[[str], object],
    tensorboard: bool = False,
) -> tuple[Run, Report | None]:
    """Train a new run, or continue `run`, to its last epoch, evaluate it and draw it.

    The run folder is made only when the settings, the data and the device have proved good. Of
    several processes rank 0 alone loads the data, writes, prints, evaluates and draws; in the
    others there is no report.

    Args:
        config: the settings; those of `run` where it is given.
        name: of a new run; None for the time, the loss, gamma and m.
        say: prints a line that the user should know.

    Raises:
        UserError: a setting, the data, the device or the folder is not usable; another process
            trains the run; the loss is no longer finite; or one of the processes has ended.
        Interrupted: SIGINT, SIGTERM or SIGHUP came while the run trained or was evaluated.
        Stopped: one of them came before.
    """
    device = resolve_device(config.device)
    precision = "bfloat16"  # where the first process of a machine tries it for all
    if config.precision != "auto" or torchrun_ranks().local_rank == 0:
        precision = resolve_precision(config.precision, device)
    with join_processes(device) as processes, StopSignals(processes.maximum) as stop:
        config = replace(config, precision=processes.common_precision(precision))
        if tensorboard:
            require_tensorboard()
        if processes.rank > 0:
            mode, say, tensorboard = "quiet", lambda line: None, False
        dataset = processes.run_on_rank_zero(
            lambda: load_dataset(
                config.dataset, Path(config.data_dir), quiet=mode == "quiet", say=say, config=config
            )
        )
        with working("preparing the training"):
            training = Training(config, dataset, device, say, processes)
        if run is not None:
            check_pictures(run, training.dataset)
        run = processes.run_on_rank_zero(
            lambda: run or create_run(outputs, name, training.config, environment(training))
        )
        size = len(training.split)
        board = Board(mode, training.config, size, run, say) if tensorboard else None
        progress = board or Progress(mode, training.config, size, say)
        try:
            with ExitStack() as stack:
                processes.run_on_rank_zero(lambda: stack.enter_context(locked(run)))
                trained = training.fit(run, progress, stop)
                return run, _evaluate_and_draw(trained, board) if processes.rank == 0 else None
        except Stopped as stopped:
            raise Interrupted(run, stopped.exit_code) from None
        except Lost as lost:
            message = f"{lost}; go on from its last checkpoint with `resume` {run.folder}"
            raise Lost(message, lost.speaks) from lost


def _evaluate_and_draw(trained: EvaluatedRun, board: Board | None) -> Report:
    """Evaluate a run, and draw its embeddings with the quickest projection."""
    report = trained.evaluate()
    out = trained.run.plots / "embedding.png"
    pictures = list(draw_pictures(trained, ["embedding"], Style(projection="pca"), out))
    if board is not None:
        board.finish(trained, pictures)
    return report


class Training:
    """A training whose settings, data and device have proved good; nothing is written yet.

    Its `config` is resolved for the data set; its `dataset` is what it trains on and is tested on.
    Raises UserError where a setting does not fit the data.
    """

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        device: torch.device,
        say: Callable[[str], object],
        processes: Processes = ALONE,
    ) -> None:
        # absolute, for commands in other folders; Path.resolve may raise for a link to itself
        data_dir = os.path.realpath(config.data_dir)
        config = config.for_dataset(dataset.name, dataset.classes)
        self.dataset = dataset.used_by(config)
        self.split = with_extra_classes(self.dataset.train, config).to(device)
        self.config = replace(config.resolve(dataset.name, len(self.split)), data_dir=data_dir)
        self.device, self.processes = device, processes
        self.state = build_training(self.config, self.split, processes)
        if config.snapshots and processes.rank == 0:
            test = self.dataset.test.to(device)
            self.state.recorder = Recorder(test, self.state.total_steps)
        if warning := unreachable_margin(self.config, len(self.state.objective.classes)):
            say(warning)

    def fit(self, run: Run, progress: Progress, stop: StopSignals) -> EvaluatedRun:
        """Train to the last epoch, from the checkpoint of the run, locked, where it has one."""
        processes = self.processes
        if processes.run_on_rank_zero(run.checkpoint_file.exists):
            processes.run_on_all(lambda: self.state.restore(run))
        with closing(progress), stop.between_steps(), processes.detect_lost_process():
            fit(self.state, self.config, self.split, run, progress, stop)
            processes.leave()
        network = self.state.embedder, checksum(run.checkpoint_file)
        return EvaluatedRun(run, config=self.config, dataset=self.dataset, network=network)


def environment(training: Training) -> dict[str, object]:
    """Return the versions, the machine, the seed and the data, for `environment.json`."""
    dataset, processes = training.dataset, training.processes
    return {
        "circlemnist": __version__,
        **describe_machine(training.device),
        "processes": processes.world_size,
        "backend": processes.backend,
        "seed": training.config.seed,
        "dataset": dataset.name,
        "dataset_sha256": dataset.checksum(),
    }
