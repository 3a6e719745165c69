"""The three jobs of the program: train, evaluate, plot. Each takes and leaves a run folder."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from circlemnist.config import Config
from circlemnist.data.classes import CLASS_NAMES
from circlemnist.data.datasets import load_dataset
from circlemnist.evaluation.results import Evaluation
from circlemnist.evaluation.trained_run import TrainedRun
from circlemnist.plots.animation import movie_formats, save_animation
from circlemnist.plots.pictures import OF_A_RUN, Style, gradients, heading, snapshot_captions
from circlemnist.plots.projection import project, project_frames
from circlemnist.plots.style import LIGHT, WIDTH, check_format, save_figure
from circlemnist.runs.checkpoint import restore_from
from circlemnist.runs.environment import describe, resolve_device
from circlemnist.runs.lock import locked
from circlemnist.runs.new_run import create_run
from circlemnist.runs.run import Run
from circlemnist.runs.whole_files import write_text, writing
from circlemnist.training.diagnosis import crowded
from circlemnist.training.loop import fit
from circlemnist.training.progress import Mode, Progress
from circlemnist.training.signals import Stopped, StopSignals
from circlemnist.training.snapshots import Recorder
from circlemnist.training.state import start_training

# drawn at the end of a training, with the quickest projection
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
        device = resolve_device(config.device)
        dataset = load_dataset(
            config.dataset, Path(config.data_dir), quiet=mode == "quiet", say=say
        )
        # a run finds its data again, wherever the next command is typed
        config = replace(config.on(dataset.name), data_dir=str(Path(config.data_dir).resolve()))
        dataset = dataset.hold_out(config.holdout)
        split = dataset.train.to(device)
        training = start_training(config, split)
        if config.snapshots:
            training.recorder = Recorder(dataset.test.to(device), config.steps(len(split)))
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
                    restore_from(run.checkpoint_file, training.restore)
                    if training.recorder is not None:
                        done = training.scheduler.last_epoch  # steps, whatever its name says
                        training.recorder.restore(run.snapshots_file, done)
                with Progress(mode, config, len(split)) as progress, stop.between_steps():
                    fit(training, config, split, run, progress, stop)
                trained = TrainedRun(run, config.data_dir, config.device)
                trained.config, trained.dataset = config, dataset
                trained.embedder = training.embedder
                evaluation = trained.evaluation = trained.measured()
                style = Style(LIGHT, projection="pca")
                list(plot(trained, FIRST_PICTURES, style, None, WIDTH, quiet=True))
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
    return TrainedRun(run, data_dir, device).measured()


def plot(
    trained: TrainedRun | None,
    kinds: Sequence[str],
    style: Style,
    out: Path | None,
    width: int,
    quiet: bool,
) -> Iterator[Path]:
    """Draw pictures of a run, and give the path of each when it is written.

    Args:
        trained: of the run; None for `gradients` alone, at the default gamma and m.
        kinds: keys of `pictures.OF_A_RUN`, "gradients" or "animation".
        out: where the picture goes, if it is one; None for the run's `plots/`.
        width: of a PNG, GIF or MP4, in pixels.

    Raises:
        UserError: the run, the data or the device is not usable, it has no snapshots to animate,
            or a picture cannot be written.
    """
    for kind in kinds:
        for path in [out] if out else _places(trained, kind, style):
            if kind == "animation":
                assert trained is not None
                _animate(trained, style, path, width, quiet)
                yield path
                continue
            check_format(path)
            if kind == "gradients":
                config = Config() if trained is None else trained.config
                figure = gradients(config, style)
            else:
                assert trained is not None
                figure = OF_A_RUN[kind](trained, style)
            save_figure(figure, path, width)
            yield path


def _places(trained: TrainedRun | None, kind: str, style: Style) -> list[Path]:
    """Where a kind goes by default: its name, and what is not the default of its style."""
    folder = Path() if trained is None else trained.run.plots
    parts = [kind]
    if kind == "embedding" and style.split != "test":
        parts.append(style.split)
    if style.theme.name != "light":
        parts.append(style.theme.name)
    suffixes = movie_formats() if kind == "animation" else (".png",)
    return [folder / ("-".join(parts) + suffix) for suffix in suffixes]


def _animate(trained: TrainedRun, style: Style, path: Path, width: int, quiet: bool) -> None:
    seen = trained.snapshots
    embeddings = seen.embeddings.astype(np.float32)
    positions, how = project_frames(embeddings, style.projection, trained.config.seed)
    counted = f"{len(seen.labels):,} {trained.evaluation.measured} images"
    save_animation(
        positions,
        seen.labels,
        CLASS_NAMES[trained.evaluation.dataset],
        snapshot_captions(trained),
        heading(trained, counted, f"{how}, "),
        style.theme,
        path,
        width,
        quiet,
    )


def explore(trained: TrainedRun, style: Style, out: Path | None) -> Path:
    """Write the page to walk through the embedding space of a run, with its snapshots if any.

    Args:
        out: where it goes; None for `explorer.html` in the run's `plots/`.

    Raises:
        UserError: the run, the data or the device is not usable, or the page cannot be written.
    """
    from circlemnist.plots.explorer import Frames, explorer_html

    evaluation = trained.evaluation
    arrays = evaluation.arrays
    config = trained.config
    points, how = project(arrays.embeddings, style.projection, config.seed)
    frames = None
    if trained.has_snapshots:
        seen = trained.snapshots
        positions, _ = project_frames(
            seen.embeddings.astype(np.float32),
            style.projection,
            config.seed,
            last=points[seen.indices, :2],
        )
        frames = Frames(snapshot_captions(trained), positions[..., :2], seen.labels)
    page = explorer_html(
        points[:, :2],
        arrays.labels,
        arrays.neighbor_labels[:, 0],
        trained.dataset.test.images.numpy(),
        CLASS_NAMES[evaluation.dataset],
        arrays.embeddings,
        heading(trained, evaluation.counted, f"{how}, ").replace("\n", ", "),
        config.m,
        style.theme,
        frames,
    )
    path = out or trained.run.plots / "explorer.html"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, page)
    return path
