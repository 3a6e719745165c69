"""The three jobs of the program: train, evaluate, plot. Each takes and leaves a run folder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from circlemnist.checkpoint import load_checkpoint
from circlemnist.classes import CLASS_NAMES
from circlemnist.config import Config
from circlemnist.data import load_dataset
from circlemnist.diagnosis import crowded
from circlemnist.environment import describe, resolve_device
from circlemnist.errors import UserError
from circlemnist.evaluation import measure
from circlemnist.model import build_embedder
from circlemnist.plots.embedding import embedding_figure
from circlemnist.plots.projection import project
from circlemnist.plots.style import check_format, save_figure
from circlemnist.progress import Mode, Progress
from circlemnist.report import as_table
from circlemnist.results import Evaluation, load_evaluation, save_evaluation
from circlemnist.run import Run, create_run, locked
from circlemnist.signals import Stopped, StopSignals
from circlemnist.training import fit
from circlemnist.training_state import start_training

DISPLAY_NAMES = {
    "mnist": "MNIST",
    "fashion-mnist": "Fashion-MNIST",
    "kmnist": "KMNIST",
    "digits": "scikit-learn digits",
}


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
    """Train a new run, or continue `run`, to its last epoch, and evaluate it.

    The run folder is made only when the settings, the data and the device have proved good.

    Args:
        config: the settings; those of `run` where it is given.
        outputs: the folder of runs.
        name: of a new run; None for the time, gamma and m.
        mode: how progress is shown.
        say: told, in a line, what the user should know.

    Raises:
        UserError: a setting, the data, the device or the folder is not usable; another process
            trains the run; or the loss is no longer finite.
        Interrupted: SIGINT, SIGTERM or SIGHUP came while the run trained or was measured.
        Stopped: one of them came before.
    """
    with StopSignals() as stop:
        return _train(config, outputs, name, run, mode, say, stop)


def _train(
    config: Config,
    outputs: Path,
    name: str | None,
    run: Run | None,
    mode: Mode,
    say: Callable[[str], object],
    stop: StopSignals,
) -> tuple[Run, Evaluation]:
    device = resolve_device(config.device)
    dataset = load_dataset(config.dataset, Path(config.data_dir), quiet=mode == "quiet", say=say)
    # a run finds its data again, wherever the next command is typed
    config = replace(config.on(dataset.name), data_dir=str(Path(config.data_dir).resolve()))
    dataset = dataset.hold_out(config.holdout)
    split = dataset.train.to(device)
    training = start_training(config, split)
    if warning := crowded(config):
        say(warning)
    if run is None:
        facts = {
            **describe(device),
            "seed": config.seed,
            "dataset": dataset.name,
            "dataset_sha256": dataset.checksum(),
        }
        run = create_run(outputs, name, config, facts)
    try:
        with locked(run):
            if run.checkpoint_file.exists():
                _restore(run, training.restore)
            with Progress(mode, config, len(split)) as progress, stop.between_steps():
                fit(training, config, split, run, progress, stop)
            evaluation = measure(run.name, training.embedder, dataset)
            save_evaluation(run, evaluation, as_table(evaluation))
    except Stopped as stopped:
        raise Interrupted(run, stopped.exit_code) from None
    return run, evaluation


def evaluate(run: Run, data_dir: str | None, device: str) -> Evaluation:
    """Measure the newest checkpoint of a run on the test split; the result is kept in the run.

    Args:
        data_dir: folder of the data sets; None for the one that the run was trained with.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        UserError: the run, the data or the device is not usable.
    """
    config = run.config()
    embedder = build_embedder(config.net, config.dim)
    _restore(run, lambda state: embedder.load_state_dict(state["embedder"]))
    dataset = load_dataset(config.dataset, Path(data_dir or config.data_dir))
    dataset = dataset.hold_out(config.holdout)
    evaluation = measure(run.name, embedder.to(resolve_device(device)), dataset)
    save_evaluation(run, evaluation, as_table(evaluation))
    return evaluation


def _restore(run: Run, restore: Callable[[dict[str, Any]], object]) -> None:
    """Give the state of the run's checkpoint to `restore`.

    Raises:
        UserError: there is no sound checkpoint, or it is of other settings than `config.toml`.
    """
    state = load_checkpoint(run.checkpoint_file)
    try:
        restore(state)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"{run.checkpoint_file} does not fit {run.config_file.name} beside it: "
            "one of the two was changed, or is of another version; train again"
        ) from error


def plot(run: Run, data_dir: str | None, device: str, projection: str, out: Path | None) -> Path:
    """Draw the test embeddings of a run, which are computed where the run holds none.

    Args:
        data_dir, device: as for `evaluate`.
        projection: "tsne" or "pca", for embeddings of more than three dimensions.
        out: where the picture goes; None for `plots/embedding.png` in the run.

    Returns:
        The path of the picture.

    Raises:
        UserError: as for `evaluate`, or the picture cannot be written.
    """
    path = out or run.plots / "embedding.png"
    check_format(path)
    config = run.config()
    evaluation = load_evaluation(run) or evaluate(run, data_dir, device)
    epochs = len(run.history())
    points, how = project(evaluation.embeddings, projection, config.seed)
    images = f"{len(points):,} {evaluation.measured} images"
    figure = embedding_figure(
        points,
        evaluation.labels,
        CLASS_NAMES[evaluation.dataset],
        title=f"{DISPLAY_NAMES[evaluation.dataset]}, {images}, {how}",
        subtitle=(
            f"gamma {config.gamma:g}, m {config.m:g}, {epochs} epochs, "
            f"1-NN {evaluation.metrics['1nn']:.2%}".replace("%", " %")
        ),
    )
    save_figure(figure, path)
    return path
