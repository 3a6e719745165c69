"""The training of one run: from settings to a run folder that is measured and drawn."""

import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from circlemnist.config import Config
from circlemnist.data.datasets import Dataset, load_dataset
from circlemnist.data.extra_classes import with_further_classes
from circlemnist.errors import Lost
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.report import Report
from circlemnist.models.precision import resolve_device
from circlemnist.plots.draw import draw_pictures
from circlemnist.plots.style import Style
from circlemnist.runs.checkpoint import checksum
from circlemnist.runs.new_run import create_run, describe_machine, locked
from circlemnist.runs.run import Run
from circlemnist.training.build import build_training
from circlemnist.training.diagnosis import crowded, flat_schedule
from circlemnist.training.loop import fit
from circlemnist.training.precision import settled
from circlemnist.training.processes import ALONE, Processes, together
from circlemnist.training.progress import Mode, Progress
from circlemnist.training.signals import Stopped, StopSignals
from circlemnist.training.snapshots import Recorder
from circlemnist.training.tensorboard import Board, require_tensorboard
from circlemnist.version import __version__

# drawn at the end, with the quickest projection
FIRST_PICTURES = ("embedding",)


class Interrupted(Exception):
    """A signal stopped the training of `run`, whose checkpoint is that of the last step done.

    Attributes:
        run: the run.
        exit_code: 128 and the number of the signal.
    """

    def __init__(self, run: Run, exit_code: int) -> None:
        super().__init__(f"stopped; {run.name} keeps every step it has done")
        self.run = run
        self.exit_code = exit_code


@dataclass(frozen=True)
class Audience:
    """Who watches a training.

    Attributes:
        mode: how progress is shown.
        say: told, in a line, what the user should know.
        tensorboard: whether event files are kept in the run, for TensorBoard.
    """

    mode: Mode
    say: Callable[[str], object]
    tensorboard: bool = False

    def progress(self, training: "Training", run: Run) -> Progress:
        """Return what is told of the steps and epochs of a training."""
        about = (self.mode, training.config, len(training.split))
        return Board(*about, run, self.say) if self.tensorboard else Progress(*about, self.say)


def train(
    config: Config, outputs: Path, name: str | None, run: Run | None, audience: Audience
) -> tuple[Run, Report | None]:
    """Train a new run, or continue `run`, to its last epoch, measure it and draw it.

    The run folder is made only when the settings, the data and the device have proved good. Of
    several processes that torchrun started the first one alone loads the data, writes, shows and
    says something, and measures and draws in the end.

    Args:
        config: the settings; those of `run` where it is given.
        outputs: the folder of runs.
        name: of a new run; None for the time, the loss, gamma and m.
        audience: who watches.

    Returns:
        The run, and what was measured; None in processes other than the first.

    Raises:
        UserError: a setting, the data, the device or the folder is not usable; another process
            trains the run; or the loss is no longer finite.
        Lost: one of the processes has ended.
        Interrupted: SIGINT, SIGTERM or SIGHUP came while the run trained or was measured.
        Stopped: one of them came before.
    """
    with together(config.device) as processes, StopSignals(processes.largest) as stop:
        resolve_device(config.device)  # ahead of a download
        if audience.tensorboard:
            require_tensorboard()
        if processes.rank > 0:
            audience = Audience("quiet", _unsaid)
        say, quiet = audience.say, audience.mode == "quiet"
        folder = Path(config.data_dir)
        dataset = processes.first(
            lambda: load_dataset(config.dataset, folder, quiet=quiet, say=say)
        )
        config = settled(config, run, processes)
        training = processes.each(lambda: Training(config, dataset, say, processes))
        run = processes.first(
            lambda: run or create_run(outputs, name, training.config, environment(training))
        )
        try:
            with ExitStack() as held:
                processes.first(lambda: held.enter_context(locked(run)))
                progress = audience.progress(training, run)
                trained = training.to_end(run, progress, stop)
                if processes.rank > 0:
                    return run, None
                return run, _measured_and_drawn(trained, progress)
        except Stopped as stopped:
            raise Interrupted(run, stopped.exit_code) from None
        except Lost as lost:
            mend = f"{lost}; go on from its last checkpoint with `resume` {run.folder}"
            raise Lost(mend, lost.speaks) from lost


class Training:
    """A training whose settings, data and device have proved good; nothing is written yet.

    Args:
        config: as given; `config` of the training is resolved for the data set.
        dataset: as loaded; `dataset` of the training has the last images held out.
        say: told, in a line, what the user should know.
        processes: that train together.

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
        # a run finds its data again, wherever the next command is typed
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
        for warning in (crowded(self.config), flat_schedule(self.config, len(self.split))):
            if warning:
                say(warning)

    def to_end(self, run: Run, progress: Progress, stop: StopSignals) -> EvaluatedRun:
        """Train to the last epoch, from the checkpoint of the run where it has one.

        Args:
            run: of these settings, locked.

        Raises:
            UserError: the loss is no longer finite, or the folder cannot be written.
            Stopped: a signal has come; the checkpoint is that of the last step.
        """
        if self.processes.first(run.checkpoint_file.exists):
            self.processes.each(lambda: self.state.restore(run))
        with closing(progress), stop.between_steps(), self.processes.heard():
            fit(self.state, self.config, self.split, run, progress, stop)
            self.processes.part()
        network = self.state.embedder, checksum(run.checkpoint_file)
        return EvaluatedRun(run, config=self.config, dataset=self.dataset, network=network)


def environment(training: Training) -> dict[str, object]:
    """Return what a run of the training runs on, for `environment.json`."""
    dataset = training.dataset
    facts = {"dataset": dataset.name, "dataset_sha256": dataset.checksum()}
    processes = {"processes": training.processes.world, "backend": training.processes.backend}
    machine = {**describe_machine(training.device), **processes}
    return {"circlemnist": __version__, **machine, "seed": training.config.seed, **facts}


def _unsaid(line: str) -> None:
    """Take what the first process says for all."""


def _measured_and_drawn(trained: EvaluatedRun, progress: Progress) -> Report:
    report = trained.evaluate()
    pictures = list(draw_pictures(trained, FIRST_PICTURES, Style(projection="pca")))
    if isinstance(progress, Board):
        progress.finish(trained, pictures)
    return report
