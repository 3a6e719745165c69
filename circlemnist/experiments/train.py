"""The training of one run: from settings to a run folder that is measured and drawn."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from circlemnist import __version__
from circlemnist.config import Config
from circlemnist.data.datasets import load_dataset
from circlemnist.evaluation.results import Evaluation
from circlemnist.evaluation.trained_run import TrainedRun
from circlemnist.models.device import resolve_device
from circlemnist.plots.draw import draw_pictures
from circlemnist.plots.style import Style
from circlemnist.runs.checkpoint import checksum
from circlemnist.runs.environment import describe
from circlemnist.runs.lock import locked
from circlemnist.runs.new_run import create_run
from circlemnist.runs.run import Run
from circlemnist.training.build import build_training
from circlemnist.training.diagnosis import crowded
from circlemnist.training.loop import fit
from circlemnist.training.progress import Mode, Progress
from circlemnist.training.signals import Stopped, StopSignals
from circlemnist.training.snapshots import Recorder

# drawn at the end, with the quickest projection
FIRST_PICTURES = ("embedding", "history")


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


def train(
    config: Config,
    outputs: Path,
    name: str | None,
    run: Run | None,
    mode: Mode,
    say: Callable[[str], object],
) -> tuple[Run, Evaluation]:
    """Train a new run, or continue `run`, to its last epoch, measure it and draw it.

    The run folder is made only when the settings, the data and the device have proved good.

    Args:
        config: the settings; those of `run` where it is given.
        outputs: the folder of runs.
        name: of a new run; None for the time, the loss, gamma and m.
        mode: how progress is shown.
        say: told, in a line, what the user should know.

    Raises:
        UserError: a setting, the data, the device or the folder is not usable; another process
            trains the run; or the loss is no longer finite.
        Interrupted: SIGINT, SIGTERM or SIGHUP came while the run trained or was measured.
        Stopped: one of them came before.
    """
    with StopSignals() as stop:
        device = resolve_device(config.device)
        folder = Path(config.data_dir)
        dataset = load_dataset(config.dataset, folder, quiet=mode == "quiet", say=say)
        # a run finds its data again, wherever the next command is typed
        config = replace(config.on(dataset.name), data_dir=str(folder.resolve()))
        dataset = dataset.hold_out(config.holdout)
        split = dataset.train.to(device)
        state = build_training(config, split)
        if config.snapshots:
            state.recorder = Recorder(dataset.test.to(device), config.steps(len(split)))
        if warning := crowded(config):
            say(warning)
        if run is None:
            facts = {"dataset": dataset.name, "dataset_sha256": dataset.checksum()}
            environment = {**describe(device), "seed": config.seed, **facts}
            run = create_run(outputs, name, config, {"circlemnist": __version__, **environment})
        try:
            with locked(run):
                if run.checkpoint_file.exists():
                    state.restore(run)
                progress = Progress(mode, config, len(split), say)
                with closing(progress), stop.between_steps():
                    fit(state, config, split, run, progress, stop)
                trained = TrainedRun(run, config.data_dir, config.device)
                trained.config, trained.dataset = config, dataset
                trained.embedder = state.embedder
                trained.checkpoint = checksum(run.checkpoint_file)
                return run, _measured_and_drawn(trained)
        except Stopped as stopped:
            raise Interrupted(run, stopped.exit_code) from None


def _measured_and_drawn(trained: TrainedRun) -> Evaluation:
    evaluation = trained.evaluation = trained.measured()
    list(draw_pictures(trained, FIRST_PICTURES, Style(projection="pca")))
    return evaluation
