"""The training of one run: from settings to a run folder that is evaluated and drawn."""

import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from circlemnist.config import Config
from circlemnist.data.datasets import Dataset, load_dataset
from circlemnist.data.further import with_further_classes
from circlemnist.errors import Lost
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.report import Report
from circlemnist.models.precision import resolve_device
from circlemnist.plots.draw import draw_pictures
from circlemnist.plots.style import Style
from circlemnist.process import Stopped, StopSignals
from circlemnist.runs.checkpoint import checksum
from circlemnist.runs.new_run import create_run, describe_machine, locked
from circlemnist.runs.run import Run
from circlemnist.training.build import build_training, resolve_run_precision
from circlemnist.training.diagnosis import flat_schedule, unreachable_margin
from circlemnist.training.loop import fit
from circlemnist.training.processes import ALONE, Processes, join_processes
from circlemnist.training.progress import Mode, Progress
from circlemnist.training.snapshots import Recorder
from circlemnist.training.tensorboard import Board, require_tensorboard
from circlemnist.version import __version__

# drawn at the end, with the quickest projection
FIRST_PICTURES = ("embedding",)


class Interrupted(Exception):
    """A signal stopped the training of `run`, whose checkpoint has every step that was done.

    Attributes:
        exit_code: 128 and the number of the signal.
    """

    def __init__(self, run: Run, exit_code: int) -> None:
        super().__init__(f"stopped; {run.name} keeps every step it has done")
        self.run = run
        self.exit_code = exit_code


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
    several processes rank 0 alone loads the data, writes, prints, evaluates and draws.

    Args:
        config: the settings; those of `run` where it is given.
        outputs: the folder of runs.
        name: of a new run; None for the time, the loss, gamma and m.
        mode: how progress is shown.
        say: prints a line that the user should know.
        tensorboard: whether event files for TensorBoard are written into the run.

    Returns:
        The run, and its report; None in processes other than rank 0.

    Raises:
        UserError: a setting, the data, the device or the folder is not usable; another process
            trains the run; or the loss is no longer finite.
        Lost: one of the processes has ended.
        Interrupted: SIGINT, SIGTERM or SIGHUP came while the run trained or was evaluated.
        Stopped: one of them came before.
    """
    with join_processes(config.device) as processes, StopSignals(processes.maximum) as stop:
        if tensorboard:
            require_tensorboard()
        if processes.rank > 0:
            mode, say, tensorboard = "quiet", lambda line: None, False
        dataset = processes.run_on_rank_zero(
            lambda: load_dataset(
                config.dataset, Path(config.data_dir), quiet=mode == "quiet", say=say
            )
        )
        config = resolve_run_precision(config, run, processes)
        training = processes.run_on_all(lambda: Training(config, dataset, say, processes))
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
                if processes.rank > 0:
                    return run, None
                report = trained.evaluate()
                pictures = list(draw_pictures(trained, FIRST_PICTURES, Style(projection="pca")))
                if board is not None:
                    board.finish(trained, pictures)
                return run, report
        except Stopped as stopped:
            raise Interrupted(run, stopped.exit_code) from None
        except Lost as lost:
            mend = f"{lost}; go on from its last checkpoint with `resume` {run.folder}"
            raise Lost(mend, lost.speaks) from lost


class Training:
    """A training whose settings, data and device have proved good; nothing is written yet.

    Args:
        config: as given; the attribute `config` is resolved for the data set.
        dataset: as loaded; the attribute `dataset` is what the run trains on and is tested on.
        say: prints a line that the user should know.

    Raises:
        UserError: a setting does not fit the data, or the device is not there.
    """

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        say: Callable[[str], object],
        processes: Processes = ALONE,
    ) -> None:
        self.device = resolve_device(config.device)
        # absolute: a later command, in another working folder, finds the data
        # pathlib's resolve raises for a link to itself, on some versions of Python
        data_dir = os.path.realpath(config.data_dir)
        self.dataset = dataset.used_by(config)
        self.split = with_further_classes(self.dataset.train, config).to(self.device)
        self.config = replace(config.on(dataset.name, len(self.split)), data_dir=data_dir)
        self.processes = processes
        self.state = build_training(self.config, self.split, processes)
        if config.snapshots and processes.rank == 0:
            steps = self.config.steps(len(self.split))
            self.state.recorder = Recorder(self.dataset.test.to(self.device), steps)
        warnings = unreachable_margin(self.config), flat_schedule(self.config, len(self.split))
        for warning in filter(None, warnings):
            say(warning)

    def fit(self, run: Run, progress: Progress, stop: StopSignals) -> EvaluatedRun:
        """Train to the last epoch, from the checkpoint of the run where it has one.

        Args:
            run: of these settings, locked.

        Raises:
            UserError: the loss is no longer finite, or the folder cannot be written.
            Stopped: a signal has come; the checkpoint is that of the last step.
        """
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
